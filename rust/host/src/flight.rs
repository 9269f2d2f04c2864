//! A request that a worker holds, and the rules for what it may say about it.

use std::time::{Duration, Instant};

use strongroom_protocol::{
    Embedded, Event, FinishReason, Finished, LONG_TEXT, Order, Publish, Ready, most_ids,
};

use crate::{
    HostError, Update,
    desk::{Job, Kind, Ticket},
    printable,
    slot::End,
};

/// Bytes of text that a token may stand for, on average over an answer.
const TEXT_PER_TOKEN: usize = 1024;

/// How long a worker may read a text after its time was over, at least: beside others that decode on all cores.
const LONGEST_READING: Duration = Duration::from_secs(60);

/// The rule that a worker broke, by the words of the specification.
pub(crate) type Rule = &'static str;

/// A request that a worker holds.
#[derive(Debug)]
pub(crate) struct Flight {
    pub(crate) ticket: Ticket,
    /// Kept to be sent again, until the request has begun; a Tokenize begins when it is sent.
    order: Option<Order>,
    lost: u32,
    strikes: u32,
    began_at: Option<Instant>,
    /// It was a text whose time is over, and the worker still reads it.
    late: bool,
    cancelled: bool,
    expects: Expects,
}

#[derive(Debug)]
enum Expects {
    Answer {
        context: u32,
        limit: u32,
        tokens: u32,
        pieces: u32,
        text: usize,
    },
    Ids {
        vocabulary: u32,
        bytes: usize,
    },
    Vectors {
        context: u32,
        texts: usize,
        dimensions: usize,
    },
    Prefix {
        context: u32,
        order: Publish,
    },
}

/// Whether more is to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    More,
    /// It has ended.
    Over,
    /// It has ended, and had been decoded for.
    Answered,
}

/// The request that `event` is about.
pub(crate) const fn request_of(event: &Event) -> Option<u64> {
    match event {
        Event::Began { request, .. }
        | Event::Piece { request, .. }
        | Event::Tokens { request, .. }
        | Event::Refused { request, .. }
        | Event::Published { request, .. } => Some(*request),
        Event::Finished(finished) => Some(finished.request),
        Event::Embedded(embedded) => Some(embedded.request),
        Event::Locked(_) | Event::Ready(_) | Event::Failed(_) => None,
    }
}

impl Flight {
    /// `job`, sent to the worker that said `ready`.
    pub(crate) fn new(job: Job, ready: &Ready) -> Self {
        let expects = match &job.order {
            Order::Tokenize { text, .. } => Expects::Ids {
                vocabulary: ready.vocabulary_size,
                bytes: text.0.len(),
            },
            Order::Generate(order) => Expects::Answer {
                context: ready.context_length,
                limit: order
                    .max_tokens
                    .unwrap_or(u32::MAX)
                    .min(ready.context_length),
                tokens: 0,
                pieces: 0,
                text: 0,
            },
            Order::Embed(order) => Expects::Vectors {
                context: ready.context_length,
                texts: order.texts.len(),
                dimensions: ready.dimensions as usize,
            },
            Order::Publish(order) => Expects::Prefix {
                context: ready.context_length,
                order: (**order).clone(),
            },
            // No job is one of these; nothing is expected.
            Order::Start(_) | Order::Cancel { .. } => Expects::Ids {
                vocabulary: 0,
                bytes: 0,
            },
        };
        Self {
            ticket: job.ticket,
            order: (!matches!(job.order, Order::Tokenize { .. })).then_some(job.order),
            lost: job.lost,
            strikes: job.strikes,
            began_at: None,
            late: false,
            cancelled: false,
            expects,
        }
    }

    pub(crate) const fn kind(&self) -> Kind {
        match self.expects {
            Expects::Ids { .. } => Kind::Tokenize,
            Expects::Answer { .. } | Expects::Vectors { .. } | Expects::Prefix { .. } => {
                Kind::Generate
            }
        }
    }

