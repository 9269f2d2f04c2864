//! Which requests decode next, together.

mod decoding;
mod placing;

use std::{sync::Arc, time::Instant};

use strongroom_protocol::{Event, FinishReason, PrefixCache};

use crate::{
    Batch, Context, EngineError, Prompter, Slot, Token, Tokenizer,
    prefix::{Prefix, Prefixes},
    queue::{self, Queue, Waiting, Work},
    reading::Reading,
    sampler::Candidates,
    sequence::{Sequence, cancelled, refuse},
    shares::{Sharer, Shares},
};

/// How requests are held.
#[derive(Debug, Clone, Copy)]
pub struct SchedulerOptions {
    /// Requests held at once, the decoding ones included.
    pub limit: usize,
    /// What is kept of ended requests.
    pub prefix_cache: PrefixCache,
    /// Overwrite what an ended request left. Only switched off to measure what it costs.
    pub erase: bool,
}

/// Requests that wait and sequences that are decoded together.
///
/// The work is done in steps, each of at most one `llama_decode`: a token of each answer, and a chunk
/// of prompts. Between two steps the owner looks for orders; requests come and go there, and a cancel
/// or a passed deadline takes effect.
#[derive(Debug)]
pub struct Scheduler {
    context: Context,
    prompter: Arc<Prompter>,
    /// Where long prompts are tokenized; between steps where there is none.
    tokenizer: Option<Tokenizer>,
    /// Whose prompt the tokenizer has: one at a time, so that whose turn it is decides the order.
    being_read: Option<u64>,
    options: SchedulerOptions,
    queue: Queue,
    /// By slot. What is in use lies as near to the first as it can: llama.cpp computes neighbours
    /// together and others apart.
    live: Vec<Option<Sequence>>,
    ended: Vec<Ended>,
    cancelled: Vec<u64>,
    /// Of the tokens of prompts that steps read.
    shares: Shares,
    /// Of the bytes of long prompts that the tokenizer read.
    reads: Shares,
    prefixes: Prefixes,
    batch: Batch,
    candidates: Candidates,
    arrivals: u64,
    epoch: Instant,
}

/// A sequence that has ended and lies in the cache still.
#[derive(Debug)]
struct Ended {
    slot: Slot,
    /// Whose it is, where it is to be kept.
    keep: Option<Sequence>,
}

impl Scheduler {
    /// Decodes with `context`. Long prompts are handed to `tokenizer`, where there is one, and what it makes
    /// of them to [`Self::read`].
    pub fn new(
        context: Context,
        prompter: Prompter,
        tokenizer: Option<Tokenizer>,
        options: SchedulerOptions,
    ) -> Self {
        let live = (0..context.slots()).map(|_| None).collect();
        Self {
            context,
            prompter: Arc::new(prompter),
            tokenizer,
            being_read: None,
            options: SchedulerOptions {
                limit: options.limit.max(1),
                ..options
            },
            queue: Queue::default(),
            live,
            ended: Vec::new(),
            cancelled: Vec::new(),
            shares: Shares::default(),
            reads: Shares::default(),
            prefixes: Prefixes::new(options.prefix_cache),
            batch: Batch::default(),
            candidates: Candidates::default(),
            arrivals: 0,
            epoch: Instant::now(),
        }
    }

    /// The context.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// The prompter.
    pub fn prompter(&self) -> &Prompter {
        &self.prompter
    }

    /// Whether there is nothing to step, until something is heard: an order, or the tokenizer.
    pub fn is_idle(&self) -> bool {
        !self.queue.has_next()
            && (self.being_read.is_some() || !self.queue.has_next_to_read())
            && self.cancelled.is_empty()
            && self.ended.is_empty()
            && self.live.iter().all(Option::is_none)
    }

    /// When a step has something to do although [`Self::is_idle`]: what is kept expires, or who waits for
    /// the tokenizer is late.
    pub fn next_expiry(&self) -> Option<Instant> {
        let expiries = [self.prefixes.next_expiry(), self.queue.next_deadline()];
        expiries.into_iter().flatten().min()
    }

    /// Takes a request that arrived at `arrived`, when its time began to run.
    ///
    /// # Errors
    /// [`EngineError::Busy`] if the queue is full, [`EngineError::Option`] if a stop string or
    /// `max_tokens` is out of range.
    pub fn admit(&mut self, work: Work, arrived: Instant) -> Result<(), EngineError> {
        let held = self.queue.len() + self.live.iter().flatten().count();
        if held >= self.options.limit {
            return Err(EngineError::Busy {
                limit: self.options.limit,
            });
        }
        work.check()?;
        // A deadline that the clock can't express is none.
        let deadline = arrived.checked_add(work.timeout());
        self.arrivals += 1;
        self.shares.enter(work.tenant());
        self.reads.enter(work.tenant());
        let reading = if self.tokenizer.is_some() {
            queue::reading_of(&work)
        } else {
            Reading::Later
        };
        self.queue.push(Waiting {
            work,
            arrived,
            deadline,
            number: self.arrivals,
            reading,
        });
        Ok(())
    }

