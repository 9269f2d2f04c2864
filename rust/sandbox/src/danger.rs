//! Single layers, for the tests that show what each is worth alone. Never the worker's.

use strongroom_protocol::{Isolation, Layer, Limits};

use crate::{SandboxError, landlock, limits, seccomp};

/// Landlock and nothing else (it sets no-new-privileges, as it must).
pub fn landlock_alone() -> Result<Vec<Layer>, SandboxError> {
    landlock::restrict(Isolation::Process)
}

/// Every rlimit and nothing else.
pub fn rlimits_alone(limits: &Limits) -> Result<Vec<Layer>, SandboxError> {
    limits::no_core()?;
    let mut layers = limits::set(limits)?;
    layers.push(limits::files()?);
    layers.push(limits::processes()?);
    Ok(layers)
}

/// Both seccomp filters and nothing else.
pub fn seccomp_alone() -> Result<Vec<Layer>, SandboxError> {
    Ok(vec![seccomp::load()?, seccomp::serve()?])
}
