//! Deadlines: of loading, of requests, of what a worker has begun to say; and the processor's time.

use std::time::{Duration, Instant};

use strongroom_protocol::Isolation;

use super::{Fall, LEAVE, SPARE_TIME, Session};
use crate::{Death, HostError};

impl Session<'_> {
    /// Limits the processor time to what is left until the last deadline in flight, on all threads.
    pub(super) fn allow_time(&self, now: Instant) {
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

    /// When the clock has to be looked at next.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        // A time that the clock can't express never comes.
        let grace = self.config.grace;
        let loading = match &self.ready {
            None => self.started.checked_add(self.config.load_timeout),
            Some(_) => None,
        };
        let overdue = self
            .flights
            .values()
            .filter_map(|flight| flight.due(grace))
            .min();
        let stalled = self.connection.partial_since;
        let stalled = stalled.and_then(|since| since.checked_add(grace));
        let left = self.connection.ended_at.map(|since| since + LEAVE);
        let waiting = self.waiting.next_deadline();
        [loading, overdue, stalled, left, waiting]
            .into_iter()
            .flatten()
            .min()
    }

    pub(super) fn watch_clock(&mut self, now: Instant) -> Result<(), Fall> {
        let passed = |since: Instant, by: Duration| now.saturating_duration_since(since) >= by;
        let timeout = self.config.load_timeout;
        if self.ready.is_none() && passed(self.started, timeout) {
            return Err(Fall::Kill(HostError::LoadTimeout { timeout }));
        }
        let grace = self.config.grace;
        for flight in self.flights.values_mut() {
            let is_due = flight.due(grace).is_some_and(|due| now >= due);
            if is_due && !flight.gives_up() {
                flight.blame();
                return Err(Fall::Kill(HostError::Worker {
                    death: Death::OverTime("a request's deadline was missed"),
                    stage: self.stage,
                }));
            }
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
}
