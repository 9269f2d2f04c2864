//! Which request decodes next.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use strongroom_protocol::{Event, FinishReason, Finished, Generate};

use crate::{
    Context, EngineError, Prompter, Sampler,
    sequence::{Beginning, Sequence, micros},
    text::{MAX_STOP, MAX_STOPS},
};

/// A queue of requests and the one that is decoding: first come, first served.
///
/// The work is done in steps, each of at most one `llama_decode`: a chunk of a prompt or a token.
/// Between two steps the owner looks for orders; a cancel or a passed deadline takes effect with
/// the next step.
#[derive(Debug)]
pub struct Scheduler {
    context: Context,
    prompter: Prompter,
    limit: usize,
    queue: VecDeque<Waiting>,
    active: Option<Sequence>,
    cancelled: Vec<u64>,
    /// The cache holds a sequence that has ended.
    erasable: bool,
}

#[derive(Debug)]
struct Waiting {
    order: Generate,
    arrived: Instant,
    deadline: Option<Instant>,
}

impl Scheduler {
    /// Decodes with `context`, holding at most `limit` requests, the decoding one included.
    pub fn new(context: Context, prompter: Prompter, limit: usize) -> Self {
        Self {
            context,
            prompter,
            limit: limit.max(1),
            queue: VecDeque::new(),
            active: None,
            cancelled: Vec::new(),
            erasable: false,
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
        self.active.is_none() && self.queue.is_empty() && !self.erasable
    }

    /// Takes a request that arrived at `arrived`, when its time began to run.
    ///
    /// # Errors
    /// [`EngineError::Busy`] if the queue is full, [`EngineError::Option`] if a stop string or
    /// `max_tokens` is out of range.
    pub fn admit(&mut self, order: Generate, arrived: Instant) -> Result<(), EngineError> {
        if self.queue.len() + usize::from(self.active.is_some()) >= self.limit {
            return Err(EngineError::Busy { limit: self.limit });
        }
        let refuse = |name, range: &str| {
            Err(EngineError::Option {
                name,
                range: range.to_owned(),
            })
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
        // A deadline that the clock can't express is none.
        let deadline = arrived.checked_add(Duration::from_millis(order.timeout_ms));
        self.queue.push_back(Waiting {
            order,
            arrived,
            deadline,
        });
        Ok(())
    }

    /// Whether `request` waits or is being decoded.
    pub fn holds(&self, request: u64) -> bool {
        self.active
            .as_ref()
            .is_some_and(|active| active.request() == request)
            || self
                .queue
                .iter()
                .any(|waiting| waiting.order.request == request)
    }

    /// Stops `request` with the next step; an unknown one is ignored.
    pub fn cancel(&mut self, request: u64) {
        if self.holds(request) && !self.cancelled.contains(&request) {
            self.cancelled.push(request);
        }
    }

    /// Does the next piece of work and appends what the host has to know to `events`.
    pub fn step(&mut self, events: &mut Vec<Event>) {
        self.drop_cancelled(events);
        self.drop_late(events);
        // A step of its own when nothing waits, so that the host hears of the end first.
        if self.active.is_none() && std::mem::take(&mut self.erasable) {
            self.context.erase();
            if self.queue.is_empty() {
                return;
            }
        }
        if self.active.is_none() {
            // A step of its own: the host hears that the request began before its prompt is read.
            self.begin_next(events);
            return;
        }
        let Some(mut sequence) = self.active.take() else {
            return;
        };
        match sequence.step(&mut self.context, self.prompter.vocabulary(), events) {
            Ok(None) => self.active = Some(sequence),
            Ok(Some(reason)) => {
                sequence.finish(reason, events);
                self.erasable = true;
            }
            Err(error) => {
                sequence.fail(&error, events);
                self.erasable = true;
            }
        }
    }

    fn drop_cancelled(&mut self, events: &mut Vec<Event>) {
        for request in std::mem::take(&mut self.cancelled) {
            if let Some(sequence) = self.active.take_if(|active| active.request() == request) {
                sequence.finish(FinishReason::Cancelled, events);
                self.erasable = true;
            }
            self.queue.retain(|waiting| {
                if waiting.order.request != request {
                    return true;
                }
                events.push(Event::Finished(Box::new(Finished {
                    request,
                    reason: FinishReason::Cancelled,
                    completion_tokens: 0,
                    queue_micros: micros(waiting.arrived.elapsed()),
                    prompt_micros: 0,
                    decode_micros: 0,
                })));
                false
            });
        }
    }

    fn drop_late(&mut self, events: &mut Vec<Event>) {
        let now = Instant::now();
        if let Some(sequence) = self.active.take_if(|active| active.is_late(now)) {
            sequence.fail(&EngineError::Deadline, events);
            self.erasable = true;
        }
        self.queue.retain(|waiting| {
            let late = waiting.deadline.is_some_and(|deadline| now >= deadline);
            if late {
                refuse(waiting.order.request, &EngineError::Deadline, events);
            }
            !late
        });
    }

    /// Makes the first of the queue whose prompt is accepted the active one.
    fn begin_next(&mut self, events: &mut Vec<Event>) {
        if let Some(waiting) = self.queue.pop_front() {
            let request = waiting.order.request;
            match self.begin(waiting, events) {
                Ok(sequence) => self.active = Some(sequence),
                Err(error) => refuse(request, &error, events),
            }
        }
    }

    fn begin(&self, waiting: Waiting, events: &mut Vec<Event>) -> Result<Sequence, EngineError> {
        let began = Instant::now();
        let Waiting {
            order,
            arrived,
            deadline,
        } = waiting;
        let prompt = self.prompter.tokens(&order.prompt)?;
        let sampler = Sampler::new(&order.sampling, self.prompter.vocabulary().size(), &prompt)?;
        let prompt_tokens = u32::try_from(prompt.len()).unwrap_or(u32::MAX);
        let room = self.context.length() - prompt_tokens;
        events.push(Event::Began {
            request: order.request,
            prompt_tokens,
        });
        Ok(Sequence::new(Beginning {
            request: order.request,
            deadline,
            prompt,
            sampler,
            stops: order.stop.into_iter().map(|stop| stop.0).collect(),
            max_tokens: order.max_tokens.unwrap_or(room).min(room),
            piece_interval: Duration::from_millis(order.piece_interval_ms.into()),
            queued: began.saturating_duration_since(arrived),
            began,
        }))
    }
}

/// Ends a request with an error.
pub(crate) fn refuse(request: u64, error: &EngineError, events: &mut Vec<Event>) {
    events.push(Event::Refused {
        request,
        fault: error.fault(),
    });
}
