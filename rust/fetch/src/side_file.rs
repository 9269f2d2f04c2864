//! What stands beside a model on a host: signatures and manifests, which are small.

use std::sync::Arc;

use crate::{FetchError, Limits, Policy, Progress, Remote, Resolve, Sink, receive};

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
    let limits = Limits {
        size: most,
        ..limits.clone()
    };
    let mut bytes = Vec::new();
    receive(remote, policy, &limits, resolver, &mut bytes, progress).map_err(
        |error| match error {
            FetchError::TooLarge { url, limit, .. } => FetchError::SideFile { url, limit },
            error => error,
        },
    )?;
    Ok(bytes)
}

impl Sink for Vec<u8> {
    type Error = FetchError;

    fn received(&self) -> u64 {
        self.len() as u64
    }

    fn expect(&mut self, _length: Option<u64>) -> Result<(), FetchError> {
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), FetchError> {
        self.extend_from_slice(bytes);
        Ok(())
    }
}
