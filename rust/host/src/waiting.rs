//! Requests that no worker holds.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use strongroom_protocol::{MAX_PUBLIC_PREFIXES, Order, Publish};

use crate::{
    HostError,
    desk::{Desk, Job, Kind},
    slot::End,
};

/// Prompts that a new worker reads for everyone, at most: more than there can be different prefixes.
const MOST_PUBLIC: usize = 4 * MAX_PUBLIC_PREFIXES;

/// Requests that no worker holds, first come first.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) desk: Arc<Desk>,
    jobs: VecDeque<Job>,
    /// Prefixes that a worker has read for everyone, and the next one has to read again.
    public: Vec<Publish>,
}

/// What the supervisor has to do besides.
#[derive(Debug)]
pub(crate) struct Look {
    /// Requests to stop that don't wait here.
    pub(crate) cancels: Vec<u64>,
    /// The model is being unloaded.
    pub(crate) closing: bool,
}

impl Waiting {
    pub(crate) const fn new(desk: Arc<Desk>) -> Self {
        Self {
            desk,
            jobs: VecDeque::new(),
            public: Vec::new(),
        }
    }

    /// A worker has read a prefix for everyone.
    pub(crate) fn keep_public(&mut self, order: Publish) {
        // Prompts that a template makes the same tokens of are one prefix to the worker, which bounds those.
        let known = self.public.iter().any(|kept| kept.prompt == order.prompt);
        if !known && self.public.len() < MOST_PUBLIC {
            self.public.push(order);
        }
    }

    /// A new worker is ready: it reads first what the one before had for everyone.
    pub(crate) fn publish_again(&mut self, timeout: Duration) {
        for order in &self.public {
            let mut order = order.clone();
            let job = self.desk.own(timeout, |request| {
                order.request = request;
                Order::Publish(Box::new(order))
            });
            if let Some(job) = job {
                self.jobs.push_front(job);
            }
        }
    }

    /// Takes in what came.
    pub(crate) fn look(&mut self) -> Look {
        let news = self.desk.news();
        self.jobs.extend(news.arrivals);
        let mut cancels = news.cancels;
        cancels.retain(|&id| {
            let here = self.jobs.iter().position(|job| job.ticket.id == id);
            match here.and_then(|index| self.jobs.remove(index)) {
                Some(job) => {
                    job.cancel();
                    false
                }
                None => true,
            }
        });
        Look {
            cancels,
            closing: news.closing,
        }
    }

    /// Ends what waited for too long with `error`.
    pub(crate) fn expire(&mut self, now: Instant, error: &HostError) {
        self.jobs.retain(|job| {
            let late = now >= job.ticket.deadline;
            if late {
                job.ticket.end(End::Failed(error.clone()));
            }
            !late
        });
    }

    /// The first deadline of all.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.jobs.iter().map(|job| job.ticket.deadline).min()
    }

    /// The first of a kind that is wanted.
    pub(crate) fn take(&mut self, kind: Kind, wanted: impl Fn(&Job) -> bool) -> Option<Job> {
        let wanted = |job: &Job| job.kind() == kind && wanted(job);
        let index = self.jobs.iter().position(wanted)?;
        self.jobs.remove(index)
    }

    /// Puts jobs back where they were: numbers are given in the order of arrival.
    pub(crate) fn give_back(&mut self, jobs: Vec<Job>) {
        self.jobs.extend(jobs);
        self.jobs
            .make_contiguous()
            .sort_unstable_by_key(|job| job.ticket.id);
    }

    /// Ends them all.
    pub(crate) fn fail(&mut self, error: &HostError) {
        for job in self.jobs.drain(..) {
            job.ticket.end(End::Failed(error.clone()));
        }
    }
}
