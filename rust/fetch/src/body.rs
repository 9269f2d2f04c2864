//! Receiving a body: bounded, not too slowly, into the partial file or memory.

use http_body_util::BodyExt;
use tokio::time::Instant;

use crate::{
    FetchError, Limits,
    exchange::{Exchange, nonsense},
    watch::{Step, Watch},
};

/// Where the bytes of a body go.
pub trait Sink {
    /// What it refuses bytes with.
    type Error: From<FetchError>;

    /// Bytes that are there.
    fn received(&self) -> u64;

    /// Makes ready for a file, of `length` bytes where the host said it, or refuses it: there is no
    /// room. Called once, before the first byte.
    ///
    /// # Errors
    /// Its own.
    fn expect(&mut self, length: Option<u64>) -> Result<(), Self::Error>;

    /// Adds bytes.
    ///
    /// # Errors
    /// Its own.
    fn write(&mut self, bytes: &[u8]) -> Result<(), Self::Error>;
}

/// Receives the rest of a file of `length` bytes, where it was declared.
pub(crate) async fn receive<S: Sink>(
    mut exchange: Exchange,
    length: Option<u64>,
    sink: &mut S,
    limits: &Limits,
    watch: &mut Watch<'_>,
) -> Result<(), S::Error> {
    let url = exchange.url.clone();
    let too_large = || FetchError::TooLarge {
        url: url.clone(),
        declared: length,
        limit: limits.size,
    };
    if length.is_some_and(|length| length > limits.size) {
        return Err(too_large().into());
    }
    sink.expect(length)?;
    let mut rate = Rate::new(limits);
    watch.tell(Step::Receiving(sink.received(), length))?;
    loop {
        let frame = watch
            .within(limits.idle, "send more", exchange.body.frame())
            .await?;
        let frame = match frame {
            None => break,
            Some(Ok(frame)) => frame,
            Some(Err(error)) if error.is_parse() => return Err(nonsense(&url, &error).into()),
            Some(Err(_)) => {
                return Err(FetchError::Incomplete {
                    url,
                    received: sink.received(),
                    declared: length,
                }
                .into());
            }
        };
        // Trailers say nothing that is asked for.
        let Ok(bytes) = frame.into_data() else {
            continue;
        };
        if sink.received() + bytes.len() as u64 > length.unwrap_or(limits.size) {
            return Err(match length {
                Some(declared) => FetchError::Overlong { url, declared },
                None => too_large(),
            }
            .into());
        }
        sink.write(&bytes)?;
        watch.pass(Step::Receiving(sink.received(), length))?;
        rate.hold(bytes.len() as u64, &url)?;
    }
    if let Some(declared) = length {
        if sink.received() < declared {
            return Err(FetchError::Incomplete {
                url,
                received: sink.received(),
                declared: length,
            }
            .into());
        }
        if !exchange.ends().await {
            return Err(FetchError::Overlong { url, declared }.into());
        }
    }
    Ok(watch.tell(Step::Receiving(sink.received(), length))?)
}

/// The least that must come in a window of time.
struct Rate<'a> {
    limits: &'a Limits,
    start: Instant,
    received: u64,
}

impl<'a> Rate<'a> {
    fn new(limits: &'a Limits) -> Self {
        Self {
            limits,
            start: Instant::now(),
            received: 0,
        }
    }

    fn hold(&mut self, bytes: u64, url: &str) -> Result<(), FetchError> {
        self.received += bytes;
        let elapsed = self.start.elapsed();
        if elapsed < self.limits.window {
            return Ok(());
        }
        if self.received < self.limits.least {
            return Err(FetchError::TooSlow {
                url: url.to_owned(),
                received: self.received,
                window: elapsed,
                minimum: self.limits.least,
            });
        }
        *self = Self::new(self.limits);
        Ok(())
    }
}
