//! The life of one worker, from its start to its end.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};
use strongroom_protocol::{Event, Isolation, Order, Ready, Start, Task};

use crate::{
    Config, Death, HostError, Stage,
    connection::Connection,
    desk::{Job, Kind, Life},
    flight::{Flight, Progress, Rule, request_of},
    isolation, printable,
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

/// Numbers that a vector has at most: 256 of them fit into a frame.
const MAX_DIMENSIONS: u32 = 8160;

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
    threads: u32,
    process: Process,
    connection: Connection,
    started: Instant,
    stage: Stage,
    ready: Option<Ready>,
    flights: BTreeMap<u64, Flight>,
    served: bool,
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
        /// It had brought a request to its end.
        served: bool,
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
        let threads = start.limits.threads;
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
            served: false,
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
            served: self.served,
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
                if self.flights.contains_key(&request) {
                    self.send(&Order::Cancel { request })?;
                }
            }
        }
        self.waiting.expire(Instant::now(), &HostError::Deadline);
        self.dispatch(Kind::Generate);
        self.dispatch(Kind::Tokenize);
        self.connection.flush();
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
        if !woken.socket {
            self.watch_clock(Instant::now())?;
        }
        Ok(woken.desk)
    }

    /// Sends what waits, as far as the worker takes it.
    fn dispatch(&mut self, kind: Kind) {
        let Some(ready) = &self.ready else {
            return;
        };
        let held = |flights: &BTreeMap<u64, Flight>| {
            flights
                .values()
                .filter(|flight| flight.kind() == kind)
                .count()
        };
        while held(&self.flights) < self.config.concurrent_requests as usize
            && let Some(mut job) = self.waiting.take(kind)
        {
            let now = Instant::now();
            let left = job.ticket.deadline.saturating_duration_since(now);
            let left = u64::try_from(left.as_millis()).unwrap_or(u64::MAX).max(1);
            match &mut job.order {
                Order::Generate(order) => order.timeout_ms = left,
                Order::Embed(order) => order.timeout_ms = left,
                Order::Publish(order) => order.timeout_ms = left,
                Order::Start(_) | Order::Tokenize { .. } | Order::Cancel { .. } => {}
            }
            if let Err(error) = self.connection.queue(&job.order) {
                job.ticket.end(End::Failed(HostError::Option {
                    option: "request",
                    reason: error.to_string(),
                }));
                continue;
            }
            self.flights.insert(job.ticket.id, Flight::new(job, ready));
            self.allow_time(now);
        }
    }

    /// Limits the processor time to what is left until the last deadline in flight, on all threads.
    fn allow_time(&self, now: Instant) {
        if self.config.isolation == Isolation::DangerNone {
            return;
        }
        let last = self
            .flights
            .values()
            .map(|flight| flight.ticket.deadline)
            .max();
        let left = last.map_or(Duration::ZERO, |last| last.saturating_duration_since(now));
        let needed = left
            .saturating_add(self.config.grace)
            .saturating_mul(self.threads)
            .saturating_add(SPARE_TIME);
        self.process.allow(needed);
    }

    fn send(&mut self, order: &Order) -> Result<(), Fall> {
        self.connection
            .queue(order)
            .map_err(|_| self.broken("a frame that the host can't encode"))
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

    /// Reads once, and takes every event that is whole; says whether anything came.
    fn receive(&mut self) -> Result<bool, Fall> {
        let came = self.connection.receive();
        loop {
            match self.connection.event() {
                Ok(Some(event)) => self.handle(event)?,
                Ok(None) => return Ok(came),
                Err(_) => return Err(self.broken("a frame that can't be decoded")),
            }
        }
    }

    fn handle(&mut self, event: Event) -> Result<(), Fall> {
        if let Some(request) = request_of(&event) {
            let Some(flight) = self.flights.get_mut(&request) else {
                return Err(self.broken("a request that it doesn't hold"));
            };
            return match flight.accept(event) {
                Ok(Progress::More) => Ok(()),
                Ok(Progress::Over) => {
                    self.flights.remove(&request);
                    self.served = true;
                    Ok(())
                }
                Err(rule) => {
                    flight.blame();
                    Err(self.broken(rule))
                }
            };
        }
        match (self.stage, event) {
            (Stage::Locking, Event::Locked(report)) => {
                isolation::check_loading(self.config.isolation, &report).map_err(Fall::Kill)?;
                self.stage = Stage::Loading;
                Ok(())
            }
            (Stage::Loading, Event::Ready(ready)) => self.is_ready(*ready),
            (Stage::Locking | Stage::Loading, Event::Failed(fault)) => {
                Err(Fall::Kill(HostError::Refused(printable::fault(&fault))))
            }
            (Stage::Locking, _) => Err(self.broken("Ready before Locked")),
            (Stage::Loading, _) => Err(self.broken("Locked twice")),
            (Stage::Serving, _) => Err(self.broken("Ready twice, or a state that it has left")),
        }
    }

    fn is_ready(&mut self, mut ready: Ready) -> Result<(), Fall> {
        isolation::check_serving(self.config.isolation, &ready.report).map_err(Fall::Kill)?;
        isolation::check_kernel(self.config.isolation, self.process.pid()).map_err(Fall::Kill)?;
        let longest = self.config.context_length.unwrap_or(DEFAULT_CONTEXT);
        if !(1..=longest).contains(&ready.context_length) {
            return Err(self.broken("a context longer than asked for"));
        }
        if ready.vocabulary_size == 0 {
            return Err(self.broken("an empty vocabulary"));
        }
        if !(1..=self.config.max_concurrent).contains(&ready.max_concurrent) {
            return Err(self.broken("more sequences than asked for"));
        }
        let embeds = matches!(self.config.task, Task::Embed { .. });
        if embeds != (1..=MAX_DIMENSIONS).contains(&ready.dimensions) {
            return Err(self.broken("vectors of no length, or of any where none are asked for"));
        }
        ready.report = printable::report(ready.report);
        ready.chat = ready.chat.as_ref().map(printable::fault);
        // What loading left over isn't for serving.
        self.allow_time(Instant::now());
        self.stage = Stage::Serving;
        self.ready = Some(ready.clone());
        self.waiting.desk.publish(Life {
            pid: self.process.pid(),
            ready,
        });
        Ok(())
    }

    /// When the clock has to be looked at next.
    fn next_deadline(&self) -> Option<Instant> {
        // A time that the clock can't express never comes.
        let grace = self.config.grace;
        let loading = match &self.ready {
            None => self.started.checked_add(self.config.load_timeout),
            Some(_) => None,
        };
        let overdue = self.first_deadline().and_then(|at| at.checked_add(grace));
        let stalled = self.connection.partial_since;
        let stalled = stalled.and_then(|since| since.checked_add(grace));
        let left = self.connection.ended_at.map(|since| since + LEAVE);
        let waiting = self.waiting.next_deadline();
        [loading, overdue, stalled, left, waiting]
            .into_iter()
            .flatten()
            .min()
    }

    /// Of those in flight.
    fn first_deadline(&self) -> Option<Instant> {
        self.flights
            .values()
            .map(|flight| flight.ticket.deadline)
            .min()
    }

    fn watch_clock(&mut self, now: Instant) -> Result<(), Fall> {
        let passed = |since: Instant, by: Duration| now.saturating_duration_since(since) >= by;
        let timeout = self.config.load_timeout;
        if self.ready.is_none() && passed(self.started, timeout) {
            return Err(Fall::Kill(HostError::LoadTimeout { timeout }));
        }
        let grace = self.config.grace;
        if let Some(flight) = self
            .flights
            .values_mut()
            .find(|flight| now > flight.ticket.deadline && passed(flight.ticket.deadline, grace))
        {
            flight.blame();
            return Err(Fall::Kill(HostError::Worker {
                death: Death::OverTime("a request's deadline was missed"),
                stage: self.stage,
            }));
        }
        if let Some(since) = self.connection.partial_since
            && passed(since, grace)
        {
            return Err(self.broken("a frame that was begun and not ended"));
        }
        if let Some(since) = self.connection.ended_at
            && passed(since, LEAVE)
        {
            return Err(self.broken("it closed its socket and lived on"));
        }
        Ok(())
    }

    fn broken(&self, rule: Rule) -> Fall {
        Fall::Kill(HostError::Worker {
            death: Death::Protocol(rule),
            stage: self.stage,
        })
    }

    /// Fails what had begun, and puts back what had not.
    ///
    /// A worker answers a Tokenize as it reads it, before anything else: each that is unanswered
    /// may be what it died of, and sent again would cost the next worker's streams too.
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
            match flight.into_job() {
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
