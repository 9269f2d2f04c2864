//! The rlimits.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use strongroom_protocol::{Layer, LayerName, Limits};

use crate::SandboxError;
use crate::descriptors;
use crate::error::refused;
use crate::process::in_force;

/// Soft and hard limit of the stack, in bytes: what Linux gives by default.
const STACK: u64 = 8 << 20;

/// The limits that hold before the model is at hand: memory, file size, processor time, stack.
pub(crate) fn set(limits: &Limits) -> Result<Vec<Layer>, SandboxError> {
    let layers = vec![
        fix(
            LayerName::FileSize,
            Resource::Fsize,
            "RLIMIT_FSIZE",
            0,
            "0 bytes",
        )?,
        cpu_time(limits.load_cpu_seconds)?,
        fix(
            LayerName::AddressSpace,
            Resource::As,
            "RLIMIT_AS",
            limits.address_space,
            &format!("{} bytes", limits.address_space),
        )?,
    ];
    // Not a layer of its own: it keeps an unlimited stack from eating the address space.
    let stack = getrlimit(Resource::Stack)
        .maximum
        .map_or(STACK, |hard| hard.min(STACK));
    fix(
        LayerName::AddressSpace,
        Resource::Stack,
        "RLIMIT_STACK",
        stack,
        "",
    )?;
    Ok(layers)
}

/// `RLIMIT_CORE` 0.
pub(crate) fn no_core() -> Result<(), SandboxError> {
    fix(LayerName::NotDumpable, Resource::Core, "RLIMIT_CORE", 0, "").map(drop)
}

/// No descriptor beyond those that are open.
pub(crate) fn files() -> Result<Layer, SandboxError> {
    fix(
        LayerName::Files,
        Resource::Nofile,
        "RLIMIT_NOFILE",
        descriptors::COUNT.into(),
        "5 descriptors, all in use",
    )
}

/// `RLIMIT_NPROC` 0.
pub(crate) fn processes() -> Result<Layer, SandboxError> {
    fix(
        LayerName::Processes,
        Resource::Nproc,
        "RLIMIT_NPROC",
        0,
        "no further process or thread",
    )
}

/// Sets the soft and the hard limit to `value`, and reads them back.
fn fix(
    layer: LayerName,
    resource: Resource,
    limit: &'static str,
    value: u64,
    detail: &str,
) -> Result<Layer, SandboxError> {
    if let Some(allowed) = getrlimit(resource).maximum
        && allowed < value
    {
        return Err(SandboxError::Limit {
            limit,
            wanted: value,
            allowed,
        });
    }
    apply(
        layer,
        resource,
        limit,
        Rlimit {
            current: Some(value),
            maximum: Some(value),
        },
    )?;
    Ok(in_force(layer, detail))
}

/// The soft limit of processor time. The hard one stays, so that the host can raise the soft one
/// for each request; the worker itself can't, once seccomp holds.
fn cpu_time(seconds: u64) -> Result<Layer, SandboxError> {
    let hard = getrlimit(Resource::Cpu).maximum;
    let soft = hard.map_or(seconds, |hard| hard.min(seconds));
    apply(
        LayerName::CpuTime,
        Resource::Cpu,
        "RLIMIT_CPU",
        Rlimit {
            current: Some(soft),
            maximum: hard,
        },
    )?;
    Ok(in_force(
        LayerName::CpuTime,
        format!("{soft} s to load, then raised per request by the host"),
    ))
}

fn apply(
    layer: LayerName,
    resource: Resource,
    step: &'static str,
    limit: Rlimit,
) -> Result<(), SandboxError> {
    setrlimit(resource, limit).map_err(refused(layer, step))?;
    let found = getrlimit(resource);
    if found == limit {
        Ok(())
    } else {
        Err(SandboxError::NotInForce {
            layer,
            found: format!("{step} is {found:?}"),
        })
    }
}
