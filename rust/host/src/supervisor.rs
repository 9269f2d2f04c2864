//! The thread that keeps a worker running for a model.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use strongroom_memory::Image;
use strongroom_protocol::{Limits, Start, VERSION};
use strongroom_sandbox::Machine;

use crate::{
    Config, HostError,
    connection::Connection,
    cores::Cores,
    desk::Desk,
    process::Process,
    session::{Ending, Session},
    waiting::Waiting,
};

/// Workers that may fail to become ready, one after the other, before the model is over.
const MAX_FAILURES: u32 = 3;

/// A worker that lived this long starts the count of short lives anew.
const LONG_LIFE: Duration = Duration::from_secs(10);

/// The longest pause before a worker is replaced.
const MAX_PAUSE: Duration = Duration::from_millis(500);

/// Keeps a worker running for a model.
#[derive(Debug)]
pub(crate) struct Supervisor {
    image: Image,
    config: Config,
    cores: Cores,
    threads: u32,
    waiting: Waiting,
}

impl Supervisor {
    pub(crate) fn new(desk: Arc<Desk>, image: Image, config: Config, machine: &Machine) -> Self {
        let cores = Cores::choose(&machine.cores, config.cores);
        let threads = threads(&cores, machine, config.threads);
        Self {
            image,
            config,
            cores,
            threads,
            waiting: Waiting::new(desk),
        }
    }

    /// The thread's whole life: every worker is spawned from here, because a worker dies with the
    /// thread that spawned it.
    pub(crate) fn run(self) {
        let desk = Arc::clone(&self.waiting.desk);
        let mut supervisor = self;
        // A panic here would leave callers waiting; dropping what it held ends their requests.
        let error = catch_unwind(AssertUnwindSafe(|| supervisor.supervise()))
            .unwrap_or(HostError::Unloaded);
        desk.over(&error);
        supervisor.waiting.fail(&error);
    }

    /// Replaces workers until the model is over; says why it is.
    fn supervise(&mut self) -> HostError {
        let mut was_ever_ready = false;
        let mut failures = 0;
        let mut short_lives = 0;
        loop {
            let mut late = HostError::Deadline;
            let started = Instant::now();
            let ending = self.live().unwrap_or_else(|error| Ending::Died {
                error,
                was_ready: false,
                served: false,
            });
            match ending {
                Ending::Closed => return HostError::Unloaded,
                Ending::Died {
                    was_ready: true,
                    served,
                    ..
                } => {
                    was_ever_ready = true;
                    failures = 0;
                    if served || started.elapsed() > LONG_LIFE {
                        short_lives = 0;
                    }
                }
                // The model has loaded here: it waits until there is enough again, and its
                // requests with it, each until its deadline.
                Ending::Died { error, .. }
                    if was_ever_ready && matches!(error, HostError::Exhausted { .. }) =>
                {
                    late = error;
                }
                Ending::Died { error, .. } => {
                    failures += 1;
                    if !was_ever_ready || failures >= MAX_FAILURES {
                        return error;
                    }
                }
            }
            if self.pause(pause_after(short_lives), &late) {
                return HostError::Unloaded;
            }
            short_lives += 1;
        }
    }

    fn live(&mut self) -> Result<Ending, HostError> {
        let not_started =
            |error: std::io::Error| HostError::not_started(&self.config.executable, &error);
        let image = self.image.reopen().map_err(not_started)?;
        let (connection, of_worker) = Connection::pair().map_err(not_started)?;
        let process = Process::spawn(&self.config.executable, of_worker, image)?;
        let start = start(&self.config, &self.cores, self.threads);
        Ok(Session::new(&self.config, &mut self.waiting, process, connection, start)?.run())
    }

    /// Without a worker for `length`, where what waits for too long ends with `late`; says whether
    /// the model is being unloaded.
    fn pause(&mut self, length: Duration, late: &HostError) -> bool {
        let until = Instant::now() + length;
        loop {
            if self.waiting.look().closing {
                return true;
            }
            let now = Instant::now();
            self.waiting.expire(now, late);
            if now >= until {
                return false;
            }
            let next = self
                .waiting
                .next_deadline()
                .map_or(until, |deadline| deadline.min(until));
            let timeout = Timespec::try_from(next.saturating_duration_since(now)).ok();
            let mut fds = [PollFd::from_borrowed_fd(
                self.waiting.desk.wake_fd(),
                PollFlags::IN,
            )];
            // An interruption or error only makes it look again.
            let _ = poll(&mut fds, timeout.as_ref());
        }
    }
}

/// Compute threads: one per core that is really free, or as many as are asked for; at least one, and no
/// more than the cores: waiting for each other they would do little else.
pub(crate) fn threads(cores: &Cores, machine: &Machine, wanted: Option<u32>) -> u32 {
    let cores = cores.numbers().len();
    let most = u32::try_from(cores).unwrap_or(u32::MAX);
    let free = u32::try_from(cores.min(machine.cores_free())).unwrap_or(1);
    wanted.map_or(free, |wanted| wanted.min(most)).max(1)
}

/// The first order to a worker.
pub(crate) fn start(config: &Config, cores: &Cores, threads: u32) -> Start {
    let load_seconds = config.load_timeout.as_secs().saturating_add(1);
    Start {
        version: VERSION,
        isolation: config.isolation,
        limits: Limits {
            address_space: config.address_space,
            cores: cores.numbers().to_vec(),
            threads,
            load_cpu_seconds: load_seconds.saturating_mul(u64::from(threads)),
        },
        task: config.task,
        context_length: config.context_length,
        chat_template: config.chat_template.clone(),
        concurrent_requests: config.concurrent_requests,
        max_concurrent: config.max_concurrent,
        batch_tokens: config.batch_tokens,
        prefix_cache: config.prefix_cache,
        erase: config.erase,
    }
}

/// At once the first time, then longer and longer.
fn pause_after(short_lives: u32) -> Duration {
    match short_lives {
        0 => Duration::ZERO,
        _ => Duration::from_millis(25)
            .saturating_mul(1 << short_lives.min(8))
            .min(MAX_PAUSE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_replacement_is_at_once_and_later_ones_are_bounded() {
        assert_eq!(pause_after(0), Duration::ZERO);
        assert!(pause_after(1) < pause_after(2));
        assert_eq!(pause_after(u32::MAX), MAX_PAUSE);
    }
}
