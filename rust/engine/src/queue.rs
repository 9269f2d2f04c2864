//! Requests that wait for a place.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use strongroom_protocol::{Generate, Priority, Prompt, Publish, Sampling, Tenant};

use crate::{
    EngineError, Token, prompt,
    reading::Reading,
    sequence::Sequence,
    shares::{Sharer, Shares},
    text::{MAX_STOP, MAX_STOPS},
};

/// What a scheduler is asked for.
#[derive(Debug)]
pub enum Work {
    /// An answer.
    Generate(Box<Generate>),
    /// A prompt that every tenant may begin with.
    Publish(Box<Publish>),
}

/// A request that waits.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) work: Work,
    pub(crate) arrived: Instant,
    pub(crate) deadline: Option<Instant>,
    /// Which one it is, in the order of arrival.
    pub(crate) number: u64,
    pub(crate) reading: Reading<Vec<Token>>,
}

/// How a prompt begins, where long ones are tokenized elsewhere.
pub(crate) fn reading_of(work: &Work) -> Reading<Vec<Token>> {
    if prompt::is_long(work.prompt()) {
        Reading::First
    } else {
        Reading::Later
    }
}

/// A sequence that gave up its place, and goes on when there is one again.
#[derive(Debug)]
pub(crate) struct Paused {
    pub(crate) sequence: Sequence,
    pub(crate) state: Vec<u8>,
}

/// Who has the next free place.
#[derive(Debug)]
pub(crate) enum Next {
    Waiting(Waiting),
    Paused(Box<Paused>),
}

/// Requests that wait for a place, and those that gave up theirs.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    waiting: Vec<Waiting>,
    paused: Vec<Paused>,
}

/// What decides who is next; the least is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    priority: std::cmp::Reverse<Priority>,
    /// Sequences that its sharer has.
    live: usize,
    number: u64,
}

impl Rank {
    fn of(priority: Priority, sharer: Sharer, number: u64, live: &BTreeMap<Sharer, usize>) -> Self {
        Self {
            priority: std::cmp::Reverse(priority),
            live: live.get(&sharer).copied().unwrap_or(0),
            number,
        }
    }
}

impl Work {
    /// Chosen by the host.
    pub fn request(&self) -> u64 {
        match self {
            Self::Generate(order) => order.request,
            Self::Publish(order) => order.request,
        }
    }

    pub(crate) fn tenant(&self) -> Option<Tenant> {
        match self {
            Self::Generate(order) => order.tenant,
            Self::Publish(_) => None,
        }
    }

    pub(crate) fn priority(&self) -> Priority {
        match self {
            Self::Generate(order) => order.priority,
            Self::Publish(_) => Priority::High,
        }
    }

    pub(crate) fn prompt(&self) -> &Prompt {
        match self {
            Self::Generate(order) => &order.prompt,
            Self::Publish(order) => &order.prompt,
        }
    }

    fn take_prompt(&mut self) -> Prompt {
        let prompt = match self {
            Self::Generate(order) => &mut order.prompt,
            Self::Publish(order) => &mut order.prompt,
        };
        std::mem::replace(prompt, Prompt::Chat(Vec::new()))
    }

    pub(crate) fn sampling(&self) -> Option<&Sampling> {
        match self {
            Self::Generate(order) => Some(&order.sampling),
            Self::Publish(_) => None,
        }
    }

    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_millis(match self {
            Self::Generate(order) => order.timeout_ms,
            Self::Publish(order) => order.timeout_ms,
        })
    }

    /// Refuses what is out of range whatever the model.
    ///
    /// # Errors
    /// [`EngineError::Option`].
    pub(crate) fn check(&self) -> Result<(), EngineError> {
        let refuse = |name, range: &str| {
            Err(EngineError::Option {
                name,
                range: range.to_owned(),
            })
        };
        let Self::Generate(order) = self else {
            return Ok(());
        };
        if order.stop.len() > MAX_STOPS {
            return refuse("stop", "at most 16 strings");
        }
        if order
            .stop
            .iter()
            .any(|stop| !(1..=MAX_STOP).contains(&stop.0.len()))
        {
            return refuse("stop", "strings of 1 to 256 bytes");
        }
        if order.max_tokens == Some(0) {
            return refuse("max_tokens", "at least 1");
        }
        Ok(())
    }
}

impl Queue {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len() + self.paused.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether someone could be given a place.
    pub(crate) fn has_next(&self) -> bool {
        let may_begin = |waiting: &Waiting| waiting.reading.may_begin();
        !self.paused.is_empty() || self.waiting.iter().any(may_begin)
    }

    /// Whether there is a prompt to be tokenized first.
    pub(crate) fn has_next_to_read(&self) -> bool {
        let first = |waiting: &Waiting| matches!(waiting.reading, Reading::First);
        self.waiting.iter().any(first)
    }

