//! From sealed bytes to an image: only by a proof, or by the caller's named acceptance of the danger.

use std::{
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
};

use strongroom_verify::{
    Algorithm, Digest, VerifyError,
    signature::{Evidence, Need, Seen, Signature},
};

use crate::{
    Image, Mapping, ProofError, Source, SourceError,
    filling::reopen,
    pipeline::{self, Progress},
    source::io_error,
};

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
    /// Of `length` sealed bytes, with at least one digest.
    pub(crate) fn new(
        memory: OwnedFd,
        length: usize,
        path: &Path,
        real_path: Option<PathBuf>,
        digests: Vec<Digest>,
        parts: Vec<Vec<Digest>>,
    ) -> Self {
        Self {
            memory,
            length,
            real_path,
            digests,
            parts,
            path: path.to_owned(),
        }
    }

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
        Image::proved(self.memory, self.length, digest)
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
