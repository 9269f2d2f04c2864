//! Who has a place: beginning, giving up a place for another, going on, and moving closer together.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use strongroom_protocol::Event;

use super::Scheduler;
use crate::{
    EngineError, Sampler, Slot, Token,
    queue::{Next, Paused, Reading, Waiting, Work},
    sequence::{Answering, Beginning, Sequence, refuse},
    shares::Sharer,
};

/// Of the tokens that the cache has room for, one in so many may be paused sequences', and those of one whole
/// sequence always. The host accounts for that.
const SHARE_OF_PAUSED: u32 = 4;

impl Scheduler {
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

    /// Hands the tokenizer the next long prompt.
    pub(super) fn read_next(&mut self) {
        let Some(tokenizer) = &self.tokenizer else {
            return;
        };
        if self.being_read.is_some() || self.queue.is_empty() {
            return;
        }
        if let Some((request, prompt)) = self.queue.next_to_read(&mut self.reads) {
            self.being_read = Some(request);
            tokenizer.read_prompt(request, prompt, Arc::clone(&self.prompter));
        }
    }

    /// Gives free slots to those whose turn it is; says whether the host has to hear of it.
    pub(super) fn begin_next(&mut self, events: &mut Vec<Event>) -> bool {
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
        let (length, slots) = (self.context.length(), self.context.slots());
        let room = length.max(length.saturating_mul(slots) / SHARE_OF_PAUSED);
        let tokens = self.queue.paused_tokens() + self.context.used(slot) as usize;
        if tokens > room as usize {
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
            self.leave(&[slot]);
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
        let prompt = match waiting.reading {
            Reading::Done(tokens) => tokens?,
            _ => self.prompter.tokens(work.prompt())?,
        };
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
        prompt: &[Token],
        now: Instant,
    ) -> usize {
        let found = self.prefixes.find(sharer.as_ref(), prompt, now);
        let Some((prefix, common)) = found else {
            return 0;
        };
        let whole = u32::try_from(prefix.tokens().len()).unwrap_or(u32::MAX);
        let length = u32::try_from(common).unwrap_or(u32::MAX);
        if self.context.restore(slot, prefix.state(), whole) && self.context.truncate(slot, length)
        {
            return common;
        }
        // A sliding window that has gone past it; a part may lie there.
        self.leave(&[slot]);
        0
    }

    /// Moves the last sequence into the first free slot, until none is between others. While others
    /// wait they will have the free ones.
    pub(super) fn compact(&mut self) {
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
                    self.leave(&[free]);
                    return;
                }
            }
            self.live.swap(free as usize, last as usize);
            self.leave(&[last]);
        }
    }
}