    /// When the next one of those that wait for their tokens is late.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.waiting
            .iter()
            .filter(|waiting| !waiting.reading.may_begin())
            .filter_map(|waiting| waiting.deadline)
            .min()
    }

    pub(crate) fn push(&mut self, waiting: Waiting) {
        self.waiting.push(waiting);
    }

    pub(crate) fn pause(&mut self, paused: Paused) {
        self.paused.push(paused);
    }

    /// Tokens that the paused ones' states hold.
    pub(crate) fn paused_tokens(&self) -> usize {
        self.paused
            .iter()
            .map(|paused| paused.sequence.read())
            .sum()
    }

    pub(crate) fn holds(&self, request: u64) -> bool {
        self.waiting
            .iter()
            .any(|waiting| waiting.work.request() == request)
            || self
                .paused
                .iter()
                .any(|paused| paused.sequence.request() == request)
    }

    pub(crate) fn has(&self, sharer: &Sharer) -> bool {
        self.waiting
            .iter()
            .any(|waiting| waiting.work.tenant() == *sharer)
            || self
                .paused
                .iter()
                .any(|paused| paused.sequence.sharer() == *sharer)
    }

    /// Takes out what `wanted` says, waiting and paused.
    pub(crate) fn take_where(
        &mut self,
        wanted: impl Fn(u64, Option<Instant>) -> bool,
    ) -> (Vec<Waiting>, Vec<Paused>) {
        let waiting = self
            .waiting
            .extract_if(.., |waiting| {
                wanted(waiting.work.request(), waiting.deadline)
            })
            .collect();
        let paused = self
            .paused
            .extract_if(.., |paused| {
                wanted(paused.sequence.request(), paused.sequence.deadline())
            })
            .collect();
        (waiting, paused)
    }

    /// Whose turn it is, where `live` counts the sequences of each sharer: its sharer and priority.
    pub(crate) fn peek(&self, live: &BTreeMap<Sharer, usize>) -> Option<(Sharer, Priority)> {
        let (rank, is_paused, index) = self.best(live)?;
        let sharer = if is_paused {
            self.paused[index].sequence.sharer()
        } else {
            self.waiting[index].work.tenant()
        };
        Some((sharer, rank.priority.0))
    }

    /// Takes out whose turn it is.
    pub(crate) fn next(&mut self, live: &BTreeMap<Sharer, usize>) -> Option<Next> {
        let (_, is_paused, index) = self.best(live)?;
        Some(if is_paused {
            Next::Paused(Box::new(self.paused.remove(index)))
        } else {
            Next::Waiting(self.waiting.remove(index))
        })
    }

    /// Takes the next one of the prompts that are to be tokenized first: of the highest priority, of the
    /// sharer of whom the fewest bytes were tokenized, as `shares` says, which hears of it; among equals the
    /// first.
    pub(crate) fn next_to_read(&mut self, shares: &mut Shares) -> Option<(u64, Prompt)> {
        let waiting = self
            .waiting
            .iter_mut()
            .filter(|waiting| matches!(waiting.reading, Reading::First))
            .min_by_key(|waiting| {
                let work = &waiting.work;
                let served = shares.served(work.tenant());
                (std::cmp::Reverse(work.priority()), served, waiting.number)
            })?;
        waiting.reading = Reading::Now;
        let prompt = waiting.work.take_prompt();
        shares.serve(waiting.work.tenant(), prompt::weight(&prompt));
        Some((waiting.work.request(), prompt))
    }

    /// The tokens of `request`; nobody waits for them if it was dropped meanwhile.
    pub(crate) fn read(&mut self, request: u64, tokens: Result<Vec<Token>, EngineError>) {
        let waits = |waiting: &&mut Waiting| {
            waiting.work.request() == request && matches!(waiting.reading, Reading::Now)
        };
        if let Some(waiting) = self.waiting.iter_mut().find(waits) {
            waiting.reading = Reading::Done(tokens);
        }
    }

    fn best(&self, live: &BTreeMap<Sharer, usize>) -> Option<(Rank, bool, usize)> {
        let waiting = self
            .waiting
            .iter()
            .enumerate()
            .filter(|(_, waiting)| waiting.reading.may_begin())
            .map(|(index, waiting)| {
                let work = &waiting.work;
                let rank = Rank::of(work.priority(), work.tenant(), waiting.number, live);
                (rank, false, index)
            });
        let paused = self.paused.iter().enumerate().map(|(index, paused)| {
            let sequence = &paused.sequence;
            let rank = Rank::of(
                sequence.priority(),
                sequence.sharer(),
                sequence.number(),
                live,
            );
            (rank, true, index)
        });
        waiting.chain(paused).min()
    }
}
