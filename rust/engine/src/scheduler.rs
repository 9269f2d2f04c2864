//! Which requests decode next, together.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use strongroom_protocol::{Event, FinishReason, PrefixCache, Priority};

use crate::{
    Batch, Context, EngineError, Prompter, Sampler, Slot,
    prefix::{Prefix, Prefixes},
    queue::{Next, Paused, Queue, Waiting, Work},
    sampler::Candidates,
    sequence::{Answering, Beginning, Progress, Sequence, cancelled, refuse},
    shares::{Demand, Sharer, Shares, budget, waits_after_first, waits_for_others},
};

/// Bytes that paused sequences may take, whatever the prefixes may.
const PAUSED_BYTES: u64 = 64 << 20;

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
    prompter: Prompter,
    options: SchedulerOptions,
    queue: Queue,
    /// By slot. What is in use lies as near to the first as it can: llama.cpp computes neighbours
    /// together and others apart.
    live: Vec<Option<Sequence>>,
    ended: Vec<Ended>,
    cancelled: Vec<u64>,
    shares: Shares,
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
    /// Decodes with `context`.
    pub fn new(context: Context, prompter: Prompter, options: SchedulerOptions) -> Self {
        let live = (0..context.slots()).map(|_| None).collect();
        Self {
            context,
            prompter,
            options: SchedulerOptions {
                limit: options.limit.max(1),
                ..options
            },
            queue: Queue::default(),
            live,
            ended: Vec::new(),
            cancelled: Vec::new(),
            shares: Shares::default(),
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

    /// Whether there is nothing to step.
    pub fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.ended.is_empty() && self.live.iter().all(Option::is_none)
    }

    /// When a step has something to do although [`Self::is_idle`]: what is kept expires.
    pub fn next_expiry(&self) -> Option<Instant> {
        self.prefixes.next_expiry()
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
        self.queue.push(Waiting {
            work,
            arrived,
            deadline,
            number: self.arrivals,
        });
        Ok(())
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
        if self.begin_next(events) {
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

    /// Only who has requests has a share.
    fn forget_sharers(&mut self) {
        let (queue, live) = (&self.queue, &self.live);
        self.shares.retain(|sharer| {
            queue.has(sharer)
                || live
                    .iter()
                    .flatten()
                    .any(|sequence| sequence.sharer() == *sharer)
        });
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

    /// How many sequences each sharer has.
    fn live_by_sharer(&self) -> BTreeMap<Sharer, usize> {
        let mut counts = BTreeMap::new();
        for sequence in self.live.iter().flatten() {
            *counts.entry(sequence.sharer()).or_default() += 1;
        }
        counts
    }

    fn free_slot(&self) -> Option<Slot> {
        (0..)
            .zip(&self.live)
            .find_map(|(slot, live)| live.is_none().then_some(slot))
    }

    /// Gives free slots to those whose turn it is; says whether the host has to hear of it.
    fn begin_next(&mut self, events: &mut Vec<Event>) -> bool {
        let before = events.len();
        while !self.queue.is_empty() {
            let counts = self.live_by_sharer();
            let Some(slot) = self.free_slot().or_else(|| self.pause_one(&counts)) else {
                break;
            };
            match self.queue.next(&counts) {
                None => break,
                Some(Next::Paused(paused)) => self.resume(slot, *paused, events),
                Some(Next::Waiting(waiting)) => {
                    let request = waiting.work.request();
                    if let Err(error) = self.begin(slot, waiting, events) {
                        refuse(request, &error, events);
                    }
                }
            }
        }
        events.len() > before
    }

    /// Takes a slot from a sharer that has several, for one that has none and is next.
    fn pause_one(&mut self, counts: &BTreeMap<Sharer, usize>) -> Option<Slot> {
        let (next, priority) = self.queue.peek(counts)?;
        if counts.contains_key(&next) {
            return None;
        }
        let (sharer, _) = counts
            .iter()
            .filter(|&(_, &count)| count >= 2)
            .max_by_key(|&(_, &count)| count)?;
        let (slot, _) = (0..)
            .zip(&self.live)
            .filter_map(|(slot, live)| Some((slot, live.as_ref()?)))
            .filter(|(_, live)| live.sharer() == *sharer && live.priority() <= priority)
            .max_by_key(|(_, live)| live.number())?;
        let room = self.prefixes.capacity().max(PAUSED_BYTES);
        let size = (self.queue.paused_bytes() + self.context.saved_size(slot)) as u64;
        if size > room {
            return None;
        }
        let state = if self.context.used(slot) == 0 {
            Vec::new()
        } else {
            self.context.save(slot)?
        };
        let sequence = self.live[slot as usize].take()?;
        self.queue.pause(Paused { sequence, state });
        self.leave(&[slot]);
        Some(slot)
    }

    fn resume(&mut self, slot: Slot, paused: Paused, events: &mut Vec<Event>) {
        let Paused {
            mut sequence,
            state,
        } = paused;
        let length = u32::try_from(sequence.read()).unwrap_or(u32::MAX);
        if length > 0 && !self.context.restore(slot, &state, length) {
            let error = EngineError::Decode {
                detail: "a paused sequence could not be gone on with".to_owned(),
            };
            sequence.fail(&error, events);
            return;
        }
        self.live[slot as usize] = Some(sequence);
    }

    fn begin(
        &mut self,
        slot: Slot,
        waiting: Waiting,
        events: &mut Vec<Event>,
    ) -> Result<(), EngineError> {
        let began = Instant::now();
        let work = &waiting.work;
        let prompt = self.prompter.tokens(work.prompt())?;
        let prompt_tokens = u32::try_from(prompt.len()).unwrap_or(u32::MAX);
        let room = self.context.length().saturating_sub(prompt_tokens);
        let size = self.prompter.vocabulary().size();
        let sampler = work
            .sampling()
            .map(|sampling| Sampler::new(sampling, size, &prompt))
            .transpose()?;
        let (request, sharer, priority) = (work.request(), work.tenant(), work.priority());
        let cached = self.restore_prefix(slot, sharer, &prompt, began);
        let answer = match (waiting.work, sampler) {
            (Work::Generate(order), Some(sampler)) => Some(Answering {
                sampler,
                stops: order.stop.into_iter().map(|stop| stop.0).collect(),
                max_tokens: order.max_tokens.unwrap_or(room).min(room),
                piece_interval: Duration::from_millis(order.piece_interval_ms.into()),
            }),
            _ => None,
        };
        let sequence = Sequence::new(Beginning {
            request,
            sharer,
            priority,
            number: waiting.number,
            deadline: waiting.deadline,
            prompt,
            cached,
            answer,
            queued: began.saturating_duration_since(waiting.arrived),
            began,
        });
        events.push(Event::Began {
            request,
            prompt_tokens,
            cached_tokens: u32::try_from(cached).unwrap_or(0),
        });
        self.live[slot as usize] = Some(sequence);
        Ok(())
    }

    /// Puts what is kept of the prompt into the slot, and says how many of its tokens that were.
    fn restore_prefix(
        &mut self,
        slot: Slot,
        sharer: Sharer,
        prompt: &[crate::Token],
        now: Instant,
    ) -> usize {
        let found = self.prefixes.find(sharer.as_ref(), prompt, now);
        let Some((prefix, common)) = found else {
            return 0;
        };
        let whole = u32::try_from(prefix.tokens().len()).unwrap_or(u32::MAX);
        if !self.context.restore(slot, prefix.state(), whole) {
            return 0;
        }
        let length = u32::try_from(common).unwrap_or(u32::MAX);
        if self.context.truncate(slot, length) {
            return common;
        }
        // A sliding window that has gone past it.
        self.leave(&[slot]);
        0
    }

    /// Moves the last sequence into the first free slot, until none is between others. While others
    /// wait they will have the free ones.
    fn compact(&mut self) {
        if !self.queue.is_empty() || !self.context.can_keep() {
            return;
        }
        loop {
            let Some(free) = self.free_slot() else {
                return;
            };
            let last = (0..)
                .zip(&self.live)
                .filter_map(|(slot, live)| live.is_some().then_some(slot))
                .last();
            let Some(last) = last.filter(|&last: &Slot| last > free) else {
                return;
            };
            let length = self.context.used(last);
            if length > 0 {
                let Some(state) = self.context.save(last) else {
                    return;
                };
                if !self.context.restore(free, &state, length) {
                    return;
                }
            }
            self.live.swap(free as usize, last as usize);
            self.leave(&[last]);
        }
    }

    /// One `llama_decode` for all.
    fn decode(&mut self, events: &mut Vec<Event>) {
        let granted = self.plan();
        let mut rows = self.fill(&granted);
        if rows.is_empty() {
            return;
        }
        if let Err(error) = self.context.decode(&mut self.batch) {
            if rows.len() == 1 {
                self.fail(rows[0].slot, &error, events);
                return;
            }
            // Whose fault it is shows when each is decoded alone.
            for row in std::mem::take(&mut rows) {
                let alone = [(row.slot, row.count)];
                let rows = self.fill(&alone);
                match self.context.decode(&mut self.batch) {
                    Ok(()) => self.advance(&rows, events),
                    Err(error) => self.fail(row.slot, &error, events),
                }
            }
        } else {
            self.advance(&rows, events);
        }
        let now = Instant::now();
        for sequence in self.live.iter_mut().flatten() {
            sequence.send_if_due(self.epoch, now, events);
        }
    }

    /// How many tokens each slot reads in the next step.
    fn plan(&mut self) -> Vec<(Slot, usize)> {
        let most = self.context.batch_tokens() as usize;
        let mut granted = Vec::with_capacity(self.live.len());
        let mut prompts: Vec<(Slot, Priority, u64, Demand)> = Vec::new();
        let mut ready = Vec::new();
        let mut decoding = Vec::new();
        for (slot, live) in (0..).zip(&self.live) {
            let Some(sequence) = live else { continue };
            if sequence.is_decoding() {
                let stays = sequence.is_patient() && !sequence.is_on_its_way();
                decoding.push((slot, sequence.fresh(), stays));
            } else if sequence.is_answering() {
                ready.push((slot, sequence.fresh(), sequence.is_patient()));
            } else {
                let demand = Demand {
                    sharer: sequence.sharer(),
                    // The last one is read when it is to be answered.
                    pending: sequence.unread().len() - usize::from(sequence.wants_logits()),
                };
                prompts.push((slot, sequence.priority(), sequence.number(), demand));
            }
        }
        let pending: usize = prompts.iter().map(|(.., demand)| demand.pending).sum();
        let all_stay = decoding
            .iter()
            .all(|&(_, fresh, stays)| stays && waits_after_first(fresh, pending));
        if !all_stay {
            granted.extend(decoding.iter().map(|&(slot, ..)| (slot, 1)));
        }
        let anyone = !granted.is_empty();
        granted.extend(
            ready
                .iter()
                .filter(|&&(_, fresh, stays)| anyone || !stays || !waits_for_others(fresh, pending))
                .map(|&(slot, ..)| (slot, 1)),
        );
        for &(slot, ..) in decoding.iter().chain(&ready) {
            if !granted.iter().any(|&(part, _)| part == slot)
                && let Some(Some(sequence)) = self.live.get_mut(slot as usize)
            {
                sequence.wait();
            }
        }
        prompts.sort_by_key(|&(_, priority, number, _)| (std::cmp::Reverse(priority), number));
        let demands: Vec<Demand> = prompts.iter().map(|&(.., demand)| demand).collect();
        let shares = self.shares.plan(&demands, budget(granted.len(), most));
        let pending = pending - shares.iter().sum::<usize>();
        let mut left = most - granted.len() - shares.iter().sum::<usize>();
        for (&(slot, _, _, demand), mut tokens) in prompts.iter().zip(shares) {
            // Whose prompt is read to its end with this step may be answered with it, too.
            if let Some(Some(sequence)) = self.live.get(slot as usize)
                && tokens == demand.pending
                && tokens < sequence.unread().len()
                && left > 0
                && (anyone || !waits_for_others(sequence.fresh(), pending))
            {
                tokens += 1;
                left -= 1;
            }
            if tokens > 0 {
                granted.push((slot, tokens));
            }
        }
        granted.sort_unstable();
        granted
    }

    /// Fills the batch with that many tokens of each slot.
    fn fill(&mut self, granted: &[(Slot, usize)]) -> Vec<Row> {
        self.batch.clear();
        let mut rows = Vec::with_capacity(granted.len());
        for &(slot, count) in granted {
            let Some(Some(sequence)) = self.live.get(slot as usize) else {
                continue;
            };
            let unread = sequence.unread();
            let count = count.min(unread.len());
            let logits = count == unread.len() && sequence.wants_logits();
            let first = self.context.used(slot);
            // Slots come in order, with a token at least.
            if let Ok(row) = self.batch.push(slot, first, &unread[..count], logits) {
                rows.push(Row {
                    slot,
                    count,
                    logits: logits.then_some(row),
                });
            }
        }
        rows
    }

    /// Tells each sequence what the step brought for it.
    fn advance(&mut self, rows: &[Row], events: &mut Vec<Event>) {
        for row in rows {
            let Some(sequence) = &mut self.live[row.slot as usize] else {
                continue;
            };
            let vocabulary = self.prompter.vocabulary();
            let logits = row.logits.map(|row| self.context.logits(row)).transpose();
            let progress = logits.and_then(|logits| {
                sequence.advance(row.count, logits, vocabulary, &mut self.candidates)
            });
            match progress {
                Ok(Progress::More) => {}
                Ok(Progress::Over(reason)) => {
                    if let Some(mut sequence) = self.live[row.slot as usize].take() {
                        sequence.finish(reason, events);
                        self.ended.push(Ended {
                            slot: row.slot,
                            keep: Some(sequence),
                        });
                    }
                }
                Ok(Progress::Read) => self.publish(row.slot, events),
                Err(error) => self.fail(row.slot, &error, events),
            }
        }
    }

    /// Ends the sequence in `slot` with an error.
    fn fail(&mut self, slot: Slot, error: &EngineError, events: &mut Vec<Event>) {
        if let Some(mut sequence) = self.live[slot as usize].take() {
            sequence.fail(error, events);
            self.ended.push(Ended { slot, keep: None });
        }
    }

    /// Keeps the prompt in `slot` for everyone.
    fn publish(&mut self, slot: Slot, events: &mut Vec<Event>) {
        let Some(sequence) = self.live[slot as usize].take() else {
            return;
        };
        let request = sequence.request();
        let tokens = sequence.into_read_tokens();
        let count = u32::try_from(tokens.len()).unwrap_or(u32::MAX);
        let kept = self
            .context
            .save(slot)
            .is_some_and(|state| self.prefixes.publish(Prefix::new(tokens, state)));
        if kept {
            events.push(Event::Published {
                request,
                tokens: count,
            });
        } else {
            refuse(request, &EngineError::Publish, events);
        }
        self.ended.push(Ended { slot, keep: None });
    }
}

/// What a step takes of a slot.
#[derive(Debug, Clone, Copy)]
struct Row {
    slot: Slot,
    count: usize,
    /// Where in the batch its logits are, if it has any.
    logits: Option<usize>,
}
