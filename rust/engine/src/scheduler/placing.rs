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
    queue::{Next, Paused, Waiting, Work},
    reading::Reading,
    sequence::{Answering, Beginning, Sequence, refuse},
    shares::Sharer,
};

/// Of the tokens that the cache has room for, one in so many may be paused sequences', and those of one whole
/// sequence always. The host accounts for that.
const SHARE_OF_PAUSED: u32 = 4;

/// Where one can begin.
#[derive(Debug, Clone, Copy)]
enum Place {
    Free(Slot),
    /// By a sequence that can go on later.
    Taken(Slot),
}

/// A request that nothing speaks against.
struct Prepared {
    prompt: Vec<Token>,
    /// None of what is published.
    sampler: Option<Sampler>,
    began: Instant,
}

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

    /// Gives free slots to those whose turn it is; says whether the host has to hear who began.
    pub(super) fn begin_next(&mut self, events: &mut Vec<Event>) -> bool {
        let mut some_began = false;
        while !self.queue.is_empty() {
            let counts = self.live_by_sharer();
            let Some(place) = self.place(&counts) else {
                break;
            };
            match self.queue.next(&counts) {
                None => break,
                Some(Next::Paused(paused)) => {
                    let Some(slot) = self.clear(place) else {
                        self.queue.pause(*paused);
                        break;
                    };
                    self.resume(slot, *paused, events);
                }
                Some(Next::Waiting(mut waiting)) => {
                    // Nobody makes room for what is refused.
                    let prepared = match self.prepare(&mut waiting) {
                        Ok(prepared) => prepared,
                        Err(error) => {
                            refuse(waiting.work.request(), &error, events);
                            continue;
                        }
                    };
                    let Some(slot) = self.clear(place) else {
                        waiting.reading = Reading::Done(Ok(prepared.prompt));
                        self.queue.push(waiting);
                        break;
                    };
                    self.begin(slot, waiting, prepared, events);
                    some_began = true;
                }
            }
        }
        some_began
    }

    /// Where the next one could begin.
    fn place(&self, counts: &BTreeMap<Sharer, usize>) -> Option<Place> {
        self.free_slot()
            .map(Place::Free)
            .or_else(|| self.dispensable(counts).map(Place::Taken))
    }

    /// A slot of a sharer that has several, for one that has none and is next.
    fn dispensable(&self, counts: &BTreeMap<Sharer, usize>) -> Option<Slot> {
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
        (tokens <= room as usize).then_some(slot)
    }

    /// The slot of a place, free: who had it goes on later. None where that can't be.
    fn clear(&mut self, place: Place) -> Option<Slot> {
        let slot = match place {
            Place::Free(slot) => return Some(slot),
            Place::Taken(slot) => slot,
        };
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

    /// All that may be refused of a request.
    fn prepare(&self, waiting: &mut Waiting) -> Result<Prepared, EngineError> {
        let began = Instant::now();
        let work = &waiting.work;
        let prompt = match std::mem::replace(&mut waiting.reading, Reading::Later) {
            Reading::Done(tokens) => tokens?,
            _ => self.prompter.tokens(work.prompt())?,
        };
        let size = self.prompter.vocabulary().size();
        let sampler = work
            .sampling()
            .map(|sampling| Sampler::new(sampling, size, &prompt))
            .transpose()?;
        Ok(Prepared {
            prompt,
            sampler,
            began,
        })
    }

    fn begin(&mut self, slot: Slot, waiting: Waiting, prepared: Prepared, events: &mut Vec<Event>) {
        let Prepared {
            prompt,
            sampler,
            began,
        } = prepared;
        let work = &waiting.work;
        let prompt_tokens = u32::try_from(prompt.len()).unwrap_or(u32::MAX);
        let room = self.context.length().saturating_sub(prompt_tokens);
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
