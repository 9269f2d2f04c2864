//! A request that is being decoded.

use std::time::{Duration, Instant};

use strongroom_protocol::{Event, FinishReason, Finished, Priority};

use crate::{EngineError, Sampler, Text, Token, Vocabulary, sampler::Candidates, shares::Sharer};

/// Bytes of text that are sent whenever the last piece was.
const LONGEST_PIECE: usize = 1 << 10;

/// Steps in which a sequence waits for others that came with it, at most.
const MOST_WAITED: u32 = 16;

/// A request that has left the queue: its prompt is being read, then its answer decoded.
#[derive(Debug)]
pub(crate) struct Sequence {
    request: u64,
    sharer: Sharer,
    priority: Priority,
    number: u64,
    deadline: Option<Instant>,
    /// The prompt, and the answer as far as it is decoded.
    tokens: Vec<Token>,
    /// Of the prompt, those that nobody kept.
    fresh: usize,
    /// Of the tokens, the first ones that the context has read.
    read: usize,
    goal: Goal,
    queued: Duration,
    began: Instant,
    first_logits: Option<Instant>,
    /// Steps in which it waited for others.
    waited: u32,
}

/// What a sequence is for.
#[derive(Debug)]
enum Goal {
    /// An answer.
    Answer(Box<Answer>),
    /// The prompt's state.
    Publish,
}

#[derive(Debug)]
struct Answer {
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
}

/// What a [`Sequence`] begins with.
#[derive(Debug)]
pub(crate) struct Beginning {
    pub(crate) request: u64,
    pub(crate) sharer: Sharer,
    pub(crate) priority: Priority,
    pub(crate) number: u64,
    pub(crate) deadline: Option<Instant>,
    pub(crate) prompt: Vec<Token>,
    /// Of these, the first ones that the context holds already.
    pub(crate) cached: usize,
    pub(crate) answer: Option<Answering>,
    pub(crate) queued: Duration,
    pub(crate) began: Instant,
}

/// How an answer is made.
#[derive(Debug)]
pub(crate) struct Answering {
    pub(crate) sampler: Sampler,
    pub(crate) stops: Vec<String>,
    pub(crate) max_tokens: u32,
    pub(crate) piece_interval: Duration,
}

/// Where a sequence stands after its part of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    More,
    Over(FinishReason),
    /// A prompt to be published was read to its end.
    Read,
}

impl Sequence {
    pub(crate) fn new(beginning: Beginning) -> Self {
        let goal = match beginning.answer {
            None => Goal::Publish,
            Some(answering) => Goal::Answer(Box::new(Answer {
                sampler: answering.sampler,
                text: Text::new(answering.stops),
                max_tokens: answering.max_tokens,
                completion_tokens: 0,
                piece_interval: answering.piece_interval,
                held: String::new(),
                unsent: 0,
                sent: None,
            })),
        };
        Self {
            request: beginning.request,
            sharer: beginning.sharer,
            priority: beginning.priority,
            number: beginning.number,
            deadline: beginning.deadline,
            fresh: beginning.prompt.len().saturating_sub(beginning.cached),
            read: beginning.cached,
            tokens: beginning.prompt,
            goal,
            queued: beginning.queued,
            began: beginning.began,
            first_logits: None,
            waited: 0,
        }
    }

    pub(crate) fn request(&self) -> u64 {
        self.request
    }

    pub(crate) fn sharer(&self) -> Sharer {
        self.sharer
    }

