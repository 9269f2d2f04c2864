//! The worker as a process: its start, its limits, its end.

use std::{
    fs,
    io::{self, PipeReader, Read},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::{
            net::UnixStream,
            process::{CommandExt, ExitStatusExt},
        },
    },
    path::Path,
    process::{Command, ExitStatus, Stdio},
    time::Duration,
};

use command_fds::{CommandFdExt, FdMapping};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    process::{
        Pid, PidfdFlags, Resource, Rlimit, Signal, WaitId, WaitIdOptions, getrlimit, pidfd_open,
        pidfd_send_signal, prlimit, waitid,
    },
};
use strongroom_protocol::descriptor;

use crate::{Death, HostError, death::memory_kills};

/// A worker's process. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Process {
    pid: Pid,
    /// Names the process even when its number was given to another one.
    pidfd: OwnedFd,
    log: Option<PipeReader>,
    /// Those that the kernel had killed for memory when it started.
    memory_kills: Option<u64>,
    reaped: bool,
}

impl Process {
    /// Starts `executable` with nothing but `socket`, `image`, the null device and a pipe.
    ///
    /// The worker asks to die with the *thread* that calls this.
    pub(crate) fn spawn(
        executable: &Path,
        socket: UnixStream,
        image: OwnedFd,
    ) -> Result<Self, HostError> {
        Self::try_spawn(executable, socket, image)
            .map_err(|error| HostError::not_started(executable, &error))
    }

    fn try_spawn(executable: &Path, socket: UnixStream, image: OwnedFd) -> io::Result<Self> {
        let memory_kills = memory_kills();
        let (log, log_of_worker) = io::pipe()?;
        // Absolute, because the worker starts in the root directory.
        let mut command = Command::new(std::path::absolute(executable)?);
        command
            .arg0("strongroom-worker")
            .env_clear()
            // ggml would start a debugger for its backtrace.
            .env("GGML_NO_BACKTRACE", "1")
            .current_dir("/")
            // Of its own, so that Ctrl-C at a terminal doesn't reach it.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log_of_worker)
            .fd_mappings(vec![
                FdMapping {
                    parent_fd: socket.into(),
                    child_fd: descriptor::SOCKET,
                },
                FdMapping {
                    parent_fd: image,
                    child_fd: descriptor::IMAGE,
                },
            ])
            .map_err(io::Error::other)?;
        let mut child = command.spawn()?;
        let pid = Pid::from_child(&child);
        match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(pidfd) => Ok(Self {
                pid,
                pidfd,
                log: Some(log),
                memory_kills,
                reaped: false,
            }),
            Err(errno) => {
                // Nothing can be said about a process that can't be watched: don't keep it.
                let _ = child.kill();
                let _ = child.wait();
                Err(errno.into())
            }
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().cast_unsigned()
    }

    /// Readable when the process has ended.
    pub(crate) fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// Standard error, until its end.
    pub(crate) fn log(&self) -> Option<BorrowedFd<'_>> {
        self.log.as_ref().map(AsFd::as_fd)
    }

    /// Throws away what the worker wrote to standard error: it could hold a part of a prompt.
    pub(crate) fn drain_log(&mut self) {
        if let Some(log) = &mut self.log
            && !matches!(log.read(&mut [0; 4096]), Ok(1..))
        {
            self.log = None;
        }
    }

    /// Lets the process use `more` processor time from now on, over all its threads.
    ///
    /// Where that can't be said the old limit stays, which is less.
    pub(crate) fn allow(&self, more: Duration) {
        if let Some(used) = self.processor_seconds() {
            let limit = used.saturating_add(more.as_secs()).saturating_add(1);
            // The worker keeps the hard limit that it inherited.
            let maximum = getrlimit(Resource::Cpu).maximum;
            let limit = Rlimit {
                current: Some(maximum.map_or(limit, |maximum| maximum.min(limit))),
                maximum,
            };
            let _ = prlimit(Some(self.pid), Resource::Cpu, limit);
        }
    }

    /// Processor seconds used so far, rounded up.
    fn processor_seconds(&self) -> Option<u64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).ok()?;
        let ticks = ticks(&stat)?;
        Some(ticks.div_ceil(rustix::param::clock_ticks_per_second()))
    }

    /// Waits at most `timeout` for the process to end by itself; says whether it did.
    pub(crate) fn ends_within(&self, timeout: Duration) -> bool {
        let timeout = Timespec::try_from(timeout).ok();
        loop {
            let mut fds = [PollFd::new(&self.pidfd, PollFlags::IN)];
            match poll(&mut fds, timeout.as_ref()) {
                Err(Errno::INTR) => {}
                outcome => return outcome.is_ok_and(|ready| ready > 0),
            }
        }
    }

    /// Kills it, whatever it is doing.
    pub(crate) fn kill(&self) {
        // Fails only where the process has ended already.
        let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
    }

    /// Waits for the end, and says what it was.
    pub(crate) fn reap(&mut self) -> Death {
        self.reaped = true;
        let status = loop {
            match waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED) {
                Err(Errno::INTR) => {}
                // Another part of the program waits for every child, or ignores SIGCHLD.
                Err(_) => break None,
                Ok(status) => break status,
            }
        };
        let status = status.map(|status| {
            ExitStatus::from_raw(
                status
                    .exit_status()
                    .map(|code| code << 8)
                    .or_else(|| status.terminating_signal())
                    .unwrap_or_default(),
            )
        });
        Death::classify(status, || {
            self.memory_kills
                .zip(memory_kills())
                .is_some_and(|(before, now)| now > before)
        })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.reaped {
            self.kill();
            self.reap();
        }
    }
}

/// The sum of `utime` and `stime` in `/proc/PID/stat` (proc(5)); the name before them may hold
/// anything, parentheses included.
fn ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut times = fields.split(' ').skip(11).map(str::parse::<u64>);
    let user = times.next()?.ok()?;
    let system = times.next()?.ok()?;
    user.checked_add(system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_read_behind_any_name() {
        let stat = "7 (a) b) R 1 7 7 0 -1 4194304 90 0 0 0 12 30 0 0 20 0 1 0 5 9 9";
        assert_eq!(ticks(stat), Some(42));
        assert_eq!(ticks("7 (a"), None);
        assert_eq!(ticks(""), None);
    }
}
