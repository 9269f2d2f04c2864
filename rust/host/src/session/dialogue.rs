//! What the host says to a worker, and what it takes of what the worker says.

use std::{collections::BTreeMap, time::Instant};

use strongroom_protocol::{Event, MAX_DIMENSIONS, Order, Ready, Task};

use super::{DEFAULT_CONTEXT, Fall, Session};
use crate::{
    Death, HostError, Stage,
    desk::{Kind, Life},
    flight::{Flight, Progress, Rule, request_of},
    isolation, printable,
    slot::End,
};

impl Session<'_> {
    /// Sends what waits, as far as the worker takes it.
    pub(super) fn dispatch(&mut self, kind: Kind) {
        let Some(ready) = &self.ready else {
            return;
        };
        let held = |flights: &BTreeMap<u64, Flight>| {
            flights
                .values()
                .filter(|flight| flight.kind() == kind)
                .count()
        };
        // One long text at a time: the worker reads them one after another, and the time of what waits here
        // ends here. Short ones are answered between two steps.
        let is_busy = |flights: &BTreeMap<u64, Flight>| flights.values().any(Flight::is_long_text);
        while held(&self.flights) < self.config.concurrent_requests as usize
            && let busy = is_busy(&self.flights)
            && let Some(mut job) = self.waiting.take(kind, |job| !(busy && job.is_long_text()))
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

    pub(super) fn send(&mut self, order: &Order) -> Result<(), Fall> {
        self.connection
            .queue(order)
            .map_err(|_| self.broken("a frame that the host can't encode"))
    }

    /// Reads once, and takes every event that is whole; says whether anything came. Readers are woken
    /// when all of them are taken.
    pub(super) fn receive(&mut self) -> Result<bool, Fall> {
        let came = self.connection.receive();
        let taken = self.take_events();
        self.waiting.desk.ring_bells();
        taken.map(|()| came)
    }

    pub(super) fn take_events(&mut self) -> Result<(), Fall> {
        loop {
            match self.connection.event() {
                Ok(Some(event)) => self.handle(event)?,
                Ok(None) => return Ok(()),
                Err(_) => return Err(self.broken("a frame that can't be decoded")),
            }
        }
    }

    pub(super) fn handle(&mut self, event: Event) -> Result<(), Fall> {
        if let Some(request) = request_of(&event) {
            let Some(flight) = self.flights.get_mut(&request) else {
                return Err(self.broken("a request that it doesn't hold"));
            };
            return match flight.accept(event) {
                Ok(Progress::More) => Ok(()),
                Ok(over) => {
                    let answered = over == Progress::Answered;
                    self.answered |= answered;
                    let flight = self.flights.remove(&request);
                    if answered && let Some(order) = flight.and_then(Flight::into_public) {
                        self.waiting.keep_public(order);
                    }
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

    pub(super) fn is_ready(&mut self, mut ready: Ready) -> Result<(), Fall> {
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
        let possible = match self.config.task {
            Task::Embed { .. } => 1..=MAX_DIMENSIONS,
            Task::Generate => 0..=0,
        };
        if !possible.contains(&ready.dimensions) {
            return Err(self.broken("vectors of no length, or of any where none are asked for"));
        }
        ready.report = printable::report(ready.report);
        ready.chat = ready.chat.as_ref().map(printable::fault);
        // What loading left over isn't for serving.
        self.allow_time(Instant::now());
        self.stage = Stage::Serving;
        self.ready = Some(ready.clone());
        self.waiting.publish_again(self.config.request_timeout);
        self.waiting.desk.publish(Life {
            pid: self.process.pid(),
            ready,
        });
        Ok(())
    }

    pub(super) fn broken(&self, rule: Rule) -> Fall {
        Fall::Kill(HostError::Worker {
            death: Death::Protocol(rule),
            stage: self.stage,
        })
    }
}
