//! Why the sandbox can't be had.

use std::io;

use strongroom_protocol::LayerName;
use thiserror::Error;

/// Every code of [`SandboxError`].
pub const CODES: &[&str] = &[
    "sandbox.landlock_absent",
    "sandbox.seccomp_absent",
    "sandbox.rlimits_absent",
    "sandbox.swap_present",
    "sandbox.refused",
    "sandbox.limit",
    "sandbox.cores",
    "sandbox.not_in_force",
    "sandbox.threads",
    "sandbox.orphaned",
    "sandbox.descriptor",
];

/// A layer that is required and can't be put in force.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SandboxError {
    /// The kernel has no Landlock, or one too old for the isolation.
    #[error("this isolation needs Landlock ABI {needed}, the kernel offers {found}")]
    LandlockAbsent {
        /// The least version that will do.
        needed: u32,
        /// What the kernel offers; 0 is none.
        found: u32,
    },
    /// The kernel has no seccomp filters with what is needed of them.
    #[error("the kernel's seccomp lacks {lacking}")]
    SeccompAbsent {
        /// What is lacking.
        lacking: &'static str,
    },
    /// Resource limits can't be set at all.
    #[error("resource limits can't be set in this process")]
    RlimitsAbsent,
    /// Prompts could be written to a swap device.
    #[error("swap is in use ({devices}), so prompts could reach a disk")]
    SwapPresent {
        /// The devices, or why they can't be known.
        devices: String,
    },
    /// The kernel refused a step.
    #[error("{}: {step} failed: {source}", layer.as_str())]
    Refused {
        /// The layer that it belongs to.
        layer: LayerName,
        /// The step, as the manual calls it.
        step: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A limit above what this process was given.
    #[error("{limit} can't be set to {wanted}: this process may have at most {allowed}")]
    Limit {
        /// The limit's name in `getrlimit(2)`.
        limit: &'static str,
        /// What was asked for.
        wanted: u64,
        /// The hard limit.
        allowed: u64,
    },
    /// Cores that this process may not use.
    #[error("the worker can't be placed on cores {wanted:?}: it may use {allowed:?}")]
    Cores {
        /// What was asked for.
        wanted: Vec<u32>,
        /// What the kernel grants.
        allowed: Vec<u32>,
    },
    /// A layer was set, but reads back otherwise.
    #[error("{} was set but is not in force: {found}", layer.as_str())]
    NotInForce {
        /// The layer.
        layer: LayerName,
        /// What the kernel said.
        found: String,
    },
    /// A layer of one thread was asked for while several run.
    #[error("{threads} threads run where one must")]
    Threads {
        /// How many.
        threads: usize,
    },
    /// The host is gone already.
    #[error("the host ended before the worker was locked in")]
    Orphaned,
    /// A descriptor isn't what a worker is started with.
    #[error("descriptor {descriptor} is not {expected}")]
    Descriptor {
        /// Its number.
        descriptor: i32,
        /// What it has to be.
        expected: &'static str,
    },
}

impl SandboxError {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::LandlockAbsent { .. } => "sandbox.landlock_absent",
            Self::SeccompAbsent { .. } => "sandbox.seccomp_absent",
            Self::RlimitsAbsent => "sandbox.rlimits_absent",
            Self::SwapPresent { .. } => "sandbox.swap_present",
            Self::Refused { .. } => "sandbox.refused",
            Self::Limit { .. } => "sandbox.limit",
            Self::Cores { .. } => "sandbox.cores",
            Self::NotInForce { .. } => "sandbox.not_in_force",
            Self::Threads { .. } => "sandbox.threads",
            Self::Orphaned => "sandbox.orphaned",
            Self::Descriptor { .. } => "sandbox.descriptor",
        }
    }

    /// What the operator can do about it.
    pub const fn next_step(&self) -> &'static str {
        match self {
            Self::LandlockAbsent { needed: 1, .. } => {
                "boot a kernel of 5.13 or later with `landlock` in its list of security modules"
            }
            Self::LandlockAbsent { .. } => {
                "boot a kernel of 6.12 or later, or use isolation=\"process\""
            }
            Self::SeccompAbsent { .. } => {
                "boot a kernel of 4.14 or later with CONFIG_SECCOMP_FILTER"
            }
            Self::RlimitsAbsent => "let the container or service manager allow prlimit",
            Self::SwapPresent { .. } => {
                "switch swap off (`swapoff -a`), or use isolation=\"process\""
            }
            Self::Refused { .. } | Self::NotInForce { .. } => {
                "run `strongroom doctor` to see what this machine can enforce"
            }
            Self::Limit { .. } => "ask for less, or raise the hard limit of the service or shell",
            Self::Cores { .. } => "ask for fewer cores, or start the host on more",
            Self::Threads { .. } | Self::Descriptor { .. } => {
                "start workers only through strongroom's own host"
            }
            Self::Orphaned => "nothing: the host that asked is gone",
        }
    }
}

/// Turns the kernel's answer to `step` of `layer` into an error.
pub(crate) fn refused<E: Into<io::Error>>(
    layer: LayerName,
    step: &'static str,
) -> impl FnOnce(E) -> SandboxError {
    move |source| SandboxError::Refused {
        layer,
        step,
        source: source.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every() -> Vec<SandboxError> {
        let layer = LayerName::Cores;
        vec![
            SandboxError::LandlockAbsent {
                needed: 1,
                found: 0,
            },
            SandboxError::SeccompAbsent { lacking: "TSYNC" },
            SandboxError::RlimitsAbsent,
            SandboxError::SwapPresent {
                devices: "/dev/sda2".to_owned(),
            },
            refused(layer, "sched_setaffinity")(io::Error::from_raw_os_error(libc::EPERM)),
            SandboxError::Limit {
                limit: "RLIMIT_AS",
                wanted: 2,
                allowed: 1,
            },
            SandboxError::Cores {
                wanted: vec![7],
                allowed: vec![0],
            },
            SandboxError::NotInForce {
                layer,
                found: "[0]".to_owned(),
            },
            SandboxError::Threads { threads: 2 },
            SandboxError::Orphaned,
            SandboxError::Descriptor {
                descriptor: 4,
                expected: "a sealed image",
            },
        ]
    }

    #[test]
    fn the_codes_are_those_of_the_errors() {
        let codes: Vec<_> = every().iter().map(SandboxError::code).collect();
        assert_eq!(codes, CODES);
    }

    #[test]
    fn every_error_names_its_reason_and_a_next_step() {
        for error in every() {
            assert!(!error.to_string().is_empty());
            assert!(!error.next_step().is_empty());
        }
    }
}
