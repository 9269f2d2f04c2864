//! Requests for vectors, computed together.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use strongroom_protocol::{Embed, Embedded, Event, LONG_TEXT, MAX_EMBED_TEXTS, MAX_TEXT, Priority};

use crate::{
    EngineError, Token, Tokenizer, Vocabulary,
    embedding::{EmbeddingContext, TEXTS},
    reading::Reading,
    sequence::{cancelled, refuse},
    shares::Sharer,
};

use waiting::Waiting;

mod waiting;

/// Requests for vectors. Each step computes some texts of some requests; then it is the turn of other tenants,
/// and of other requests, so that a large one holds no small one up, and nobody with many one with few.
#[derive(Debug)]
pub struct Embedder {
    context: EmbeddingContext,
    vocabulary: Arc<Vocabulary>,
    /// Where long texts are tokenized; between steps where there is none.
    tokenizer: Option<Tokenizer>,
    /// Whose texts the tokenizer has: those of one request at a time, so that the priority decides.
    being_read: Option<u64>,
    limit: usize,
    waiting: Vec<Waiting>,
    /// The next one to be computed comes first.
    live: VecDeque<Live>,
    cancelled: Vec<u64>,
}

/// A request whose texts were accepted.
#[derive(Debug)]
struct Live {
    request: u64,
    sharer: Sharer,
    priority: Priority,
    arrived: Instant,
    deadline: Option<Instant>,
    normalize: bool,
    /// Those that are computed are empty.
    texts: Vec<Vec<Token>>,
    next: usize,
    /// The last step computed some of them.
    had_turn: bool,
    tokens: u32,
    rows: Vec<u8>,
}

impl Embedder {
    /// Holds at most `limit` requests. Long texts are handed to `tokenizer`, where there is one, and what
    /// it makes of them to [`Self::read`].
    pub fn new(
        context: EmbeddingContext,
        vocabulary: Vocabulary,
        tokenizer: Option<Tokenizer>,
        limit: usize,
    ) -> Self {
        Self {
            context,
            vocabulary: Arc::new(vocabulary),
            tokenizer,
            being_read: None,
            limit: limit.max(1),
            waiting: Vec::new(),
            live: VecDeque::new(),
            cancelled: Vec::new(),
        }
    }

    /// The computation.
    pub fn context(&self) -> &EmbeddingContext {
        &self.context
    }

    /// The vocabulary.
    pub fn vocabulary(&self) -> &Arc<Vocabulary> {
        &self.vocabulary
    }

    /// Whether there is nothing to step, until something is heard: an order, or the tokenizer.
    pub fn is_idle(&self) -> bool {
        let may_go_on = |waiting: &Waiting| match waiting.reading {
            Reading::Later | Reading::Done(_) => true,
            Reading::First => self.being_read.is_none(),
            Reading::Now => false,
        };
        self.live.is_empty() && self.cancelled.is_empty() && !self.waiting.iter().any(may_go_on)
    }

    /// When a step has something to do although [`Self::is_idle`]: who waits for the tokenizer is late.
    pub fn next_expiry(&self) -> Option<Instant> {
        self.waiting
            .iter()
            .filter_map(|waiting| waiting.deadline)
            .min()
    }

    /// Whether `request` waits or is being computed.
    pub fn holds(&self, request: u64) -> bool {
        let waits = |waiting: &Waiting| waiting.order.request == request;
        self.waiting.iter().any(waits) || self.live.iter().any(|live| live.request == request)
    }

    /// Takes a request that arrived at `arrived`, when its time began to run.
    ///
    /// # Errors
    /// [`EngineError::Busy`] if the queue is full, [`EngineError::Option`] if there are no texts, or too
    /// many; [`EngineError::TextTooLong`].
    pub fn admit(&mut self, order: Embed, arrived: Instant) -> Result<(), EngineError> {
        if self.waiting.len() + self.live.len() >= self.limit {
            return Err(EngineError::Busy { limit: self.limit });
        }
        if !(1..=MAX_EMBED_TEXTS).contains(&order.texts.len()) {
            return Err(EngineError::Option {
                name: "texts",
                range: format!("1 to {MAX_EMBED_TEXTS} of one request"),
            });
        }
        let bytes = order.texts.iter().map(|text| text.0.len()).sum();
        if bytes > MAX_TEXT {
            return Err(EngineError::TextTooLong {
                bytes,
                bound: MAX_TEXT,
            });
        }
        // A deadline that the clock can't express is none.
        let deadline = arrived.checked_add(Duration::from_millis(order.timeout_ms));
        let reading = match &self.tokenizer {
            Some(_) if bytes > LONG_TEXT => Reading::First,
            _ => Reading::Later,
        };
        self.waiting.push(Waiting {
            order,
            arrived,
            deadline,
            reading,
        });
        Ok(())
    }

