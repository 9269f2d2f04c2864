//! The answer to one request.

use std::{os::fd::AsRawFd, sync::OnceLock};

use pyo3::{prelude::*, types::PyByteArray};
use strongroom_host::{HostError, Update};
use strongroom_protocol::FinishReason;

use crate::{detach, errors::Error};

/// The request left the queue and its prompt was accepted.
#[pyclass(frozen, get_all, module = "strongroom._core")]
pub(crate) struct Began {
    prompt_tokens: u32,
    /// Of these, the first ones that were not read again.
    cached_tokens: u32,
}

/// The vectors that were asked for.
#[pyclass(frozen, get_all, module = "strongroom._core")]
pub(crate) struct Embedded {
    /// Of all texts.
    tokens: u32,
    /// One row per text, of numbers in IEEE 754 binary32, little-endian.
    rows: Py<PyByteArray>,
}

/// A public prefix is there.
#[pyclass(frozen, get_all, module = "strongroom._core")]
pub(crate) struct Published {
    tokens: u32,
}

/// Text, in whole characters.
#[pyclass(frozen, get_all, module = "strongroom._core")]
pub(crate) struct Piece {
    text: String,
    tokens: u32,
}

/// The request ended well.
#[pyclass(frozen, get_all, module = "strongroom._core")]
#[derive(Clone)]
pub(crate) struct Finished {
    reason: &'static str,
    completion_tokens: u32,
    queue_seconds: f64,
    prompt_seconds: f64,
    decode_seconds: f64,
}

/// What `next()` returns.
#[derive(IntoPyObject)]
pub(crate) enum Next {
    Began(Began),
    Piece(Piece),
    Finished(Finished),
    Embedded(Embedded),
    Published(Published),
}

/// What was asked of one request. Dropped before its end, it cancels.
#[pyclass(frozen, module = "strongroom._core")]
pub(crate) struct Stream {
    stream: strongroom_host::Stream,
    // The host yields it once; here it stays what comes next.
    last: OnceLock<Last>,
}

/// What ends a stream.
enum Last {
    Finished(Finished),
    Embedded(u32, Py<PyByteArray>),
    Published(u32),
}

impl Last {
    fn again(&self, py: Python<'_>) -> Next {
        match self {
            Self::Finished(finished) => Next::Finished(finished.clone()),
            Self::Embedded(tokens, rows) => Next::Embedded(Embedded {
                tokens: *tokens,
                rows: rows.clone_ref(py),
            }),
            Self::Published(tokens) => Next::Published(Published { tokens: *tokens }),
        }
    }
}

impl Stream {
    pub(crate) const fn new(stream: strongroom_host::Stream) -> Self {
        Self {
            stream,
            last: OnceLock::new(),
        }
    }

    fn convert(&self, py: Python<'_>, update: Option<Update>) -> Option<Next> {
        let last = match update {
            Some(Update::Began {
                prompt_tokens,
                cached_tokens,
            }) => {
                return Some(Next::Began(Began {
                    prompt_tokens,
                    cached_tokens,
                }));
            }
            Some(Update::Piece { text, tokens }) => {
                return Some(Next::Piece(Piece { text, tokens }));
            }
            Some(Update::Finished(finished)) => Last::Finished(Finished {
                reason: match finished.reason {
                    FinishReason::EndOfGeneration | FinishReason::StopString => "stop",
                    FinishReason::Length => "length",
                    FinishReason::Cancelled => "cancelled",
                },
                completion_tokens: finished.completion_tokens,
                queue_seconds: seconds(finished.queue_micros),
                prompt_seconds: seconds(finished.prompt_micros),
                decode_seconds: seconds(finished.decode_micros),
            }),
            Some(Update::Embedded { tokens, rows }) => {
                Last::Embedded(tokens, PyByteArray::new(py, &rows).unbind())
            }
            Some(Update::Published { tokens }) => Last::Published(tokens),
            None => return self.last.get().map(|last| last.again(py)),
        };
        Some(self.last.get_or_init(|| last).again(py))
    }
}

#[pymethods]
impl Stream {
    /// Waits for what comes next: `Began`, pieces, `Finished`; or `Embedded`, or `Published`.
    fn next(&self, py: Python<'_>) -> Result<Next, Error> {
        loop {
            let update = detach::wait(py, |patience| -> Result<_, HostError> {
                Ok(match self.stream.next(Some(patience))? {
                    None if self.last.get().is_none() => None,
                    update => Some(update),
                })
            })?;
            if let Some(next) = self.convert(py, update) {
                return Ok(next);
            }
        }
    }

    /// What `next()` would return, or None where it would wait. Never blocks.
    fn poll(&self, py: Python<'_>) -> Result<Option<Next>, Error> {
        Ok(self.convert(py, self.stream.poll()?))
    }

    /// A descriptor, the stream's own, that is readable when `poll()` has something.
    fn fileno(&self) -> Result<i32, Error> {
        let descriptor = self.stream.wake_fd().map_err(|error| {
            error.downcast::<HostError>().map_or_else(
                |error| Error::no_resources("descriptor", &error),
                Error::from,
            )
        })?;
        Ok(descriptor.as_raw_fd())
    }

    /// Stops decoding at the next step; `Finished` with `cancelled` follows.
    fn cancel(&self) -> Result<(), Error> {
        Ok(self.stream.cancel()?)
    }
}

/// Microseconds in seconds.
#[allow(clippy::cast_precision_loss)] // Exact up to 285 years.
pub(crate) fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}
