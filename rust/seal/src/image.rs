//! From a sealed model to an image of it.

use std::{num::NonZeroUsize, path::Path};

use strongroom_memory::{Draft, Image, SourceError};
use strongroom_verify::Digest;

use crate::{ReadAt, SealError, Sealed};

/// Opens every frame into sealed memory, on `threads` threads at once: into a scratch of each thread, from
/// which only what is authentic is copied. It is an image once all frames have passed; where one doesn't,
/// what was written is wiped.
///
/// `path` is for messages, `digest` the one that the message's context is trusted to vouch for; `done` is
/// told, in any of the threads, of each frame's bytes, and ends the opening with its error.
///
/// # Errors
/// [`SealError`] as [`Sealed::frame`], [`SourceError`] as [`Draft`], those of `done`.
pub fn image<S: ReadAt, E: From<SealError> + From<SourceError> + Send>(
    sealed: &Sealed<S>,
    path: &Path,
    digest: Digest,
    size_limit: Option<u64>,
    threads: NonZeroUsize,
    done: impl Fn(u64) -> Result<(), E> + Sync,
) -> Result<Image, E> {
    let draft = Draft::new(path, sealed.length(), size_limit)?;
    sealed.for_each_frame(threads, |offset, plaintext| {
        draft.write_at(offset, plaintext)?;
        done(plaintext.len() as u64)
    })?;
    Ok(draft.seal_authenticated(digest)?)
}