    /// What the tokenizer made of the texts of `request`, which may have gone meanwhile.
    pub fn read(&mut self, request: u64, tokens: Result<Vec<Vec<Token>>, EngineError>) {
        self.being_read.take_if(|read| *read == request);
        let mut waiting = self.waiting.iter_mut();
        if let Some(waiting) = waiting.find(|waiting| waiting.is_read_for(request)) {
            waiting.reading = Reading::Done(tokens);
        }
    }

    /// Stops `request` with the next step; an unknown one is ignored.
    pub fn cancel(&mut self, request: u64) {
        if self.holds(request) {
            self.cancelled.push(request);
        }
    }

    /// Does the next piece of work and appends what the host has to know to `events`.
    pub fn step(&mut self, events: &mut Vec<Event>) {
        self.drop_cancelled(events);
        self.drop_late(events);
        let some_began = self.begin_all(events);
        self.read_next();
        if some_began {
            // The host hears who began before anything is computed.
            return;
        }
        self.compute(events);
    }

    fn drop_cancelled(&mut self, events: &mut Vec<Event>) {
        let requests = std::mem::take(&mut self.cancelled);
        let waiting = self
            .waiting
            .extract_if(.., |waiting| requests.contains(&waiting.order.request));
        for waiting in waiting {
            cancelled(waiting.order.request, waiting.arrived, events);
        }
        self.live.retain(|live| {
            let stop = requests.contains(&live.request);
            if stop {
                cancelled(live.request, live.arrived, events);
            }
            !stop
        });
    }

    fn drop_late(&mut self, events: &mut Vec<Event>) {
        let now = Instant::now();
        let late = |deadline: Option<Instant>| deadline.is_some_and(|deadline| now >= deadline);
        let waiting = self
            .waiting
            .extract_if(.., |waiting| late(waiting.deadline));
        for waiting in waiting {
            refuse(waiting.order.request, &EngineError::Deadline, events);
        }
        self.live.retain(|live| {
            let drop = late(live.deadline);
            if drop {
                refuse(live.request, &EngineError::Deadline, events);
            }
            !drop
        });
    }

    /// Hands the next long texts to the tokenizer.
    fn read_next(&mut self) {
        let Some(tokenizer) = &self.tokenizer else {
            return;
        };
        if self.being_read.is_some() {
            return;
        }
        let unread = self
            .waiting
            .iter_mut()
            .filter(|waiting| waiting.is_unread());
        let Some(next) = unread.min_by_key(|waiting| Reverse(waiting.order.priority)) else {
            return;
        };
        next.reading = Reading::Now;
        let request = next.order.request;
        let texts = std::mem::take(&mut next.order.texts);
        let vocabulary = Arc::clone(&self.vocabulary);
        tokenizer.read_texts(request, texts, vocabulary, self.context.length());
        self.being_read = Some(request);
    }

    fn begin_all(&mut self, events: &mut Vec<Event>) -> bool {
        let length = self.context.length();
        let mut some_began = false;
        for waiting in self.waiting.extract_if(.., |waiting| waiting.may_begin()) {
            let request = waiting.order.request;
            let texts = match waiting.reading {
                Reading::Done(texts) => texts,
                _ => self.vocabulary.tokenize_all(&waiting.order.texts, length),
            };
            match texts {
                Ok(texts) => {
                    let live = Live::new(&waiting.order, waiting.arrived, waiting.deadline, texts);
                    events.push(Event::Began {
                        request,
                        prompt_tokens: live.tokens,
                        cached_tokens: 0,
                    });
                    self.live.push_back(live);
                    some_began = true;
                }
                Err(error) => refuse(request, &error, events),
            }
        }
        // Stable: of one priority the first comes first.
        self.live
            .make_contiguous()
            .sort_by_key(|live| Reverse(live.priority));
        some_began
    }

