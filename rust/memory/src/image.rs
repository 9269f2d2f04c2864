//! A model in sealed anonymous memory.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::io::Errno;
use strongroom_verify::{
    Algorithm, Digest, VerifyError,
    signature::{Evidence, Need, Seen, Signature},
};

use crate::{
    Mapping, ProofError, Source, SourceError,
    filling::{Filling, reopen},
    pinned::Pinned,
    pipeline::{self, Progress},
    room,
    source::io_error,
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

/// Bytes that one which grows needs to be available when it does.
const STRETCH: u64 = 16 << 20;

/// Memory for an image, which nobody but this process sees yet.
#[derive(Debug)]
pub(crate) struct Room {
    filling: Filling,
    length: usize,
}

impl Room {
    /// For the `size` bytes of the model at `path`; refused before any is taken where they are more
    /// than is allowed or available.
    pub(crate) fn reserve(
        path: &Path,
        size: u64,
        size_limit: Option<u64>,
    ) -> Result<Self, SourceError> {
        if let Some(limit) = size_limit.filter(|&limit| size > limit) {
            return Err(SourceError::OverLimit {
                path: path.to_owned(),
                size,
                limit,
            });
        }
        if let Some(available) = room::available().filter(|&available| size > available) {
            return Err(too_large(path, size, available));
        }
        let length = usize::try_from(size).map_err(|_| too_large(path, size, usize::MAX as u64))?;
        let filling = Filling::new(length)
            .map_err(|errno| io_error("make memory for", path.to_owned(), errno))?;
        Ok(Self { filling, length })
    }

    /// Makes it `size` bytes long, as one that grows; as much has to be allowed, and available.
    pub(crate) fn grow(
        &mut self,
        path: &Path,
        size: u64,
        size_limit: Option<u64>,
    ) -> Result<(), SourceError> {
        if let Some(limit) = size_limit.filter(|&limit| size > limit) {
            return Err(SourceError::OverLimit {
                path: path.to_owned(),
                size,
                limit,
            });
        }
        // What the kernel says is read again for every stretch, not for every piece.
        let stretches = |size: u64| size.div_ceil(STRETCH);
        if stretches(size) > stretches(self.length as u64)
            && let Some(available) = room::available().filter(|&available| STRETCH > available)
        {
            return Err(too_large(path, size, available));
        }
        let length = usize::try_from(size).map_err(|_| too_large(path, size, usize::MAX as u64))?;
        self.filling
            .resize(length)
            .map_err(|errno| io_error("make memory for", path.to_owned(), errno))?;
        self.length = length;
        Ok(())
    }

    /// Writes the next bytes, which come from the file at `path`.
    pub(crate) fn write(&mut self, path: &Path, bytes: &[u8]) -> Result<(), SourceError> {
        let written = self.filling.write(bytes);
        written.map_err(|errno| self.not_written(path, errno))
    }

    /// Writes bytes where they belong; none past the end.
    pub(crate) fn write_at(
        &self,
        path: &Path,
        offset: u64,
        bytes: &[u8],
    ) -> Result<(), SourceError> {
        let offset = usize::try_from(offset).ok().filter(|&offset| {
            offset
                .checked_add(bytes.len())
                .is_some_and(|end| end <= self.length)
        });
        let written = offset.map_or(Err(Errno::FBIG), |offset| {
            self.filling.write_at(offset, bytes)
        });
        written.map_err(|errno| self.not_written(path, errno))
    }

    fn not_written(&self, path: &Path, errno: Errno) -> SourceError {
        match errno {
            Errno::NOMEM | Errno::NOSPC => too_large(
                path,
                self.length as u64,
                room::available().unwrap_or_default(),
            ),
            errno => io_error("fill memory from", path.to_owned(), errno),
        }
    }

    /// Bytes in all.
    pub(crate) const fn length(&self) -> usize {
        self.length
    }

    /// The memory itself.
    pub(crate) const fn filling_mut(&mut self) -> &mut Filling {
        &mut self.filling
    }

    /// A second descriptor of the memory.
    #[cfg(test)]
    #[allow(clippy::unwrap_used)]
    pub(crate) fn duplicate(&self) -> OwnedFd {
        self.filling.duplicate()
    }

    /// Seals what was written.
    pub(crate) fn seal(
        mut self,
        path: &Path,
        real_path: Option<PathBuf>,
        digests: Vec<Digest>,
        parts: Vec<Vec<Digest>>,
    ) -> Result<Unproven, SourceError> {
        let memory = self
            .filling
            .seal()
            .map_err(|errno| io_error("seal the image of", path.to_owned(), errno))?;
        Ok(Unproven {
            memory,
            length: self.length,
            real_path,
            digests,
            parts,
            path: path.to_owned(),
        })
    }
}

fn too_large(path: &Path, size: u64, available: u64) -> SourceError {
    SourceError::TooLarge {
        path: path.to_owned(),
        size,
        available,
    }
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

/// A sealed image that nobody has held to a proof yet; its bytes can't be reached.
#[derive(Debug)]
pub struct Unproven {
    memory: OwnedFd,
    length: usize,
    real_path: Option<PathBuf>,
    // Never empty: `read` asks for one at least.
    digests: Vec<Digest>,
    // The same of each part, where there are parts.
    parts: Vec<Vec<Digest>>,
    // For messages.
    path: PathBuf,
}

impl Unproven {
    /// Where the file was when it had been opened, without symbolic links; see
    /// [`Source::real_path`].
    pub fn real_path(&self) -> Option<&Path> {
        self.real_path.as_deref()
    }

    /// Bytes of the image.
    pub const fn size(&self) -> u64 {
        self.length as u64
    }

    /// Its digests, one per algorithm asked for, in that order; at least one. Of a model in parts
    /// it is the digest of the parts' digests, one after the other.
    pub fn digests(&self) -> &[Digest] {
        &self.digests
    }

    /// The digests of each part, of a model in parts; each as [`digests`](Self::digests).
    pub fn parts(&self) -> &[Vec<Digest>] {
        &self.parts
    }

    /// Has one digest per algorithm, in that order; those that weren't asked for when it was read are
    /// made of the sealed bytes. Not of a model in parts, whose parts are gone.
    ///
    /// # Errors
    /// [`SourceError`]: `cancelled`, `io`.
    pub fn digested(
        mut self,
        algorithms: &[Algorithm],
        progress: Progress<'_>,
    ) -> Result<Self, SourceError> {
        let missing: Vec<Algorithm> = algorithms
            .iter()
            .copied()
            .filter(|&algorithm| self.digests.iter().all(|one| one.algorithm() != algorithm))
            .collect();
        if !missing.is_empty() {
            let mut source = self.source()?;
            let made = pipeline::run(&mut source, &missing, progress, |_| Ok(()))?;
            self.digests.extend(made);
        }
        let place = |digest: &Digest| {
            algorithms
                .iter()
                .position(|&algorithm| algorithm == digest.algorithm())
        };
        if !algorithms.is_empty() {
            self.digests.retain(|digest| place(digest).is_some());
            self.digests.sort_by_key(place);
        }
        Ok(self)
    }

    /// Its bytes, to be read once more within this crate.
    pub(crate) fn source(&self) -> Result<Source, SourceError> {
        let memory = reopen(self.memory.as_fd())
            .map_err(|errno| io_error("open the image of", self.path.clone(), errno))?;
        Source::of(memory, &self.path)
    }

    /// Holds each part to the digest that the caller trusts, in constant time.
    ///
    /// # Errors
    /// [`VerifyError::Parts`] where there are more or fewer, else as [`prove`](Self::prove).
    pub fn prove_parts(self, expected: &[Digest]) -> Result<Image, VerifyError> {
        self.compare_parts(expected)?;
        let digest = self.digests[0];
        Ok(self.accept(digest))
    }

    /// As [`prove_parts`](Self::prove_parts), where more than digests has to be right.
    ///
    /// # Errors
    /// The same; the image should not be used.
    pub fn compare_parts(&self, expected: &[Digest]) -> Result<(), VerifyError> {
        if expected.len() != self.parts.len() {
            return Err(VerifyError::Parts {
                expected: expected.len(),
                found: self.parts.len(),
            });
        }
        for (expected, found) in expected.iter().zip(&self.parts) {
            matching(expected, found)?;
        }
        Ok(())
    }

    /// Holds each part to its signature, by a key that the caller trusts, and the whole to a digest
    /// besides where there is one.
    ///
    /// # Errors
    /// [`ProofError`], also for a signature over the bytes themselves: those of a part are not kept
    /// as they are.
    pub fn prove_parts_signed(
        self,
        signatures: &[Signature],
        expected: Option<&Digest>,
    ) -> Result<(Image, Vec<Evidence>), ProofError> {
        if signatures.len() != self.parts.len() {
            return Err(ProofError::Digest(VerifyError::Parts {
                expected: signatures.len(),
                found: self.parts.len(),
            }));
        }
        let expected = expected
            .map(|expected| matching(expected, &self.digests))
            .transpose()?;
        let evidence = signatures
            .iter()
            .zip(&self.parts)
            .map(|(signature, digests)| {
                signature.verify(&Seen {
                    digests,
                    whole: None,
                })
            })
            .collect::<Result<Vec<_>, _>>()?;
        let digest = expected.unwrap_or(self.digests[0]);
        Ok((self.accept(digest), evidence))
    }

    /// Holds the bytes to the digest that the caller trusts, in constant time.
    ///
    /// # Errors
    /// [`VerifyError::Mismatch`], also where the digest's algorithm wasn't asked for when the image
    /// was read; the image is gone.
    pub fn prove(self, expected: &Digest) -> Result<Image, VerifyError> {
        let found = matching(expected, &self.digests)?;
        Ok(self.accept(found))
    }

    /// Holds the bytes to a signature by a key that the caller trusts, and to a digest besides where
    /// there is one. A signature over the bytes themselves is held to the sealed image.
    ///
    /// # Errors
    /// [`ProofError`], also where what the signature [needs](Signature::need) wasn't asked for when
    /// the image was read; the image is gone.
    pub fn prove_signed(
        self,
        signature: &Signature,
        expected: Option<&Digest>,
    ) -> Result<(Image, Evidence), ProofError> {
        let expected = expected
            .map(|expected| matching(expected, &self.digests))
            .transpose()?;
        let whole = match signature.need() {
            Need::Digest(_) => None,
            Need::Whole => Some(
                Mapping::new(self.memory.as_fd(), self.length)
                    .map_err(|error| io_error("map the image of", self.path.clone(), error))?,
            ),
        };
        let evidence = signature.verify(&Seen {
            digests: &self.digests,
            whole: whole.as_deref(),
        })?;
        let digest = expected.unwrap_or(evidence.digest);
        Ok((self.accept(digest), evidence))
    }

    /// As [`prove`](Self::prove), where more than one digest has to be right.
    ///
    /// # Errors
    /// The same; the image should not be used.
    pub fn compare(&self, expected: &Digest) -> Result<(), VerifyError> {
        matching(expected, &self.digests).map(drop)
    }

    /// Holds the sealed bytes to whatever `check` holds them to.
    ///
    /// # Errors
    /// What `check` answers, and [`SourceError`]: `io`; the image is gone.
    pub fn prove_by<E: From<SourceError>>(
        self,
        check: impl FnOnce(&[u8]) -> Result<(), E>,
    ) -> Result<Image, E> {
        self.compare_by(check)?;
        let digest = self.digests[0];
        Ok(self.accept(digest))
    }

    /// As [`prove_by`](Self::prove_by), where more has to be right.
    ///
    /// # Errors
    /// The same; the image should not be used.
    pub fn compare_by<E: From<SourceError>>(
        &self,
        check: impl FnOnce(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let bytes = Mapping::new(self.memory.as_fd(), self.length)
            .map_err(|error| io_error("map the image of", self.path.clone(), error))?;
        check(&bytes)
    }

    /// Takes the bytes as they are, compared with nothing.
    pub fn danger_accept(self) -> Image {
        let found = self.digests[0];
        self.accept(found)
    }

    fn accept(self, digest: Digest) -> Image {
        Image {
            memory: Arc::new(self.memory),
            length: self.length,
            digest,
            pinned: None,
        }
    }
}

/// The digest that is the one expected; none of them being so, the first says what was found.
fn matching(expected: &Digest, digests: &[Digest]) -> Result<Digest, VerifyError> {
    let found = digests
        .iter()
        .find(|digest| digest.algorithm() == expected.algorithm())
        .copied()
        .unwrap_or(digests[0]);
    expected.verify(&found)?;
    Ok(found)
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
