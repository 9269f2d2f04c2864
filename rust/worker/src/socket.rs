//! Both directions of the socket.

use std::{
    fs::File,
    io::{Read, Write},
    os::fd::FromRawFd,
    sync::mpsc::{SyncSender, sync_channel},
    thread,
    time::Instant,
};

use strongroom_engine::{Tokenized, backend};
use strongroom_protocol::{
    Decoder, Event, ExitCode, MAX_EVENT, MAX_ORDER, Order, descriptor, frame,
};

/// Arrivals that may wait for the loop; then the threads that send them wait, and with them the host.
pub(crate) const WAITING: usize = 256;

/// What the loop hears from the other threads.
#[derive(Debug)]
pub(crate) enum Arrival {
    /// The host, and when.
    Order(Instant, Order),
    /// The tokenizer.
    Tokenized(Tokenized),
}

/// The socket as a file: `read` and `write` are all that the sandbox allows on it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Socket(&'static File);

impl Socket {
    /// Takes over descriptor 3; called once.
    pub(crate) fn inherited() -> Self {
        // SAFETY: the host starts the worker with the socket at this number, nothing else in the
        // process owns it, and it is never closed.
        let file = unsafe { File::from_raw_fd(descriptor::SOCKET) };
        Self(Box::leak(Box::new(file)))
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buffer)
    }
}

/// The host's orders.
#[derive(Debug)]
pub(crate) struct Orders(Decoder<Socket>);

impl Orders {
    pub(crate) const fn new(socket: Socket) -> Self {
        Self(Decoder::new(socket, MAX_ORDER))
    }

    /// The next order. The end of the stream, and whatever is no order, end the process.
    pub(crate) fn next(&mut self) -> Order {
        match self.0.next() {
            Ok(Some(order)) => order,
            Ok(None) => backend::exit(ExitCode::Clean),
            Err(_) => backend::exit(ExitCode::Protocol),
        }
    }

    /// Moves the reading to a thread of its own, which is waiting for the first order when this
    /// returns. It ends the process when the host closes the socket, whatever the other threads do.
    ///
    /// # Errors
    /// What making a thread says.
    pub(crate) fn read_in_background(
        mut self,
        arrivals: SyncSender<Arrival>,
    ) -> std::io::Result<()> {
        let (started, start) = sync_channel(0);
        thread::Builder::new()
            .name("orders".to_owned())
            .stack_size(256 << 10)
            .spawn(move || {
                let _ = started.send(());
                self.forward(&arrivals);
            })?;
        let _ = start.recv();
        Ok(())
    }

    fn forward(&mut self, arrivals: &SyncSender<Arrival>) -> ! {
        loop {
            let order = self.next();
            let arrival = Arrival::Order(Instant::now(), order);
            if arrivals.send(arrival).is_err() {
                // Only if the loop is gone, which ends the process anyway.
                backend::exit(ExitCode::Clean);
            }
        }
    }
}

/// What the host hears. One thread owns it.
#[derive(Debug)]
pub(crate) struct Events {
    socket: Socket,
    buffer: Vec<u8>,
}

impl Events {
    pub(crate) const fn new(socket: Socket) -> Self {
        Self {
            socket,
            buffer: Vec::new(),
        }
    }

    /// Writes `events` with one call, waiting until the host takes them. If it never will, because
    /// it closed the socket, the process ends.
    pub(crate) fn send(&mut self, events: &[Event]) {
        self.buffer.clear();
        for event in events {
            if frame::encode(event, MAX_EVENT, &mut self.buffer).is_err() {
                // Every event is bounded by what the host may order.
                backend::exit(ExitCode::Panic);
            }
        }
        if self.socket.0.write_all(&self.buffer).is_err() {
            backend::exit(ExitCode::Clean);
        }
        self.buffer.fill(0);
    }
}