    /// Computes as many texts as fit, in the order of the requests; a request of which texts are left
    /// then goes behind those of its priority.
    fn compute(&mut self, events: &mut Vec<Event>) {
        let most = self.context.batch_tokens() as usize;
        let mut texts = Vec::new();
        let mut counts = Vec::new();
        let mut tokens = 0;
        self.live.iter_mut().for_each(|live| live.had_turn = false);
        'requests: for live in &mut self.live {
            let first = live.next;
            while let Some(text) = live.texts.get_mut(live.next) {
                if texts.len() == TEXTS as usize || tokens + text.len() > most {
                    counts.push(live.next - first);
                    break 'requests;
                }
                tokens += text.len();
                texts.push(std::mem::take(text));
                live.next += 1;
                live.had_turn = true;
            }
            counts.push(live.next - first);
        }
        let mut rows: Vec<Vec<u8>> = Vec::with_capacity(texts.len());
        let normalize: Vec<bool> = self
            .live
            .iter()
            .zip(&counts)
            .flat_map(|(live, &count)| std::iter::repeat_n(live.normalize, count))
            .collect();
        let computed = self.context.embed(&texts, &mut |place, vector| {
            rows.push(row(vector, normalize[place]));
        });
        match computed {
            Ok(()) => {
                let mut rows = rows.into_iter();
                for (live, &count) in self.live.iter_mut().zip(&counts) {
                    live.rows.extend(rows.by_ref().take(count).flatten());
                }
            }
            Err(error) => self.fail_one_by_one(&texts, &counts, &error, events),
        }
        self.hand_over(events);
    }

    /// Whose fault it is shows when each request is computed alone.
    fn fail_one_by_one(
        &mut self,
        texts: &[Vec<Token>],
        counts: &[usize],
        error: &EngineError,
        events: &mut Vec<Event>,
    ) {
        let alone = counts.iter().filter(|&&count| count > 0).count() == 1;
        let mut first = 0;
        let mut failed = Vec::new();
        for (live, &count) in self.live.iter_mut().zip(counts) {
            let mine = &texts[first..first + count];
            first += count;
            if count == 0 {
                continue;
            }
            let computed = if alone {
                Err(EngineError::Decode {
                    detail: error.to_string(),
                })
            } else {
                self.context.embed(mine, &mut |_, vector| {
                    live.rows.extend(row(vector, live.normalize));
                })
            };
            if let Err(error) = computed {
                refuse(live.request, &error, events);
                failed.push(live.request);
            }
        }
        self.live.retain(|live| !failed.contains(&live.request));
    }

    /// Ends the requests whose texts are all computed, and has the others take turns.
    fn hand_over(&mut self, events: &mut Vec<Event>) {
        let served: BTreeSet<Sharer> = (self.live.iter())
            .filter_map(|live| live.had_turn.then_some(live.sharer))
            .collect();
        let mut left = VecDeque::with_capacity(self.live.len());
        for live in self.live.drain(..) {
            if live.next < live.texts.len() {
                left.push_back(live);
                continue;
            }
            events.push(Event::Embedded(Box::new(Embedded {
                request: live.request,
                tokens: live.tokens,
                rows: live.rows,
            })));
        }
        // Behind those of the same priority: the tenants that had a turn, and of their requests those that had it.
        left.make_contiguous().sort_by_key(|live| {
            let rank = (served.contains(&live.sharer), live.had_turn);
            (Reverse(live.priority), rank)
        });
        self.live = left;
    }
}

impl Live {
    fn new(
        order: &Embed,
        arrived: Instant,
        deadline: Option<Instant>,
        texts: Vec<Vec<Token>>,
    ) -> Self {
        let tokens = texts.iter().map(Vec::len).sum::<usize>();
        Self {
            request: order.request,
            sharer: order.tenant,
            priority: order.priority,
            arrived,
            deadline,
            normalize: order.normalize,
            texts,
            next: 0,
            had_turn: false,
            tokens: u32::try_from(tokens).unwrap_or(u32::MAX),
            rows: Vec::new(),
        }
    }
}

/// A vector as it travels, of length 1 where that is asked for and it has a length.
fn row(vector: &[f32], normalize: bool) -> Vec<u8> {
    let length = vector
        .iter()
        .map(|&number| f64::from(number) * f64::from(number))
        .sum::<f64>()
        .sqrt();
    let scale = if normalize && length > 0.0 {
        1.0 / length
    } else {
        1.0
    };
    vector
        .iter()
        .flat_map(|&number| {
            #[allow(clippy::cast_possible_truncation)] // what a binary32 can hold of it
            let number = (f64::from(number) * scale) as f32;
            number.to_le_bytes()
        })
        .collect()
}