    /// When the worker has to have ended it, `grace` after its deadline. Nothing can stop a tokenizer within a
    /// text: of one whose time is over its caller hears at once, and the worker has longer to be done with it.
    pub(crate) fn due(&self, grace: Duration) -> Option<Instant> {
        let deadline = self.ticket.deadline;
        match (self.kind(), self.late) {
            (Kind::Tokenize, false) => Some(deadline),
            (Kind::Tokenize, true) => deadline.checked_add(grace.max(LONGEST_READING)),
            (Kind::Generate, _) => deadline.checked_add(grace),
        }
    }

    /// Tells the caller that the time of a text is over; false where that isn't enough.
    pub(crate) fn gives_up(&mut self) -> bool {
        let first = self.kind() == Kind::Tokenize && !self.late;
        if first {
            self.late = true;
            self.ticket.end(End::Failed(HostError::Deadline));
        }
        first
    }

    /// Its caller wants no more of it.
    pub(crate) const fn cancel(&mut self) {
        self.cancelled = true;
    }

    /// Whether it has begun nowhere, and isn't wanted any more.
    pub(crate) const fn is_cancelled(&self) -> bool {
        self.cancelled && self.order.is_some()
    }

    /// Whether it is a text that the worker tokenizes beside the decoding.
    pub(crate) const fn is_long_text(&self) -> bool {
        matches!(self.expects, Expects::Ids { bytes, .. } if bytes > LONG_TEXT)
    }

    /// What the worker says about it; handed on if the rules allow it.
    pub(crate) fn accept(&mut self, event: Event) -> Result<Progress, Rule> {
        match event {
            Event::Began {
                prompt_tokens,
                cached_tokens,
                ..
            } => self.began(prompt_tokens, cached_tokens),
            Event::Piece { text, tokens, .. } => self.piece(text.0, tokens),
            Event::Finished(finished) => self.finished(finished),
            Event::Tokens { ids, .. } => self.tokens(ids),
            Event::Embedded(embedded) => self.embedded(*embedded),
            Event::Published { tokens, .. } => self.published(tokens),
            Event::Refused { fault, .. } => {
                let error = HostError::Refused(printable::fault(&fault));
                self.ticket.end(End::Failed(error));
                Ok(Progress::Over)
            }
            Event::Locked(_) | Event::Ready(_) | Event::Failed(_) => Err("out of order"),
        }
    }

    fn began(&mut self, prompt_tokens: u32, cached_tokens: u32) -> Result<Progress, Rule> {
        let most = match &self.expects {
            Expects::Ids { .. } => return Err("Began for a Tokenize"),
            Expects::Answer { context, .. } | Expects::Prefix { context, .. } => *context,
            Expects::Vectors { context, texts, .. } => {
                context.saturating_mul(u32::try_from(*texts).unwrap_or(u32::MAX))
            }
        };
        if self.began_at.is_some() {
            return Err("Began twice");
        }
        if prompt_tokens > most {
            return Err("prompt_tokens over the context");
        }
        if cached_tokens > 0 && cached_tokens >= prompt_tokens {
            return Err("cached_tokens over prompt_tokens");
        }
        if cached_tokens > 0 && matches!(self.expects, Expects::Vectors { .. }) {
            return Err("cached_tokens of an Embed");
        }
        self.blame();
        self.ticket.push(Update::Began {
            prompt_tokens,
            cached_tokens,
        });
        Ok(Progress::More)
    }

    fn embedded(&mut self, embedded: Embedded) -> Result<Progress, Rule> {
        let Expects::Vectors {
            texts, dimensions, ..
        } = self.expects
        else {
            return Err("Embedded for what is no Embed");
        };
        if self.began_at.is_none() {
            return Err("Embedded before Began");
        }
        let (numbers, rest) = embedded.rows.as_chunks::<4>();
        if !rest.is_empty() || numbers.len() != texts.saturating_mul(dimensions) {
            return Err("another number of vectors than of texts");
        }
        let finite = |bytes: &[u8; 4]| f32::from_le_bytes(*bytes).is_finite();
        if !numbers.iter().all(finite) {
            return Err("a vector with a number that is none");
        }
        self.ticket.finish(Update::Embedded {
            tokens: embedded.tokens,
            rows: embedded.rows,
        });
        Ok(Progress::Answered)
    }

