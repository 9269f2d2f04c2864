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
    let algorithms = match algorithms {
        [] => &[Algorithm::Sha256],
        some => some,
    };
    let mut source = Source::open(path)?;
    let size = source.size();
    if let Some(limit) = size_limit.filter(|&limit| size > limit) {
        return Err(SourceError::OverLimit {
            path: path.to_owned(),
            size,
            limit,
        });
    }
    let too_large = |available| SourceError::TooLarge {
        path: path.to_owned(),
        size,
        available,
    };
    if let Some(available) = room::available().filter(|&available| size > available) {
        return Err(too_large(available));
    }
    let length = usize::try_from(size).map_err(|_| too_large(usize::MAX as u64))?;
    let real_path = source.real_path();
    let mut filling = Filling::new(length)
        .map_err(|errno| io_error("make memory for", path.to_owned(), errno))?;
    let digests = pipeline::run(&mut source, algorithms, progress, |chunk| {
        filling.write(chunk).map_err(|errno| match errno {
            Errno::NOMEM | Errno::NOSPC => too_large(room::available().unwrap_or_default()),
            errno => io_error("fill memory from", path.to_owned(), errno),
        })
    })?;
    let memory = filling
        .seal()
        .map_err(|errno| io_error("seal the image of", path.to_owned(), errno))?;
    Ok(Unproven {
        memory,
        length,
        real_path,
        digests,
        path: path.to_owned(),
    })
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
    // For messages.
    path: PathBuf,
}

impl Unproven {
    /// Where the file was when it had been opened, without symbolic links; see
    /// [`Source::real_path`].
    pub fn real_path(&self) -> Option<&Path> {
        self.real_path.as_deref()
    }

    /// Its digests, one per algorithm asked for, in that order; at least one.
    pub fn digests(&self) -> &[Digest] {
        &self.digests
    }

    /// Holds the bytes to the digest that the caller trusts, in constant time.
    ///
    /// # Errors
    /// [`VerifyError::Mismatch`], also where the digest's algorithm wasn't asked for when the image
    /// was read; the image is gone.
    pub fn prove(self, expected: &Digest) -> Result<Image, VerifyError> {
        let found = self.matching(expected)?;
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
            .map(|expected| self.matching(expected))
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

    /// The digest of these bytes that is the one expected.
    fn matching(&self, expected: &Digest) -> Result<Digest, VerifyError> {
        let found = self
            .digests
            .iter()
            .find(|digest| digest.algorithm() == expected.algorithm())
            .copied()
            .unwrap_or(self.digests[0]);
        expected.verify(&found)?;
        Ok(found)
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
        }
    }
}

/// A sealed image that was proved, or accepted in danger. Clones share the same pages, which go
/// back to the system with the last descriptor and mapping of them, a worker's included.
#[derive(Debug, Clone)]
pub struct Image {
    memory: Arc<OwnedFd>,
    length: usize,
    digest: Digest,
}

impl Image {
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
