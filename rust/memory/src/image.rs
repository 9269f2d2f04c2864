//! A model in sealed anonymous memory.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    path::Path,
    sync::Arc,
};

use strongroom_verify::{Algorithm, Digest};

use crate::{
    Mapping, Source, SourceError, Unproven,
    filling::{Filling, reopen},
    pinned::Pinned,
    pipeline::{self, Progress},
    room::Room,
};

/// Copies the file at `path` into memory and seals it, hashing the very bytes that are kept.
///
/// A file of more than `size_limit` bytes is refused before any is read. `progress` is called in
/// this thread with bytes done and in all, at most every few MiB; its `Break` ends the reading.
/// Without any `algorithms` it is SHA-256.
///
/// # Errors
/// [`SourceError`], every one.
pub fn read(
    path: &Path,
    algorithms: &[Algorithm],
    size_limit: Option<u64>,
    progress: Progress<'_>,
) -> Result<Unproven, SourceError> {
    read_source(Source::open(path)?, algorithms, size_limit, progress)
}

/// As [`read`], of a file that is open.
///
/// # Errors
/// [`SourceError`], but for those of opening.
pub fn read_source(
    mut source: Source,
    algorithms: &[Algorithm],
    size_limit: Option<u64>,
    progress: Progress<'_>,
) -> Result<Unproven, SourceError> {
    let algorithms = match algorithms {
        [] => &[Algorithm::Sha256],
        some => some,
    };
    let path = &source.path().to_owned();
    let mut memory = Room::reserve(path, source.size(), size_limit)?;
    let real_path = source.real_path();
    let digests = pipeline::run(&mut source, algorithms, progress, |chunk| {
        memory.write(path, chunk)
    })?;
    memory.seal(path, real_path, digests, Vec::new())
}

/// A sealed image of a single byte, for a worker that is ended before it parses any.
///
/// # Errors
/// The kernel's, where descriptors or memory run out or `/proc` is not mounted.
pub fn blank() -> io::Result<OwnedFd> {
    let mut filling = Filling::new(1)?;
    filling.write(&[0])?;
    Ok(filling.seal()?)
}

/// A sealed image that was proved, or accepted in danger. Clones share the same pages, which go
/// back to the system with the last descriptor and mapping of them, a worker's included.
#[derive(Debug, Clone)]
pub struct Image {
    memory: Arc<OwnedFd>,
    length: usize,
    digest: Digest,
    pinned: Option<Arc<Pinned>>,
}

impl Image {
    /// Of sealed memory that was held to a proof, or not in danger.
    pub(crate) fn proved(memory: OwnedFd, length: usize, digest: Digest) -> Self {
        Self::authenticated(Arc::new(memory), length, digest, None)
    }

    /// Of sealed memory whose bytes were authenticated as they were written.
    pub(crate) const fn authenticated(
        memory: Arc<OwnedFd>,
        length: usize,
        digest: Digest,
        pinned: Option<Arc<Pinned>>,
    ) -> Self {
        Self {
            memory,
            length,
            digest,
            pinned,
        }
    }

    /// Bytes; never 0.
    #[allow(clippy::len_without_is_empty)]
    pub const fn len(&self) -> usize {
        self.length
    }

    /// The digest that was compared, else the one that was signed or that names what was, or the
    /// first one found where danger was accepted.
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// Whether its pages can't go to a swap device.
    pub const fn is_pinned(&self) -> bool {
        self.pinned.is_some()
    }

    /// Its bytes, to read.
    ///
    /// # Errors
    /// The kernel's, where address space or mappings run out.
    pub fn map(&self) -> io::Result<Mapping> {
        Mapping::new(self.memory.as_fd(), self.length)
    }

    /// A descriptor of its own: read-only, with an offset that nobody shares.
    ///
    /// # Errors
    /// The kernel's, where descriptors run out or `/proc` is not mounted.
    pub fn reopen(&self) -> io::Result<OwnedFd> {
        Ok(reopen(self.memory.as_fd())?)
    }
}
