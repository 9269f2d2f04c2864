//! A request that is being decoded.

use std::time::{Duration, Instant};

use strongroom_protocol::{Event, FinishReason, Finished};

use crate::{
    Context, EngineError, Sampler, Text, Token, Vocabulary, context::CHUNK, scheduler::refuse,
};

/// Bytes of text that are sent whenever the last piece was.
const LONGEST_PIECE: usize = 1 << 10;

/// A request that has left the queue: its prompt is being read, then its answer decoded.
#[derive(Debug)]
pub(crate) struct Sequence {
    request: u64,
    deadline: Option<Instant>,
    /// Tokens that the context has yet to read: the rest of the prompt, or the last token chosen.
    unread: Vec<Token>,
    sampler: Sampler,
    text: Text,
    max_tokens: u32,
    completion_tokens: u32,
    piece_interval: Duration,
    /// Text decoded since the last piece, and its tokens.
    held: String,
    unsent: u32,
    /// When the last piece was sent.
    sent: Option<Instant>,
    queued: Duration,
    began: Instant,
    first_logits: Option<Instant>,
}

/// What a [`Sequence`] begins with.
#[derive(Debug)]
pub(crate) struct Beginning {
    pub(crate) request: u64,
    pub(crate) deadline: Option<Instant>,
    pub(crate) prompt: Vec<Token>,
    pub(crate) sampler: Sampler,
    pub(crate) stops: Vec<String>,
    pub(crate) max_tokens: u32,
    pub(crate) piece_interval: Duration,
    pub(crate) queued: Duration,
    pub(crate) began: Instant,
}

impl Sequence {
    pub(crate) fn new(beginning: Beginning) -> Self {
        Self {
            request: beginning.request,
            deadline: beginning.deadline,
            unread: beginning.prompt,
            sampler: beginning.sampler,
            text: Text::new(beginning.stops),
            max_tokens: beginning.max_tokens,
            completion_tokens: 0,
            piece_interval: beginning.piece_interval,
            held: String::new(),
            unsent: 0,
            sent: None,
            queued: beginning.queued,
            began: beginning.began,
            first_logits: None,
        }
    }

    pub(crate) fn request(&self) -> u64 {
        self.request
    }

    pub(crate) fn is_late(&self, now: Instant) -> bool {
        self.deadline.is_some_and(|deadline| now >= deadline)
    }

    /// One decode: a chunk of the prompt, or one token. Says why, when it was the last.
    ///
    /// # Errors
    /// [`EngineError::Decode`]; the sequence is of no more use.
    pub(crate) fn step(
        &mut self,
        context: &mut Context,
        vocabulary: &Vocabulary,
        events: &mut Vec<Event>,
    ) -> Result<Option<FinishReason>, EngineError> {
        let count = self.unread.len().min(CHUNK as usize);
        let last = count == self.unread.len();
        context.decode(&self.unread[..count], last)?;
        self.unread.drain(..count);
        if !last {
            return Ok(None);
        }
        let logits = context.logits()?;
        self.first_logits.get_or_insert_with(Instant::now);
        let token = self.sampler.sample(logits)?;
        if vocabulary.is_end_of_generation(token) {
            return Ok(Some(FinishReason::EndOfGeneration));
        }
        self.completion_tokens += 1;
        self.unsent += 1;
        self.held += &self.text.push(&vocabulary.piece(token));
        self.send_if_due(events);
        if self.text.stopped() {
            return Ok(Some(FinishReason::StopString));
        }
        if self.completion_tokens >= self.max_tokens {
            return Ok(Some(FinishReason::Length));
        }
        self.unread.push(token);
        Ok(None)
    }

    /// Sends what was held back, then the end.
    pub(crate) fn finish(mut self, reason: FinishReason, events: &mut Vec<Event>) {
        self.held += &self.text.finish();
        self.send(events);
        let now = Instant::now();
        let first_logits = self.first_logits.unwrap_or(now);
        events.push(Event::Finished(Box::new(Finished {
            request: self.request,
            reason,
            completion_tokens: self.completion_tokens,
            queue_micros: micros(self.queued),
            prompt_micros: micros(first_logits.saturating_duration_since(self.began)),
            decode_micros: micros(now.saturating_duration_since(first_logits)),
        })));
    }

    /// Sends what is held, then why the rest can't come.
    pub(crate) fn fail(mut self, error: &EngineError, events: &mut Vec<Event>) {
        self.send(events);
        refuse(self.request, error, events);
    }

    fn send_if_due(&mut self, events: &mut Vec<Event>) {
        let due = |sent: Instant| sent.elapsed() >= self.piece_interval;
        if self.held.len() >= LONGEST_PIECE || self.sent.is_none_or(due) {
            self.send(events);
        }
    }

    /// Sends what is held, if it is anything.
    fn send(&mut self, events: &mut Vec<Event>) {
        if self.held.is_empty() {
            return;
        }
        self.sent = Some(Instant::now());
        events.push(Event::Piece {
            request: self.request,
            text: std::mem::take(&mut self.held).into(),
            tokens: std::mem::take(&mut self.unsent),
        });
    }
}

/// Whole microseconds.
pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
