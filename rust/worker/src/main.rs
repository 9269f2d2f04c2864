//! The process that runs one model, locked into a sandbox.
//!
//! It is started by the host with the descriptors of [`strongroom_protocol::descriptor`] and nothing
//! else, and speaks the protocol of `rust/protocol/SPEC.md`. It always leaves by `_exit`, with a code
//! of [`ExitCode`]: running destructors would make system calls that are forbidden by then.
#![allow(unsafe_code)]

mod memory;
mod serve;
mod socket;
mod startup;

use std::panic;

use strongroom_engine::backend;
use strongroom_protocol::{Event, ExitCode, Order};

use crate::socket::{Events, Orders, Socket};

#[global_allocator]
static MEMORY: memory::Memory = memory::Memory;

fn main() {
    panic::set_hook(Box::new(|panic| {
        // The place, but not the message: it may quote what was worked on.
        match panic.location() {
            Some(place) => backend::last_words(&[b"panic at ", place.file().as_bytes()]),
            None => backend::last_words(&[b"panic"]),
        }
        backend::exit(ExitCode::Panic)
    }));
    let socket = Socket::inherited();
    let mut events = Events::new(socket);
    let mut orders = Orders::new(socket);
    let Order::Start(start) = orders.next() else {
        backend::exit(ExitCode::Protocol)
    };
    match startup::run(&start, orders, &mut events) {
        Ok(service) => serve::run(service, &mut events),
        Err(fault) => {
            events.send(&[Event::Failed(fault)]);
            backend::exit(ExitCode::Failed)
        }
    }
}