    /// What the tokenizer made of the prompt of `request`, which may have gone meanwhile.
    pub fn read(&mut self, request: u64, tokens: Result<Vec<Token>, EngineError>) {
        self.being_read.take_if(|read| *read == request);
        self.queue.read(request, tokens);
    }

    /// Whether `request` waits or is being decoded.
    pub fn holds(&self, request: u64) -> bool {
        self.queue.holds(request)
            || self
                .live
                .iter()
                .flatten()
                .any(|sequence| sequence.request() == request)
    }

    /// Stops `request` with the next step; an unknown one is ignored.
    pub fn cancel(&mut self, request: u64) {
        if self.holds(request) && !self.cancelled.contains(&request) {
            self.cancelled.push(request);
        }
    }

    /// Does the next piece of work and appends what the host has to know to `events`.
    pub fn step(&mut self, events: &mut Vec<Event>) {
        // What ended with the last step: the host has heard of it since.
        self.settle();
        self.drop_cancelled(events);
        self.drop_late(events);
        if !self.ended.is_empty() {
            return;
        }
        // A step of its own: the host hears who began before a prompt is read.
        let some_began = self.begin_next(events);
        self.read_next();
        if some_began {
            return;
        }
        self.compact();
        self.decode(events);
    }

    /// Keeps what is to be kept of ended sequences, and overwrites what they left.
    fn settle(&mut self) {
        let now = Instant::now();
        self.prefixes.expire(now);
        if self.ended.is_empty() {
            return;
        }
        let ended = std::mem::take(&mut self.ended);
        let slots: Vec<Slot> = ended.iter().map(|ended| ended.slot).collect();
        for ended in ended {
            if let Some(sequence) = ended.keep {
                self.keep(ended.slot, sequence, now);
            }
        }
        self.leave(&slots);
        self.forget_sharers();
    }

    /// Only who has requests has a share, or who had more than those that have.
    fn forget_sharers(&mut self) {
        let (queue, live) = (&self.queue, &self.live);
        let has_requests = |sharer: &Sharer| {
            let mut live = live.iter().flatten();
            queue.has(sharer) || live.any(|sequence| sequence.sharer() == *sharer)
        };
        self.shares.retain(has_requests);
        self.reads.retain(has_requests);
    }

    fn keep(&mut self, slot: Slot, sequence: Sequence, now: Instant) {
        let Some(tenant) = sequence.sharer() else {
            return;
        };
        let tokens = sequence.into_read_tokens();
        let size = self.context.saved_size(slot);
        if self.prefixes.wants(&tenant, &tokens, size)
            && let Some(state) = self.context.save(slot)
        {
            self.prefixes.keep(tenant, Prefix::new(tokens, state), now);
        }
    }

    /// Gives slots up.
    fn leave(&mut self, slots: &[Slot]) {
        if self.options.erase {
            self.context.erase(slots);
            self.candidates.erase();
            self.batch.clear();
        } else {
            self.context.forget(slots);
        }
    }

    fn drop_cancelled(&mut self, events: &mut Vec<Event>) {
        let requests = std::mem::take(&mut self.cancelled);
        if requests.is_empty() {
            return;
        }
        let (waiting, paused) = self
            .queue
            .take_where(|request, _| requests.contains(&request));
        for waiting in waiting {
            cancelled(waiting.work.request(), waiting.arrived, events);
        }
        for mut paused in paused {
            paused.sequence.finish(FinishReason::Cancelled, events);
        }
        self.forget_sharers();
        for (slot, mut sequence) in self.take_live(|live| requests.contains(&live.request())) {
            sequence.finish(FinishReason::Cancelled, events);
            self.ended.push(Ended {
                slot,
                keep: Some(sequence),
            });
        }
    }

    fn drop_late(&mut self, events: &mut Vec<Event>) {
        let now = Instant::now();
        let (waiting, paused) = self
            .queue
            .take_where(|_, deadline| deadline.is_some_and(|deadline| now >= deadline));
        for waiting in waiting {
            refuse(waiting.work.request(), &EngineError::Deadline, events);
        }
        for mut paused in paused {
            paused.sequence.fail(&EngineError::Deadline, events);
        }
        for (slot, mut sequence) in self.take_live(|live| live.is_late(now)) {
            sequence.fail(&EngineError::Deadline, events);
            self.ended.push(Ended { slot, keep: None });
        }
    }

    /// Takes sequences out of their slots.
    fn take_live(&mut self, wanted: impl Fn(&Sequence) -> bool) -> Vec<(Slot, Sequence)> {
        (0..)
            .zip(&mut self.live)
            .filter_map(|(slot, live)| {
                let sequence = live.take_if(|live| wanted(live))?;
                Some((slot, sequence))
            })
            .collect()
    }
}
