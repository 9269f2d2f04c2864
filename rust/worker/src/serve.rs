//! The loop: orders in, steps, events out.

use std::{
    sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError},
    time::Instant,
};

use strongroom_engine::{EngineError, Scheduler, Vocabulary, Work, backend};
use strongroom_protocol::{Event, ExitCode, Order};

use crate::{
    socket::Events,
    startup::{Engine, Service},
};

/// Serves until the host closes the socket.
pub(crate) fn run(service: Service, events: &mut Events) -> ! {
    let Service { mut engine, orders } = service;
    let mut news = Vec::new();
    loop {
        if engine.is_idle() {
            match next(&orders, engine.next_expiry()) {
                Ok((arrived, order)) => engine.obey(order, arrived, &mut news),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => backend::exit(ExitCode::Clean),
            }
        }
        take_waiting(&mut engine, &orders, &mut news);
        engine.step(&mut news);
        // All that one step brought is sent at once: the host is woken once for it.
        if !news.is_empty() {
            events.send(&news);
            news.clear();
        }
    }
}

/// Waits for an order, or until something that is kept expires.
fn next(
    orders: &Receiver<(Instant, Order)>,
    until: Option<Instant>,
) -> Result<(Instant, Order), RecvTimeoutError> {
    match until {
        Some(until) => orders.recv_timeout(until.saturating_duration_since(Instant::now())),
        None => orders.recv().map_err(|_| RecvTimeoutError::Disconnected),
    }
}

fn take_waiting(engine: &mut Engine, orders: &Receiver<(Instant, Order)>, news: &mut Vec<Event>) {
    loop {
        match orders.try_recv() {
            Ok((arrived, order)) => engine.obey(order, arrived, news),
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
            Self::Embed(_) => None,
        }
    }

    fn step(&mut self, news: &mut Vec<Event>) {
        match self {
            Self::Generate(scheduler) => scheduler.step(news),
            Self::Embed(embedder) => embedder.step(news),
        }
    }

    fn vocabulary(&self) -> &Vocabulary {
        match self {
            Self::Generate(scheduler) => scheduler.prompter().vocabulary(),
            Self::Embed(embedder) => embedder.vocabulary(),
        }
    }

    fn obey(&mut self, order: Order, arrived: Instant, news: &mut Vec<Event>) {
        match (order, self) {
            (Order::Start(_), _) => backend::exit(ExitCode::Protocol),
            (Order::Tokenize { request, text }, engine) => {
                news.push(match engine.vocabulary().tokenize(&text.0) {
                    Ok(ids) => Event::Tokens { request, ids },
                    Err(error) => refusal(request, &error),
                });
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

fn refusal(request: u64, error: &EngineError) -> Event {
    Event::Refused {
        request,
        fault: error.fault(),
    }
}
