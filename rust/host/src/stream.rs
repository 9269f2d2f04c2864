//! The answer to one request, as it is decoded.

use std::{io, os::fd::BorrowedFd, time::Duration};

use crate::{HostError, Update};

/// The answer to one request. Dropping it cancels the request.
#[derive(Debug)]
pub struct Stream {}

impl Stream {
    /// Waits for the next update. `None` after `Finished`, or when `timeout` has passed; an error is
    /// the last thing a stream yields, and it yields it again when asked again.
    pub fn next(&self, _timeout: Option<Duration>) -> Result<Option<Update>, HostError> {
        Err(HostError::Unloaded)
    }

    /// The next update if there is one; never waits.
    pub fn poll(&self) -> Result<Option<Update>, HostError> {
        Err(HostError::Unloaded)
    }

    /// Whether nothing will come any more: `Finished` or an error was yielded.
    pub fn ended(&self) -> bool {
        true
    }

    /// Readable whenever [`poll`](Self::poll) has something; made when first asked for.
    pub fn wake_fd(&self) -> io::Result<BorrowedFd<'_>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Stops decoding at the next step; the stream still ends, with `Finished` of reason
    /// `Cancelled`.
    pub fn cancel(&self) {}
}
