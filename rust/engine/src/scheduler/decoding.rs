//! One step: what it takes of each sequence, and what it brings them.

use std::time::Instant;

use strongroom_protocol::{Event, Priority};

use super::{Ended, Scheduler};
use crate::{
    EngineError, Slot,
    prefix::Prefix,
    sequence::{Progress, refuse},
    shares::{Demand, budget, waits_after_first, waits_for_others},
};

/// What a step takes of a slot.
#[derive(Debug, Clone, Copy)]
struct Row {
    slot: Slot,
    count: usize,
    /// Where in the batch its logits are, if it has any.
    logits: Option<usize>,
}

impl Scheduler {
    /// One `llama_decode` for all.
    pub(super) fn decode(&mut self, events: &mut Vec<Event>) {
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
                    fresh: sequence.fresh(),
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
