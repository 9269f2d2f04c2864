//! The loop: orders in, steps, events out.

use std::{
    sync::mpsc::{Receiver, TryRecvError},
    time::Instant,
};

use strongroom_engine::{Scheduler, backend};
use strongroom_protocol::{Event, ExitCode, Order};

use crate::{socket::Events, startup::Service};

/// Serves until the host closes the socket.
pub(crate) fn run(service: Service, events: &mut Events) -> ! {
    let Service {
        mut scheduler,
        orders,
    } = service;
    let mut news = Vec::new();
    loop {
        if scheduler.is_idle() {
            match orders.recv() {
                Ok((arrived, order)) => obey(&mut scheduler, order, arrived, &mut news),
                Err(_) => backend::exit(ExitCode::Clean),
            }
        }
        take_waiting(&mut scheduler, &orders, &mut news);
        scheduler.step(&mut news);
        if !news.is_empty() {
            events.send(&news);
            news.clear();
        }
    }
}

fn take_waiting(
    scheduler: &mut Scheduler,
    orders: &Receiver<(Instant, Order)>,
    news: &mut Vec<Event>,
) {
    loop {
        match orders.try_recv() {
            Ok((arrived, order)) => obey(scheduler, order, arrived, news),
            Err(TryRecvError::Empty) => return,
            Err(TryRecvError::Disconnected) => backend::exit(ExitCode::Clean),
        }
    }
}

fn obey(scheduler: &mut Scheduler, order: Order, arrived: Instant, news: &mut Vec<Event>) {
    match order {
        Order::Start(_) => backend::exit(ExitCode::Protocol),
        Order::Generate(order) => {
            let request = order.request;
            if scheduler.holds(request) {
                backend::exit(ExitCode::Protocol);
            }
            if let Err(error) = scheduler.admit(*order, arrived) {
                news.push(Event::Refused {
                    request,
                    fault: error.fault(),
                });
            }
        }
        Order::Tokenize { request, text } => {
            news.push(match scheduler.prompter().vocabulary().tokenize(&text.0) {
                Ok(ids) => Event::Tokens { request, ids },
                Err(error) => Event::Refused {
                    request,
                    fault: error.fault(),
                },
            });
        }
        Order::Cancel { request } => scheduler.cancel(request),
    }
}