    fn published(&mut self, tokens: u32) -> Result<Progress, Rule> {
        let Expects::Prefix { context, .. } = self.expects else {
            return Err("Published for what is no Publish");
        };
        if self.began_at.is_none() {
            return Err("Published before Began");
        }
        if tokens > context {
            return Err("a prefix over the context");
        }
        self.ticket.finish(Update::Published { tokens });
        Ok(Progress::Answered)
    }

    fn piece(&mut self, more: String, decoded: u32) -> Result<Progress, Rule> {
        let Expects::Answer {
            limit,
            tokens,
            pieces,
            text,
            ..
        } = &mut self.expects
        else {
            return Err("Piece for what is no Generate");
        };
        if self.began_at.is_none() {
            return Err("Piece before Began");
        }
        if more.is_empty() {
            return Err("Piece without text");
        }
        *tokens = tokens.saturating_add(decoded);
        *pieces = pieces.saturating_add(1);
        *text = text.saturating_add(more.len());
        if *tokens > *limit {
            return Err("more tokens than the limit");
        }
        // One per token, and what was held back at the end.
        if *pieces > limit.saturating_add(1) {
            return Err("more pieces than tokens");
        }
        if *text > TEXT_PER_TOKEN.saturating_mul(*limit as usize + 1) {
            return Err("more text than the tokens can stand for");
        }
        self.ticket.push(Update::Piece {
            text: more,
            tokens: decoded,
        });
        Ok(Progress::More)
    }

    fn finished(&mut self, mut finished: Box<Finished>) -> Result<Progress, Rule> {
        let (limit, tokens) = match self.expects {
            Expects::Answer { limit, tokens, .. } => (limit, tokens),
            Expects::Ids { .. } => return Err("Finished for a Tokenize"),
            // Only cancelled ones end so.
            _ if finished.reason == FinishReason::Cancelled => (0, 0),
            _ => return Err("Finished for an Embed or a Publish"),
        };
        if self.began_at.is_none() && finished.reason != FinishReason::Cancelled {
            return Err("Finished before Began");
        }
        if !(tokens..=limit).contains(&finished.completion_tokens) {
            return Err("completion_tokens that disagree with the pieces");
        }
        let left_queue = self.began_at.unwrap_or_else(Instant::now);
        let queued = left_queue.saturating_duration_since(self.ticket.arrived);
        finished.queue_micros = u64::try_from(queued.as_micros()).unwrap_or(u64::MAX);
        let decoded = finished.completion_tokens > 0 || finished.reason != FinishReason::Cancelled;
        self.ticket.finish(Update::Finished(finished));
        Ok(if decoded {
            Progress::Answered
        } else {
            Progress::Over
        })
    }

    fn tokens(&mut self, ids: Vec<u32>) -> Result<Progress, Rule> {
        let Expects::Ids { vocabulary, bytes } = self.expects else {
            return Err("Tokens for what is no Tokenize");
        };
        if ids.len() > most_ids(bytes) {
            return Err("more ids than bytes of text stand for");
        }
        if ids.iter().any(|&id| id >= vocabulary) {
            return Err("an id outside the vocabulary");
        }
        self.ticket.end(End::Tokens(ids));
        Ok(Progress::Over)
    }

    /// The prefix that was read for everyone.
    pub(crate) fn into_public(self) -> Option<Publish> {
        match self.expects {
            Expects::Prefix { order, .. } => Some(order),
            _ => None,
        }
    }

    /// From here on the request fails with its worker.
    pub(crate) fn blame(&mut self) {
        self.began_at.get_or_insert_with(Instant::now);
        self.order = None;
    }

    pub(crate) const fn has_begun(&self) -> bool {
        self.order.is_none()
    }

    /// The job, to be sent to another worker; `None` if it has begun.
    pub(crate) fn into_job(self) -> Result<Job, Ticket> {
        match self.order {
            Some(order) => Ok(Job {
                ticket: self.ticket,
                order,
                lost: self.lost,
                strikes: self.strikes,
            }),
            None => Err(self.ticket),
        }
    }
}
