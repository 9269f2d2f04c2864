//! Why a model can't be started, or a request not be served.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::io::Errno;
use strongroom_protocol::{Fault, LayerName};
use strongroom_sandbox::InstructionSet;

/// Every code that this crate adds; the worker's own are `FaultCode::ALL`.
pub const CODES: &[&str] = &[
    "load.cancelled",
    "load.timeout",
    "option.out_of_range",
    "prompt.too_long",
    "request.busy",
    "request.deadline",
    "request.tenant_busy",
    "request.unloaded",
    "router.forked",
    "sandbox.unavailable",
    "settings.unavailable",
    "worker.aborted",
    "worker.crashed",
    "worker.exited",
    "worker.killed",
    "worker.not_started",
    "worker.out_of_memory",
    "worker.over_time",
    "worker.protocol",
    "worker.quarantined",
    "worker.unsupported_processor",
    "worker.violation",
];

/// Why a model can't be started, or a request not be served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// No process could be made of the executable.
    #[error("the worker {path:?} can't be started: {reason}")]
    NotStarted {
        /// The executable.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// This processor can run none of the workers.
    #[error("no worker can run on this processor: it, or its kernel, lacks {}", lacks.join(", "))]
    Processor {
        /// What the least demanding worker would need.
        lacks: Vec<&'static str>,
    },
    /// The worker that the settings ask for can't be had.
    #[error("instruction_set={:?} can't be used here: {reason}", set.as_str())]
    InstructionSet {
        /// The worker's.
        set: InstructionSet,
        /// What is missing.
        reason: String,
    },
    /// This process, or its machine, has too little left to start a worker or watch it.
    #[error("a worker can't be started: {reason}")]
    Exhausted {
        /// What the system said.
        reason: String,
    },
    /// This machine can't enforce what the isolation requires.
    #[error("{message}")]
    Isolation {
        /// The sandbox's own code.
        code: &'static str,
        /// The sandbox's own words.
        message: String,
        /// The sandbox's own advice.
        next_step: String,
    },
    /// The worker runs without a layer that the isolation requires.
    #[error("the sandbox's layer {} is not in force in the worker", .0.as_str())]
    Layer(LayerName),
    /// The worker was not ready in time.
    #[error("the model was not loaded within {timeout:?}")]
    LoadTimeout {
        /// `load_timeout`.
        timeout: Duration,
    },
    /// The caller gave up while the model was loading.
    #[error("loading the model was cancelled")]
    LoadCancelled,
    /// The worker refused, in its own words.
    #[error("{}", .0.detail)]
    Refused(Fault),
    /// The worker died, or had to be killed.
    #[error("the worker {death} while {stage}")]
    Worker {
        /// Of what.
        death: Death,
        /// What it was doing.
        stage: Stage,
    },
    /// The model's workers died one after the other.
    #[error("the model is quarantined: its workers died in a row without an answer ({deaths})")]
    Quarantined {
        /// Each in its own words.
        deaths: String,
    },
    /// There is no memory for the secret that tenants are known by.
    #[error("{message}")]
    Memory {
        /// The arena's own code.
        code: &'static str,
        /// The arena's own words.
        message: String,
        /// The arena's own advice.
        next_step: &'static str,
    },
    /// More text than a worker is ever sent.
    #[error("the text has {bytes} bytes, over the bound of {bound}")]
    TextTooLong {
        /// All messages together.
        bytes: usize,
        /// `MAX_TEXT`.
        bound: usize,
    },
    /// More messages than a worker is ever sent.
    #[error("the conversation has {count} messages, over the bound of {bound}")]
    TooManyMessages {
        /// Of one prompt.
        count: usize,
        /// `MAX_MESSAGES`.
        bound: usize,
    },
    /// An option that no model could take.
    #[error("{option} is out of range: {reason}")]
    Option {
        /// Its name.
        option: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// As many requests are held as the settings allow.
    #[error("the model holds {limit} requests, as many as concurrent_requests allows")]
    Busy {
        /// `concurrent_requests`.
        limit: u32,
    },
    /// As many of one tenant's requests are held as the settings allow.
    #[error("the tenant has {limit} requests with the model, as many as tenant_requests allows")]
    TenantBusy {
        /// `tenant_requests`.
        limit: u32,
    },
    /// The deadline passed before a worker took the request.
    #[error("the request's deadline passed while it waited for a worker")]
    Deadline,
    /// The model was unloaded.
    #[error("the model was unloaded")]
    Unloaded,
    /// The process was forked after the model was loaded.
    #[error("the model was loaded by another process, before a fork")]
    Forked,
}

impl HostError {
    /// Why no process could be made of the executable at `path`.
    pub(crate) fn not_started(path: &Path, error: &io::Error) -> Self {
        Self::exhausted(error).unwrap_or_else(|| Self::NotStarted {
            path: path.to_owned(),
            reason: error.to_string(),
        })
    }

    /// [`Exhausted`](Self::Exhausted), if `error` says that descriptors, memory, processes or
    /// threads ran out: no fault of the worker's, and it may pass.
    pub(crate) fn exhausted(error: &io::Error) -> Option<Self> {
        let errno = Errno::from_io_error(error)?;
        matches!(
            errno,
            Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::AGAIN
        )
        .then(|| Self::Exhausted {
            reason: error.to_string(),
        })
    }

    /// What a model is quarantined for.
    pub(crate) fn quarantined(deaths: &[Self]) -> Self {
        let deaths: Vec<_> = deaths.iter().map(Self::to_string).collect();
        Self::Quarantined {
            deaths: deaths.join("; "),
        }
    }

    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotStarted { .. } | Self::Exhausted { .. } => "worker.not_started",
            Self::Processor { .. } => "worker.unsupported_processor",
            Self::InstructionSet { .. } => "settings.unavailable",
            Self::Isolation { code, .. } | Self::Memory { code, .. } => code,
            Self::Layer(_) => "sandbox.unavailable",
            Self::LoadTimeout { .. } => "load.timeout",
            Self::LoadCancelled => "load.cancelled",
            Self::Refused(fault) => fault.code.as_str(),
            Self::Worker { death, .. } => death.code(),
            Self::TextTooLong { .. } | Self::TooManyMessages { .. } => "prompt.too_long",
            Self::Option { .. } => "option.out_of_range",
            Self::Busy { .. } => "request.busy",
            Self::TenantBusy { .. } => "request.tenant_busy",
            Self::Quarantined { .. } => "worker.quarantined",
            Self::Deadline => "request.deadline",
            Self::Unloaded => "request.unloaded",
            Self::Forked => "router.forked",
        }
    }

    /// What the caller can do about it.
    pub fn next_step(&self) -> &str {
        match self {
            Self::NotStarted { .. } => {
                "reinstall strongroom: the worker is part of its wheel, and must be executable"
            }
            Self::Processor { .. } => {
                "use a machine whose processor has AVX2 (Intel's since Haswell, AMD's since Excavator) and whose \
                 kernel or hypervisor offers it; `strongroom doctor` says what is there"
            }
            Self::InstructionSet { .. } => {
                "set it to \"auto\", which takes the best worker that there is for this processor"
            }
            Self::Exhausted { .. } => {
                "try again once there are descriptors, memory and processes to be had, or raise their limits"
            }
            Self::Isolation { next_step, .. } => next_step,
            Self::Layer(_) => "run `strongroom doctor` to see what this machine can enforce",
            Self::LoadTimeout { .. } => "raise the load timeout, or load a smaller model",
            Self::Refused(fault) => fault.code.next_step(),
            Self::Worker { death, .. } => death.next_step(),
            Self::TextTooLong { .. } => "shorten the text",
            Self::TooManyMessages { .. } => "leave out the oldest messages",
            Self::Option { .. } => "see the option's documented range",
            Self::Busy { .. } => "wait and try again, or raise concurrent_requests",
            Self::TenantBusy { .. } => {
                "wait until one of them has ended and try again, or raise tenant_requests"
            }
            Self::Quarantined { .. } => {
                "find out what kills it, then let it start again with router.release(name)"
            }
            Self::Memory { next_step, .. } => next_step,
            Self::Deadline => "raise timeout, or send fewer requests at once",
            Self::LoadCancelled | Self::Unloaded => "load the model again",
            Self::Forked => "make a Router of its own in each process, after the fork",
        }
    }
}

