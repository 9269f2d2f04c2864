//! From a sealed model to an image of it.

use std::{num::NonZeroUsize, path::Path};

use strongroom_memory::{Draft, SourceError};

use crate::{ReadAt, SealError, Sealed};

/// Opens every frame into memory for an image, on `threads` threads at once: into a scratch of each thread,
/// from which only what is authentic is copied. All frames have passed when this returns; where one doesn't,
/// what was written is wiped.
///
/// `path` is for messages; `done` is told, in any of the threads, of each frame's bytes, and ends the opening
/// with its error.
///
/// # Errors
/// [`SealError`] as [`Sealed::frame`], [`SourceError`] as [`Draft`], those of `done`.
pub fn draft<S: ReadAt, E: From<SealError> + From<SourceError> + Send>(
    sealed: &Sealed<S>,
    path: &Path,
    size_limit: Option<u64>,
    threads: NonZeroUsize,
    done: impl Fn(u64) -> Result<(), E> + Sync,
) -> Result<Draft, E> {
    let draft = Draft::new(path, sealed.length(), size_limit)?;
    sealed.for_each_frame(threads, |offset, plaintext| {
        draft.write_at(offset, plaintext)?;
        done(plaintext.len() as u64)
    })?;
    Ok(draft)
}
