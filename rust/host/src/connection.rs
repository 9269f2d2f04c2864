//! The socket to a worker, which never makes the supervisor wait.

use std::{
    io,
    os::{
        fd::{AsFd, BorrowedFd},
        unix::net::UnixStream,
    },
    time::Instant,
};

use rustix::{
    io::Errno,
    net::{RecvFlags, SendFlags, recv, send},
};
use strongroom_protocol::{Buffer, Event, FrameError, MAX_EVENT, MAX_ORDER, Order, frame};

/// Bytes read at once.
const READ: usize = 64 << 10;

/// The socket to a worker, which never makes the supervisor wait.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: UnixStream,
    incoming: Buffer,
    /// Encoded and not yet taken by the kernel, from `sent` on. Bounded by the requests in flight.
    outgoing: Vec<u8>,
    sent: usize,
    /// Since when a part of a frame waits for its rest.
    pub(crate) partial_since: Option<Instant>,
    /// When the worker closed its end.
    pub(crate) ended_at: Option<Instant>,
    scratch: Box<[u8]>,
    /// The last read filled the scratch.
    filled: bool,
}

impl Connection {
    /// Both ends: ours, and the one for the worker.
    pub(crate) fn pair() -> io::Result<(Self, UnixStream)> {
        let (socket, of_worker) = UnixStream::pair()?;
        socket.set_nonblocking(true)?;
        let connection = Self {
            socket,
            incoming: Buffer::new(MAX_EVENT),
            outgoing: Vec::new(),
            sent: 0,
            partial_since: None,
            ended_at: None,
            scratch: vec![0; READ].into_boxed_slice(),
            filled: false,
        };
        Ok((connection, of_worker))
    }

    /// Queues a frame; [`flush`](Self::flush) sends it.
    pub(crate) fn queue(&mut self, order: &Order) -> Result<(), FrameError> {
        frame::encode(order, MAX_ORDER, &mut self.outgoing)
    }

    /// Sends as much as the kernel takes. An end of the worker isn't told here: reading tells it.
    pub(crate) fn flush(&mut self) {
        while self.sent < self.outgoing.len() {
            match send(
                &self.socket,
                &self.outgoing[self.sent..],
                SendFlags::NOSIGNAL,
            ) {
                Ok(count) => self.sent += count,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                Err(_) => break,
            }
        }
        self.outgoing = Vec::new();
        self.sent = 0;
    }

    /// Whether the kernel took less than there is.
    pub(crate) const fn is_backed_up(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Reads once; says whether anything came.
    pub(crate) fn receive(&mut self) -> bool {
        self.filled = false;
        match recv(&self.socket, &mut *self.scratch, RecvFlags::empty()) {
            Ok((count @ 1.., _)) => {
                self.filled = count == self.scratch.len();
                self.incoming.extend(&self.scratch[..count]);
                true
            }
            Err(Errno::INTR | Errno::AGAIN) => false,
            Ok(_) | Err(_) => {
                self.ended_at.get_or_insert_with(Instant::now);
                false
            }
        }
    }

    /// Whether there may be more than was read.
    pub(crate) const fn has_more(&self) -> bool {
        self.filled
    }

    /// The next event that has arrived whole.
    pub(crate) fn event(&mut self) -> Result<Option<Event>, FrameError> {
        let event = self.incoming.next()?;
        if event.is_some() || self.incoming.is_empty() {
            self.partial_since = None;
        } else {
            self.partial_since.get_or_insert_with(Instant::now);
        }
        Ok(event)
    }

    /// Tells the worker that nothing more will come, whoever else holds a copy of the socket.
    pub(crate) fn shut_down(&self) {
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