/// What a worker was doing when it died.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Locking itself in.
    Locking,
    /// Parsing the image.
    Loading,
    /// Serving requests.
    Serving,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Locking => "it locked itself in",
            Self::Loading => "it loaded the model",
            Self::Serving => "it served requests",
        })
    }
}

/// What a worker died of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Death {
    /// SIGKILL, or another signal that somebody else sent.
    Killed(&'static str),
    /// llama.cpp found its own state broken.
    Aborted,
    /// It needed more memory than it has.
    OutOfMemory,
    /// It used up its processor time, or was killed for a missed deadline.
    OverTime(&'static str),
    /// A system call that the sandbox forbids.
    Violation,
    /// A signal of a broken program, or a panic.
    Crashed(&'static str),
    /// It broke the protocol, and was killed.
    Protocol(&'static str),
    /// It left by itself, with this code; `None` where another part of the program took it.
    Exited(Option<i32>),
}

impl Death {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Killed(_) => "worker.killed",
            Self::Aborted => "worker.aborted",
            Self::OutOfMemory => "worker.out_of_memory",
            Self::OverTime(_) => "worker.over_time",
            Self::Violation => "worker.violation",
            Self::Crashed(_) => "worker.crashed",
            Self::Protocol(_) => "worker.protocol",
            Self::Exited(_) => "worker.exited",
        }
    }

    const fn next_step(&self) -> &'static str {
        match self {
            Self::Killed(_) => {
                "try again: the worker is replaced; if it stays, see who kills it (memory pressure, an operator)"
            }
            Self::Aborted | Self::Crashed(_) => {
                "try again: the worker is replaced; if it stays, report the model's digest and this message"
            }
            Self::OutOfMemory => "raise memory_limit, or lower context_length",
            Self::OverTime(_) => "raise timeout, or ask for fewer tokens",
            Self::Violation => {
                "treat the model as hostile until you know better; report its digest and this message"
            }
            Self::Protocol(_) => {
                "treat the model as hostile until you know better; check that worker and module are of one version"
            }
            Self::Exited(_) => {
                "try again: the worker is replaced; if it stays, report this message"
            }
        }
    }
}

