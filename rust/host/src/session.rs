//! The life of one worker, from its start to its end.

mod clock;
mod dialogue;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};
use strongroom_protocol::{Isolation, Order, Ready, Start};

use crate::{
    Config, Death, HostError, Stage,
    connection::Connection,
    desk::{Job, Kind},
    flight::Flight,
    process::Process,
    slot::End,
    waiting::Waiting,
};

/// How long a worker that was told to end, or that closed its socket, may take to leave.
const LEAVE: Duration = Duration::from_millis(500);

/// Processor time that a worker may use beyond what its requests' deadlines imply.
const SPARE_TIME: Duration = Duration::from_secs(10);

/// Workers that may die with the same request first in their queue and none begun, before it is
/// blamed.
const MAX_STRIKES: u32 = 2;

/// Workers that a request is sent to at most, whoever they died of.
const MAX_WORKERS: u32 = 3;

/// The longest context that a worker chooses by itself, in tokens, as the protocol says.
const DEFAULT_CONTEXT: u32 = 4096;

/// Address space that a worker's program takes at most before it reads the image, its threads'
/// stacks not counted.
const PROGRAM: u64 = 64 << 20;

/// Address space of a thread's stack, at most.
const STACK: u64 = 8 << 20;

/// The life of one worker.
#[derive(Debug)]
pub(crate) struct Session<'a> {
    config: &'a Config,
    waiting: &'a mut Waiting,
    /// Of the worker, those that compute for long: the ones that decode, and the one that tokenizes.
    threads: u32,
    process: Process,
    connection: Connection,
    started: Instant,
    stage: Stage,
    ready: Option<Ready>,
    flights: BTreeMap<u64, Flight>,
    answered: bool,
}

/// How a life ended.
#[derive(Debug)]
pub(crate) enum Ending {
    /// The model was unloaded.
    Closed,
    /// The worker is gone.
    Died {
        error: HostError,
        /// It had become ready.
        was_ready: bool,
        /// It had brought an answer to its end.
        answered: bool,
    },
}

/// Why a life can't go on.
enum Fall {
    Closed,
    /// The process has ended by itself.
    Gone,
    /// It must be ended.
    Kill(HostError),
}

/// What poll said.
#[allow(clippy::struct_excessive_bools)]
struct Woken {
    desk: bool,
    exited: bool,
    socket: bool,
    log: bool,
}

impl<'a> Session<'a> {
    /// Over a worker that was just spawned, whose first order is `start`.
    pub(crate) fn new(
        config: &'a Config,
        waiting: &'a mut Waiting,
        process: Process,
        mut connection: Connection,
        start: Start,
    ) -> Result<Self, HostError> {
        let threads = start.limits.threads.saturating_add(1);
        connection
            .queue(&Order::Start(Box::new(start)))
            .map_err(|error| HostError::Option {
                option: "chat_template",
                reason: error.to_string(),
            })?;
        Ok(Self {
            config,
            waiting,
            threads,
            process,
            connection,
            started: Instant::now(),
            stage: Stage::Locking,
            ready: None,
            flights: BTreeMap::new(),
            answered: false,
        })
    }

    /// Lives until the worker is gone, and settles what it held.
    pub(crate) fn run(mut self) -> Ending {
        let error = match self.live() {
            Fall::Closed => {
                self.connection.shut_down();
                if !self.process.ends_within(LEAVE) {
                    self.process.kill();
                }
                self.process.reap();
                for flight in self.flights.values() {
                    flight.ticket.end(End::Failed(HostError::Unloaded));
                }
                return Ending::Closed;
            }
            Fall::Gone => self.died(self.stage, None),
            Fall::Kill(error) => {
                self.process.kill();
                self.died(self.stage, Some(error))
            }
        };
        self.settle(&error);
        Ending::Died {
            error,
            was_ready: self.ready.is_some(),
            answered: self.answered,
        }
    }

    fn died(&mut self, stage: Stage, killed_for: Option<HostError>) -> HostError {
        let death = match self.process.reap() {
            Death::Aborted if stage == Stage::Locking && self.is_cramped() => Death::OutOfMemory,
            death => death,
        };
        killed_for.unwrap_or(HostError::Worker { death, stage })
    }

    /// Whether the limit may have no room for the worker's threads. llama.cpp aborts when it can't
    /// start one; nothing of the image, which it aborts for later, is read before it has.
    fn is_cramped(&self) -> bool {
        let stacks = STACK.saturating_mul(u64::from(self.threads));
        self.config.isolation != Isolation::DangerNone
            && self.config.address_space < PROGRAM.saturating_add(stacks)
    }

