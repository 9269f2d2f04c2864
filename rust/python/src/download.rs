//! Holding a download to what speaks for it, before it gets its name.

use std::{
    cell::RefCell,
    fs::File,
    io::Seek,
    path::{Path, PathBuf},
};

use strongroom_fetch::{Proof, Unproved};
use strongroom_memory::{ProofError, Source, SourceError, image};
use strongroom_verify::{
    Algorithm, Digest, VerifyError,
    signature::{Evidence, Need, Seen, Signature},
};

use crate::{detach::Caller, errors::Error, proof::Listed, signature::refused};

/// Everything that a download has to be.
pub(crate) struct Held {
    /// The source, for messages.
    pub(crate) name: PathBuf,
    pub(crate) digest: Option<Digest>,
    pub(crate) signature: Option<Signature>,
    /// A signed manifest, and the download's name in it.
    pub(crate) listed: Option<Listed>,
}

impl Held {
    /// What the cache asks before a file gets its name; `found` is told who signed it.
    pub(crate) fn proof<'a>(
        &'a self,
        caller: &'a RefCell<&mut Caller>,
        found: &'a mut Option<Evidence>,
    ) -> Proof<'a> {
        match (&self.digest, &self.signature, &self.listed) {
            (None, None, None) => Proof::DangerNone,
            (Some(digest), None, None) => Proof::Digest(*digest),
            _ => Proof::Check {
                algorithms: self.algorithms(),
                check: Box::new(move |digests, file| {
                    *found = self
                        .check(digests, file, caller)
                        .map_err(Refused::into_unproved)?;
                    Ok(())
                }),
            },
        }
    }

    /// What the one pass has to yield; always SHA-256, by which bytes that are read again are known.
    fn algorithms(&self) -> Vec<Algorithm> {
        let signed = self
            .signature
            .iter()
            .filter_map(|signature| match signature.need() {
                Need::Digest(algorithm) => Some(algorithm),
                Need::Whole => None,
            });
        let listed = self.listed.iter().flat_map(Listed::digests);
        let mut algorithms = vec![Algorithm::Sha256];
        for algorithm in self
            .digest
            .iter()
            .chain(listed)
            .map(Digest::algorithm)
            .chain(signed)
        {
            if !algorithms.contains(&algorithm) {
                algorithms.push(algorithm);
            }
        }
        algorithms
    }

    fn check(
        &self,
        digests: &[Digest],
        file: &File,
        caller: &RefCell<&mut Caller>,
    ) -> Result<Option<Evidence>, Refused> {
        if let Some(expected) = &self.digest {
            matching(expected, digests)?;
        }
        let listed = self.listed.as_ref();
        let in_shards = listed.filter(|listed| listed.digests().is_empty());
        for expected in listed.map_or(&[][..], Listed::digests) {
            matching(expected, digests)?;
        }
        let whole = self
            .signature
            .as_ref()
            .filter(|signature| signature.need() == Need::Whole);
        if in_shards.is_some() || whole.is_some() {
            // Signed as they are, or in pieces: they are read into memory that nobody can change.
            let unproven = self.read(digests, file, caller)?;
            if let Some(listed) = in_shards {
                listed.compare(&unproven)?;
            }
            if let Some(signature) = whole {
                let proved = unproven.prove_signed(signature, None);
                let (_, evidence) = proved.map_err(|error| match error {
                    ProofError::Source(error) => Refused::Reading(error),
                    error => Refused::Bytes(refused(&self.name, error)),
                })?;
                return Ok(Some(evidence));
            }
        }
        let Some(signature) = &self.signature else {
            return Ok(None);
        };
        let whole = None;
        let evidence = signature
            .verify(&Seen { digests, whole })
            .map_err(|error| Error::from(error).in_file(&self.name))?;
        Ok(Some(evidence))
    }

    /// The very bytes that were hashed.
    fn read(
        &self,
        digests: &[Digest],
        mut file: &File,
        caller: &RefCell<&mut Caller>,
    ) -> Result<strongroom_memory::Unproven, Refused> {
        let failed = |error| SourceError::Io {
            action: "read again",
            path: self.name.clone(),
            error,
        };
        let own = file.try_clone().map_err(failed)?;
        file.rewind().map_err(failed)?;
        let source = Source::of(own.into(), Path::new(&self.name))?;
        let mut progress = |done, total| caller.borrow_mut().progress(done, total);
        let algorithms = [Algorithm::Sha256];
        let unproven = image::read_source(source, &algorithms, None, &mut progress)?;
        matching(&unproven.digests()[0], digests)?;
        Ok(unproven)
    }
}

/// Why a download has no name yet.
enum Refused {
    /// It isn't what it has to be.
    Bytes(Error),
    /// It could not be looked at: it stays to be checked again.
    Reading(SourceError),
}

impl Refused {
    fn into_unproved(self) -> Unproved {
        let (error, kept) = match self {
            Self::Bytes(error) => (error, false),
            Self::Reading(error) => (error.into(), true),
        };
        match error {
            Error::Core {
                code,
                message,
                next_step,
            } => Unproved {
                code,
                message,
                next_step,
                kept,
            },
            // Nothing that is called here raises.
            Error::Python(error) => Unproved {
                code: "source.cancelled",
                message: error.to_string(),
                next_step: "start again when it should go on".to_owned(),
                kept: true,
            },
        }
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self::Bytes(error)
    }
}

impl From<VerifyError> for Refused {
    fn from(error: VerifyError) -> Self {
        Self::Bytes(error.into())
    }
}

impl From<SourceError> for Refused {
    fn from(error: SourceError) -> Self {
        Self::Reading(error)
    }
}

/// Holds the digest of its algorithm to what is expected.
fn matching(expected: &Digest, digests: &[Digest]) -> Result<(), VerifyError> {
    let found = digests
        .iter()
        .find(|digest| digest.algorithm() == expected.algorithm())
        .unwrap_or(&digests[0]);
    expected.verify(found)
}
