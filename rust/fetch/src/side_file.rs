//! What stands beside a model on a host: signatures and manifests, which are small.

use std::sync::Arc;

use tokio::runtime;

use crate::{
    FetchError, Limits, Policy, Progress, Remote, Resolve,
    answer::Answer,
    body::{self, Sink},
    exchange::Asker,
    watch::Watch,
};

/// Reads a small file of a host into memory: nothing of it is kept, and nothing proves it. Whoever
/// reads a signature or a manifest out of it does.
///
/// `most` bytes are taken, whatever [`Limits::size`] is. Must not be called from within an
/// asynchronous runtime.
///
/// # Errors
/// [`FetchError`]; [`FetchError::SideFile`] where it is longer.
pub fn read_side_file(
    remote: &Remote,
    most: u64,
    policy: &Policy,
    limits: &Limits,
    resolver: &Arc<dyn Resolve>,
    progress: Progress<'_>,
) -> Result<Vec<u8>, FetchError> {
    let location = policy.permit(remote)?;
    let mut watch = Watch::new(location.to_string(), limits.total, progress);
    let limits = Limits {
        size: most,
        ..limits.clone()
    };
    let asker = Asker {
        policy,
        limits: &limits,
        resolver,
    };
    let runtime = runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .map_err(|error| FetchError::no_room(&location, &error))?;
    let read = runtime.block_on(async {
        let mut bytes = Vec::new();
        let exchange = asker.ask(&location, None, &mut watch).await?;
        let Answer::Whole { length, .. } = exchange.answer else {
            // `judge` answers nothing else to a request for the whole, and `ask` follows redirects.
            return Err(FetchError::Protocol {
                url: exchange.url,
                reason: "an answer to another question".to_owned(),
            });
        };
        body::receive(exchange, length, &mut bytes, &limits, &mut watch).await?;
        Ok(bytes)
    });
    // A resolver that never answers holds nobody up.
    runtime.shutdown_background();
    read.map_err(|error| match error {
        FetchError::TooLarge { url, limit, .. } => FetchError::SideFile { url, limit },
        error => error,
    })
}

impl Sink for Vec<u8> {
    fn received(&self) -> u64 {
        self.len() as u64
    }

    fn expect(&self, _length: u64) -> Result<(), FetchError> {
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), FetchError> {
        self.extend_from_slice(bytes);
        Ok(())
    }
}
