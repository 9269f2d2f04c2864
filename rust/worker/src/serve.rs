//! The loop: orders in, steps, events out.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, TryRecvError},
    },
    time::Instant,
};

use strongroom_engine::{
    EngineError, Scheduler, Token, Tokenized, Tokenizer, Vocabulary, Work, backend,
};
use strongroom_protocol::{Event, ExitCode, LONG_TEXT, Order};

use crate::{
    socket::{Arrival, Events},
    startup::{Engine, Service},
};

/// Serves until the host closes the socket.
pub(crate) fn run(service: Service, events: &mut Events) -> ! {
    let Service {
        mut engine,
        tokenizer,
        arrivals,
    } = service;
    let mut news = Vec::new();
    loop {
        if engine.is_idle() {
            match next(&arrivals, engine.next_expiry()) {
                Ok(arrival) => engine.hear(arrival, &tokenizer, &mut news),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => backend::exit(ExitCode::Clean),
            }
        }
        take_waiting(&mut engine, &arrivals, &tokenizer, &mut news);
        engine.step(&mut news);
        // All that one step brought is sent at once: the host is woken once for it.
        if !news.is_empty() {
            events.send(&news);
            news.clear();
        }
    }
}

/// Waits for something to hear, or until `until`.
fn next(arrivals: &Receiver<Arrival>, until: Option<Instant>) -> Result<Arrival, RecvTimeoutError> {
    match until {
        Some(until) => arrivals.recv_timeout(until.saturating_duration_since(Instant::now())),
        None => arrivals.recv().map_err(|_| RecvTimeoutError::Disconnected),
    }
}

fn take_waiting(
    engine: &mut Engine,
    arrivals: &Receiver<Arrival>,
    tokenizer: &Tokenizer,
    news: &mut Vec<Event>,
) {
    loop {
        match arrivals.try_recv() {
            Ok(arrival) => engine.hear(arrival, tokenizer, news),
            Err(TryRecvError::Empty) => return,
            Err(TryRecvError::Disconnected) => backend::exit(ExitCode::Clean),
        }
    }
}

impl Engine {
    fn is_idle(&self) -> bool {
        match self {
            Self::Generate(scheduler) => scheduler.is_idle(),
            Self::Embed(embedder) => embedder.is_idle(),
        }
    }

    fn next_expiry(&self) -> Option<Instant> {
        match self {
            Self::Generate(scheduler) => scheduler.next_expiry(),
            Self::Embed(embedder) => embedder.next_expiry(),
        }
    }

    fn step(&mut self, news: &mut Vec<Event>) {
        match self {
            Self::Generate(scheduler) => scheduler.step(news),
            Self::Embed(embedder) => embedder.step(news),
        }
    }

    fn vocabulary(&self) -> &Arc<Vocabulary> {
        match self {
            Self::Generate(scheduler) => scheduler.prompter().vocabulary(),
            Self::Embed(embedder) => embedder.vocabulary(),
        }
    }

    fn hear(&mut self, arrival: Arrival, tokenizer: &Tokenizer, news: &mut Vec<Event>) {
        match arrival {
            Arrival::Order(arrived, order) => self.obey(order, arrived, tokenizer, news),
            Arrival::Tokenized(Tokenized::Plain {
                request,
                tokens: ids,
            }) => {
                news.push(tokens(request, ids));
            }
            Arrival::Tokenized(Tokenized::Prompt { request, tokens }) => {
                // An embedder hands over no prompts.
                if let Self::Generate(scheduler) = self {
                    scheduler.read(request, tokens);
                }
            }
            Arrival::Tokenized(Tokenized::Several { request, tokens }) => {
                // And who generates, no texts.
                if let Self::Embed(embedder) = self {
                    embedder.read(request, tokens);
                }
            }
        }
    }

    fn obey(
        &mut self,
        order: Order,
        arrived: Instant,
        tokenizer: &Tokenizer,
        news: &mut Vec<Event>,
    ) {
        match (order, self) {
            (Order::Start(_), _) => backend::exit(ExitCode::Protocol),
            (Order::Tokenize { request, text }, engine) => {
                let vocabulary = engine.vocabulary();
                if text.0.len() > LONG_TEXT {
                    tokenizer.read(request, text, Arc::clone(vocabulary));
                } else {
                    news.push(tokens(request, vocabulary.tokenize(&text.0)));
                }
            }
            (Order::Cancel { request }, Self::Generate(scheduler)) => scheduler.cancel(request),
            (Order::Cancel { request }, Self::Embed(embedder)) => embedder.cancel(request),
            (Order::Generate(order), Self::Generate(scheduler)) => {
                admit(scheduler, Work::Generate(order), arrived, news);
            }
            (Order::Publish(order), Self::Generate(scheduler)) => {
                admit(scheduler, Work::Publish(order), arrived, news);
            }
            (Order::Embed(order), Self::Embed(embedder)) => {
                let request = order.request;
                if embedder.holds(request) {
                    backend::exit(ExitCode::Protocol);
                }
                if let Err(error) = embedder.admit(*order, arrived) {
                    news.push(refusal(request, &error));
                }
            }
            (Order::Embed(order), Self::Generate(_)) => {
                news.push(refusal(
                    order.request,
                    &EngineError::Task { task: "generate" },
                ));
            }
            (Order::Generate(order), Self::Embed(_)) => {
                news.push(refusal(order.request, &EngineError::Task { task: "embed" }));
            }
            (Order::Publish(order), Self::Embed(_)) => {
                news.push(refusal(order.request, &EngineError::Task { task: "embed" }));
            }
        }
    }
}

fn admit(scheduler: &mut Scheduler, work: Work, arrived: Instant, news: &mut Vec<Event>) {
    let request = work.request();
    if scheduler.holds(request) {
        backend::exit(ExitCode::Protocol);
    }
    if let Err(error) = scheduler.admit(work, arrived) {
        news.push(refusal(request, &error));
    }
}

fn tokens(request: u64, ids: Result<Vec<Token>, EngineError>) -> Event {
    match ids {
        Ok(ids) => Event::Tokens { request, ids },
        Err(error) => refusal(request, &error),
    }
}

fn refusal(request: u64, error: &EngineError) -> Event {
    Event::Refused {
        request,
        fault: error.fault(),
    }
}
