//! The answer to one request.

use std::sync::{Arc, OnceLock};

use pyo3::prelude::*;
use strongroom_host::{HostError, Update};
use strongroom_protocol::FinishReason;

use crate::{bell::Bell, detach, errors::Error};

/// The request left the queue and its prompt was accepted.
#[pyclass(frozen, get_all, module = "strongroom._core")]
pub(crate) struct Began {
    prompt_tokens: u32,
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
}

/// The answer to one request. Dropped before its end, it cancels.
#[pyclass(frozen, module = "strongroom._core")]
pub(crate) struct Stream {
    stream: strongroom_host::Stream,
    // The host yields it once; here it stays what comes next.
    finished: OnceLock<Finished>,
}

impl Stream {
    pub(crate) const fn new(stream: strongroom_host::Stream) -> Self {
        Self {
            stream,
            finished: OnceLock::new(),
        }
    }

    fn convert(&self, update: Option<Update>) -> Option<Next> {
        Some(match update {
            Some(Update::Began { prompt_tokens }) => Next::Began(Began { prompt_tokens }),
            Some(Update::Piece { text, tokens }) => Next::Piece(Piece { text, tokens }),
            Some(Update::Finished(finished)) => {
                let finished = Finished {
                    reason: match finished.reason {
                        FinishReason::EndOfGeneration | FinishReason::StopString => "stop",
                        FinishReason::Length => "length",
                        FinishReason::Cancelled => "cancelled",
                    },
                    completion_tokens: finished.completion_tokens,
                    queue_seconds: seconds(finished.queue_micros),
                    prompt_seconds: seconds(finished.prompt_micros),
                    decode_seconds: seconds(finished.decode_micros),
                };
                Next::Finished(self.finished.get_or_init(|| finished).clone())
            }
            None => Next::Finished(self.finished.get()?.clone()),
        })
    }
}

#[pymethods]
impl Stream {
    /// Waits for what comes next: `Began`, pieces, `Finished`.
    fn next(&self, py: Python<'_>) -> Result<Next, Error> {
        // What is there needs no other thread to run first.
        if let Some(next) = self.poll()? {
            return Ok(next);
        }
        detach::wait(py, |patience| -> Result<_, HostError> {
            Ok(self.convert(self.stream.next(Some(patience))?))
        })
    }

    /// What `next()` would return, or None where it would wait. Never blocks.
    fn poll(&self) -> Result<Option<Next>, Error> {
        Ok(self.convert(self.stream.poll()?))
    }

    /// Has `bell` told, under `key`, of what comes after `poll()` returned None, or is there now.
    fn watch(&self, bell: &Bell, key: u64) -> Result<(), Error> {
        Ok(self.stream.watch(Arc::clone(&bell.0), key)?)
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