    fn live(&mut self) -> Fall {
        let mut look = true;
        loop {
            match self.turn(look) {
                Ok(desk) => look = desk,
                Err(fall) => return fall,
            }
        }
    }

    /// One turn; says whether the desk has something.
    fn turn(&mut self, look: bool) -> Result<bool, Fall> {
        if look {
            let look = self.waiting.look();
            if look.closing {
                return Err(Fall::Closed);
            }
            for request in look.cancels {
                // A cancel of a request that has just ended needs no frame.
                if let Some(flight) = self.flights.get_mut(&request) {
                    flight.cancel();
                    self.send(&Order::Cancel { request })?;
                }
            }
        }
        self.waiting.expire(Instant::now(), &HostError::Deadline);
        self.dispatch(Kind::Generate);
        self.dispatch(Kind::Tokenize);
        self.connection.flush();
        // For what was cancelled or came too late.
        self.waiting.desk.ring_bells();
        let woken = self.poll()?;
        if woken.log {
            self.process.drain_log();
        }
        if woken.socket {
            self.receive()?;
        }
        if woken.exited {
            // What it said before is still in the socket, and no more will come.
            while self.receive()? {}
            return Err(Fall::Gone);
        }
        // All that was said is heard, also of a worker that never stops.
        if !(woken.socket && self.connection.has_more()) {
            self.watch_clock(Instant::now())?;
        }
        Ok(woken.desk)
    }

    fn poll(&self) -> Result<Woken, Fall> {
        let mut wanted = PollFlags::IN;
        if self.connection.is_backed_up() {
            wanted |= PollFlags::OUT;
        }
        let mut fds = Vec::with_capacity(4);
        fds.push(PollFd::from_borrowed_fd(
            self.waiting.desk.wake_fd(),
            PollFlags::IN,
        ));
        fds.push(PollFd::from_borrowed_fd(
            self.process.pidfd(),
            PollFlags::IN,
        ));
        // After its end a socket or pipe would be ready for ever.
        let socket = self.connection.ended_at.is_none().then(|| {
            fds.push(PollFd::new(&self.connection, wanted));
            fds.len() - 1
        });
        let log = self.process.log().map(|log| {
            fds.push(PollFd::from_borrowed_fd(log, PollFlags::IN));
            fds.len() - 1
        });
        let timeout = self.next_deadline().map(|deadline| {
            let left = deadline.saturating_duration_since(Instant::now());
            Timespec::try_from(left).unwrap_or(Timespec {
                tv_sec: 3600,
                tv_nsec: 0,
            })
        });
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => {
                return Err(Fall::Kill(HostError::not_started(
                    &self.config.executable,
                    &errno.into(),
                )));
            }
        }
        let is_ready = |index: usize| !fds[index].revents().is_empty();
        Ok(Woken {
            desk: is_ready(0),
            exited: is_ready(1),
            socket: socket.is_some_and(|index| !(fds[index].revents() - PollFlags::OUT).is_empty()),
            log: log.is_some_and(is_ready),
        })
    }

    /// Fails what had begun, and puts back what had not.
    ///
    /// Each Tokenize that is unanswered may be what the worker died of, and sent again would cost the
    /// next worker's streams too.
    fn settle(&mut self, error: &HostError) {
        let flights = std::mem::take(&mut self.flights);
        // With nobody else to suspect, the first that waited is suspected.
        let mut suspect = !flights.values().any(Flight::has_begun);
        let mut again = Vec::<Job>::new();
        for flight in flights.into_values() {
            if flight.ticket.is_abandoned() {
                flight.ticket.end(End::Failed(error.clone()));
                continue;
            }
            let is_cancelled = flight.is_cancelled();
            match flight.into_job() {
                Ok(job) if is_cancelled => job.cancel(),
                Err(ticket) => ticket.end(End::Failed(error.clone())),
                Ok(mut job) => {
                    job.lost += 1;
                    job.strikes += u32::from(std::mem::take(&mut suspect));
                    if job.lost < MAX_WORKERS && job.strikes < MAX_STRIKES {
                        again.push(job);
                    } else {
                        job.ticket.end(End::Failed(error.clone()));
                    }
                }
            }
        }
        self.waiting.give_back(again);
    }
}
