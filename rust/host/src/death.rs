//! What a worker died of, read from how it ended.

use std::{fs, os::unix::process::ExitStatusExt, process::ExitStatus};

use rustix::process::Signal;
use strongroom_protocol::ExitCode;

use crate::Death;

impl Death {
    /// Reads a status; `None` where another part of the program took it. `memory_ran_out` says
    /// whether the kernel killed anything for memory during the worker's life.
    pub(crate) fn classify(status: Option<ExitStatus>, memory_ran_out: impl Fn() -> bool) -> Self {
        let Some(status) = status else {
            return Self::Exited(None);
        };
        if let Some(raw) = status.signal() {
            return Self::of_signal(raw, memory_ran_out);
        }
        let code = status.code();
        match code.and_then(ExitCode::from_raw) {
            Some(ExitCode::Abort) => Self::Aborted,
            Some(ExitCode::Memory) => Self::OutOfMemory,
            Some(ExitCode::Panic) => Self::Crashed("panic"),
            Some(ExitCode::Protocol) => Self::Protocol("it says that the host did"),
            Some(ExitCode::Clean | ExitCode::Failed) | None => Self::Exited(code),
        }
    }

    fn of_signal(raw: i32, memory_ran_out: impl Fn() -> bool) -> Self {
        match Signal::from_named_raw(raw) {
            Some(Signal::SYS | Signal::XFSZ) => Self::Violation,
            Some(Signal::KILL) if memory_ran_out() => Self::OutOfMemory,
            Some(Signal::KILL) => Self::Killed("SIGKILL"),
            Some(Signal::XCPU) => Self::OverTime("processor time used up"),
            Some(Signal::ABORT) => Self::Aborted,
            Some(Signal::SEGV) => Self::Crashed("SIGSEGV"),
            Some(Signal::BUS) => Self::Crashed("SIGBUS"),
            Some(Signal::ILL) => Self::Crashed("SIGILL"),
            Some(Signal::FPE) => Self::Crashed("SIGFPE"),
            Some(Signal::TERM) => Self::Killed("SIGTERM"),
            Some(Signal::INT) => Self::Killed("SIGINT"),
            Some(Signal::HUP) => Self::Killed("SIGHUP"),
            Some(Signal::QUIT) => Self::Killed("SIGQUIT"),
            _ => Self::Killed("another signal"),
        }
    }
}

/// Processes that the kernel has killed for memory so far: in our control group where it counts
/// them, else on the whole machine. `None` where neither is told.
pub(crate) fn memory_kills() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let ours = groups
        .lines()
        .find_map(|line| line.strip_prefix("0::"))
        .map(|group| format!("/sys/fs/cgroup{group}/memory.events"));
    ours.and_then(|path| count(&fs::read_to_string(path).ok()?))
        .or_else(|| count(&fs::read_to_string("/proc/vmstat").ok()?))
}

fn count(text: &str) -> Option<u64> {
    text.lines()
        .find_map(|line| line.strip_prefix("oom_kill "))
        .and_then(|number| number.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn of_raw(raw: i32, memory_ran_out: bool) -> Death {
        Death::classify(Some(ExitStatus::from_raw(raw)), || memory_ran_out)
    }

    #[test]
    fn signals_are_told_apart() {
        for (signal, code) in [
            (31, "worker.violation"),
            (25, "worker.violation"),
            (9, "worker.killed"),
            (15, "worker.killed"),
            (12, "worker.killed"),
            (24, "worker.over_time"),
            (6, "worker.aborted"),
            (11, "worker.crashed"),
            (7, "worker.crashed"),
            (4, "worker.crashed"),
            (8, "worker.crashed"),
        ] {
            assert_eq!(of_raw(signal, false).code(), code, "signal {signal}");
        }
    }

    #[test]
    fn a_kill_is_memory_only_if_the_kernel_killed_for_it() {
        assert_eq!(of_raw(9, true).code(), "worker.out_of_memory");
        assert_eq!(of_raw(11, true).code(), "worker.crashed");
    }

    #[test]
    fn exit_codes_are_told_apart() {
        for (exit, code) in [
            (0, "worker.exited"),
            (1, "worker.exited"),
            (64, "worker.exited"),
            (70, "worker.crashed"),
            (71, "worker.aborted"),
            (72, "worker.out_of_memory"),
            (73, "worker.protocol"),
        ] {
            assert_eq!(of_raw(exit << 8, false).code(), code, "exit code {exit}");
        }
    }

    #[test]
    fn a_lost_status_is_said_to_be_lost() {
        let death = Death::classify(None, || true);
        assert_eq!(death, Death::Exited(None));
        assert!(death.to_string().contains("lost"));
    }

    #[test]
    fn kills_are_counted() {
        assert_eq!(count("low 0\noom 3\noom_kill 2\n"), Some(2));
        assert_eq!(count("oom_kill_disable 0\n"), None);
        assert!(memory_kills().is_some());
    }
}
