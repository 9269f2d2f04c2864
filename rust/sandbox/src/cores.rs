//! The processors that the worker runs on.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use strongroom_protocol::{Layer, LayerName};

use crate::SandboxError;
use crate::error::refused;
use crate::process::in_force;

/// The processors that this thread may run on, by number, ascending.
pub(crate) fn allowed() -> rustix::io::Result<Vec<u32>> {
    let set = sched_getaffinity(None)?;
    Ok((0..)
        .take(CpuSet::MAX_CPU)
        .filter(|&core| set.is_set(core as usize))
        .collect())
}

/// Restricts this thread, and those it starts, to `cores`.
pub(crate) fn pin(cores: &[u32]) -> Result<Layer, SandboxError> {
    const NAME: LayerName = LayerName::Cores;
    let before = allowed().map_err(refused(NAME, "sched_getaffinity"))?;
    let unfit = || SandboxError::Cores {
        wanted: cores.to_vec(),
        allowed: before.clone(),
    };
    // A worker may get fewer cores than the host, never others.
    if cores.is_empty() || cores.iter().any(|core| !before.contains(core)) {
        return Err(unfit());
    }
    let mut set = CpuSet::new();
    for &core in cores {
        set.set(core as usize);
    }
    sched_setaffinity(None, &set).map_err(refused(NAME, "sched_setaffinity"))?;
    let found = allowed().map_err(refused(NAME, "sched_getaffinity"))?;
    if found.len() != set.count() as usize || found.iter().any(|core| !cores.contains(core)) {
        return Err(SandboxError::NotInForce {
            layer: NAME,
            found: format!("{found:?}"),
        });
    }
    let mut detail = format!("{} of {}: {found:?}", found.len(), before.len());
    detail.truncate(200);
    Ok(in_force(NAME, detail))
}