impl fmt::Display for Death {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Killed(signal) => write!(f, "was killed by {signal}"),
            Self::Aborted => f.write_str("was aborted by llama.cpp"),
            Self::OutOfMemory => f.write_str("ran out of memory"),
            Self::OverTime(what) => write!(f, "was over time ({what})"),
            Self::Violation => f.write_str("made a system call that its sandbox forbids"),
            Self::Crashed(how) => write!(f, "crashed ({how})"),
            Self::Protocol(rule) => write!(f, "broke the protocol ({rule})"),
            Self::Exited(Some(code)) => write!(f, "left with exit code {code}"),
            Self::Exited(None) => f.write_str("left, and its exit code was lost"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use strongroom_protocol::FaultCode;

    use super::*;

    /// One of each; a variant that is added and forgotten here leaves its code out of the count.
    fn all() -> Vec<HostError> {
        let deaths = [
            Death::Killed("SIGKILL"),
            Death::Aborted,
            Death::OutOfMemory,
            Death::OverTime("time"),
            Death::Violation,
            Death::Crashed("SIGSEGV"),
            Death::Protocol("a rule"),
            Death::Exited(Some(1)),
        ];
        let mut all = vec![
            HostError::NotStarted {
                path: PathBuf::from("worker"),
                reason: "not found".to_owned(),
            },
            HostError::Processor {
                lacks: vec!["avx2"],
            },
            HostError::InstructionSet {
                set: InstructionSet::Avx512,
                reason: "not there".to_owned(),
            },
            HostError::Exhausted {
                reason: "no descriptors".to_owned(),
            },
            HostError::Layer(LayerName::SeccompLoad),
            HostError::LoadTimeout {
                timeout: Duration::from_secs(1),
            },
            HostError::LoadCancelled,
            HostError::TextTooLong { bytes: 2, bound: 1 },
            HostError::TooManyMessages { count: 2, bound: 1 },
            HostError::Option {
                option: "timeout",
                reason: "too long".to_owned(),
            },
            HostError::Busy { limit: 1 },
            HostError::TenantBusy { limit: 1 },
            HostError::quarantined(&[HostError::LoadCancelled]),
            HostError::Deadline,
            HostError::Unloaded,
            HostError::Forked,
        ];
        all.extend(deaths.into_iter().map(|death| HostError::Worker {
            death,
            stage: Stage::Serving,
        }));
        all
    }

    #[test]
    fn the_codes_are_those_of_the_errors() {
        let found: BTreeSet<_> = all().iter().map(HostError::code).collect();
        assert_eq!(found.into_iter().collect::<Vec<_>>(), CODES);
    }

    #[test]
    fn what_the_host_lacks_is_told_from_what_is_wrong_with_the_worker() {
        let of = |errno: Errno| HostError::not_started(Path::new("worker"), &errno.into());
        for errno in [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::AGAIN] {
            assert!(matches!(of(errno), HostError::Exhausted { .. }), "{errno}");
        }
        for errno in [Errno::NOENT, Errno::ACCESS, Errno::NOEXEC] {
            assert!(matches!(of(errno), HostError::NotStarted { .. }), "{errno}");
        }
    }

    #[test]
    fn each_says_what_failed_and_what_to_do() {
        for error in all() {
            assert!(!error.to_string().is_empty());
            assert!(!error.next_step().is_empty());
            assert_ne!(error.to_string(), error.next_step());
        }
    }

    #[test]
    fn what_the_worker_the_sandbox_and_the_arena_say_keeps_its_code() {
        for &code in FaultCode::ALL {
            let error = HostError::Refused(Fault::new(code, "detail"));
            assert_eq!(error.code(), code.as_str());
            assert_eq!(error.next_step(), code.next_step());
            assert_eq!(error.to_string(), "detail");
        }
        let error = HostError::Isolation {
            code: "sandbox.swap_present",
            message: "swap".to_owned(),
            next_step: "swapoff".to_owned(),
        };
        assert_eq!(error.code(), "sandbox.swap_present");
        assert_eq!(error.next_step(), "swapoff");
        let error = HostError::Memory {
            code: "memory.refused",
            message: "can't map".to_owned(),
            next_step: "raise the limit",
        };
        assert_eq!(error.code(), "memory.refused");
        assert_eq!(error.next_step(), "raise the limit");
    }
}