    pub(crate) fn priority(&self) -> Priority {
        self.priority
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    pub(crate) fn is_late(&self, now: Instant) -> bool {
        self.deadline.is_some_and(|deadline| now >= deadline)
    }

    /// Tokens that the context has read: at once where they were restored.
    pub(crate) fn read(&self) -> usize {
        self.read
    }

    /// Tokens that the context has yet to read: of the prompt, or the last one chosen.
    pub(crate) fn unread(&self) -> &[Token] {
        &self.tokens[self.read..]
    }

    /// Whether the next token of an answer waits to be read, and no more.
    pub(crate) fn is_answering(&self) -> bool {
        self.unread().len() == 1
    }

    /// Whether a token of its answer was decoded.
    pub(crate) fn is_decoding(&self) -> bool {
        self.first_logits.is_some()
    }

    /// Whether it may wait for others once more: whoever comes, it doesn't wait for ever.
    pub(crate) fn is_patient(&self) -> bool {
        self.waited < MOST_WAITED
    }

    /// It had no part in a step, for others.
    pub(crate) fn wait(&mut self) {
        self.waited = self.waited.saturating_add(1);
    }

    /// Whether its answer has gone on after its first token.
    pub(crate) fn is_on_its_way(&self) -> bool {
        match &self.goal {
            Goal::Answer(answer) => answer.completion_tokens > 1,
            Goal::Publish => false,
        }
    }

    /// Tokens of its prompt that nobody kept.
    pub(crate) fn fresh(&self) -> usize {
        self.fresh
    }

    /// Whether the logits after its last token are looked at.
    pub(crate) fn wants_logits(&self) -> bool {
        matches!(self.goal, Goal::Answer(_))
    }

    /// The tokens that the context has read.
    pub(crate) fn into_read_tokens(mut self) -> Vec<Token> {
        self.tokens.truncate(self.read);
        self.tokens
    }

    /// The context has read `count` more tokens; `logits` are those after the last, if that was the
    /// last unread one.
    ///
    /// # Errors
    /// [`EngineError::Decode`] if no token can be chosen; the sequence is of no more use.
    pub(crate) fn advance(
        &mut self,
        count: usize,
        logits: Option<&[f32]>,
        vocabulary: &Vocabulary,
        candidates: &mut Candidates,
    ) -> Result<Progress, EngineError> {
        self.read += count;
        if self.read < self.tokens.len() {
            return Ok(Progress::More);
        }
        self.first_logits.get_or_insert_with(Instant::now);
        let Goal::Answer(answer) = &mut self.goal else {
            return Ok(Progress::Read);
        };
        let logits = logits.ok_or_else(|| EngineError::Decode {
            detail: "a step without logits".to_owned(),
        })?;
        let token = answer.sampler.sample(logits, candidates)?;
        if vocabulary.is_end_of_generation(token) {
            return Ok(Progress::Over(FinishReason::EndOfGeneration));
        }
        answer.completion_tokens += 1;
        answer.unsent += 1;
        answer.held += &answer.text.push(&vocabulary.piece(token));
        if answer.text.stopped() {
            return Ok(Progress::Over(FinishReason::StopString));
        }
        if answer.completion_tokens >= answer.max_tokens {
            return Ok(Progress::Over(FinishReason::Length));
        }
        self.tokens.push(token);
        Ok(Progress::More)
    }

    /// Sends what was held back, then the end.
    pub(crate) fn finish(&mut self, reason: FinishReason, events: &mut Vec<Event>) {
        if let Goal::Answer(answer) = &mut self.goal {
            answer.held += &answer.text.finish();
        }
        self.send(events);
        let now = Instant::now();
        let first_logits = self.first_logits.unwrap_or(now);
        let completion_tokens = match &self.goal {
            Goal::Answer(answer) => answer.completion_tokens,
            Goal::Publish => 0,
        };
        events.push(Event::Finished(Box::new(Finished {
            request: self.request,
            reason,
            completion_tokens,
            queue_micros: micros(self.queued),
            prompt_micros: micros(first_logits.saturating_duration_since(self.began)),
            decode_micros: micros(now.saturating_duration_since(first_logits)),
        })));
    }

    /// Sends what is held, then why the rest can't come.
    pub(crate) fn fail(&mut self, error: &EngineError, events: &mut Vec<Event>) {
        self.send(events);
        refuse(self.request, error, events);
    }

    /// Sends what is held, if it is time. The times are the ticks of a clock that began at `epoch`: all
    /// requests of one interval send with the same step, so that their readers are woken together.
    pub(crate) fn send_if_due(&mut self, epoch: Instant, now: Instant, events: &mut Vec<Event>) {
        let Goal::Answer(answer) = &self.goal else {
            return;
        };
        let tick = |at: Instant| {
            let interval = answer.piece_interval.as_nanos().max(1);
            at.saturating_duration_since(epoch).as_nanos() / interval
        };
        let is_due = answer
            .sent
            .is_none_or(|sent| answer.piece_interval.is_zero() || tick(now) > tick(sent));
        if answer.held.len() >= LONGEST_PIECE || is_due {
            self.send(events);
        }
    }

    /// Sends what is held, if it is anything.
    fn send(&mut self, events: &mut Vec<Event>) {
        let Goal::Answer(answer) = &mut self.goal else {
            return;
        };
        if answer.held.is_empty() {
            return;
        }
        answer.sent = Some(Instant::now());
        events.push(Event::Piece {
            request: self.request,
            text: std::mem::take(&mut answer.held).into(),
            tokens: std::mem::take(&mut answer.unsent),
        });
    }
}

/// Ends a request with an error.
pub(crate) fn refuse(request: u64, error: &EngineError, events: &mut Vec<Event>) {
    events.push(Event::Refused {
        request,
        fault: error.fault(),
    });
}

/// Ends a request that had not begun.
pub(crate) fn cancelled(request: u64, arrived: Instant, events: &mut Vec<Event>) {
    events.push(Event::Finished(Box::new(Finished {
        request,
        reason: FinishReason::Cancelled,
        completion_tokens: 0,
        queue_micros: micros(arrived.elapsed()),
        prompt_micros: 0,
        decode_micros: 0,
    })));
}

/// Whole microseconds.
pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
