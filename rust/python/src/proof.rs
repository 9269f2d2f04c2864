//! Holding what was read to what speaks for it.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use pyo3::Py;
use strongroom_memory::{Image, Unproven, image, parts};
use strongroom_verify::{
    Algorithm, Digest, VerifyError,
    manifest::ManifestError,
    signature::{Evidence, Need, Signature},
};

use crate::{detach::Caller, errors::Error, manifest::Manifest, parts::plan, signature::refused};

/// The files of a model.
pub(crate) struct Files {
    /// The one, or the first.
    pub(crate) path: PathBuf,
    /// All of them, where there are several.
    pub(crate) parts: Vec<PathBuf>,
}

impl Files {
    /// Those that a signature is of.
    pub(crate) fn signed(&self) -> impl Iterator<Item = &Path> {
        let one = self.parts.is_empty().then_some(&self.path);
        one.into_iter().chain(&self.parts).map(PathBuf::as_path)
    }

    /// Reads them once; or takes those that were `received`, one or all parts, in their place.
    pub(crate) fn read(
        &self,
        mut received: Vec<Unproven>,
        algorithms: &[Algorithm],
        size_limit: Option<u64>,
        caller: &mut Caller,
    ) -> Result<Unproven, Error> {
        let mut progress = |done, total| caller.progress(done, total);
        if self.parts.is_empty()
            && let Some(one) = received.pop()
        {
            return Ok(one.digested(algorithms, &mut progress)?);
        }
        if !received.is_empty() {
            return parts::read_received(received, algorithms, size_limit, &mut progress, plan);
        }
        if self.parts.is_empty() {
            return Ok(image::read(
                &self.path,
                algorithms,
                size_limit,
                &mut progress,
            )?);
        }
        parts::read(&self.parts, algorithms, size_limit, &mut progress, plan)
    }
}

/// What speaks for a model, besides signatures.
pub(crate) struct Trusted {
    /// The digest that it has to have.
    pub(crate) digest: Option<Digest>,
    /// Those that its parts have to have, in their order.
    pub(crate) parts: Vec<Digest>,
    /// Digests of which one is proof.
    pub(crate) pins: Vec<Digest>,
    /// A signed manifest, and the names of the files in it.
    pub(crate) listed: Option<Listed>,
    /// Nothing need speak for it.
    pub(crate) danger: bool,
}

/// Files that a signed manifest lists.
pub(crate) struct Listed {
    pub(crate) manifest: Py<Manifest>,
    pub(crate) names: Vec<String>,
    /// What was signed of each, in order; none where it is a single file that is listed in shards.
    digests: Vec<Digest>,
}

impl Listed {
    /// Looks the names up.
    pub(crate) fn new(manifest: Py<Manifest>, names: Vec<String>) -> Result<Self, ManifestError> {
        let verified = manifest.get().verified();
        let digests = names
            .iter()
            .map(|name| verified.digest(name))
            .collect::<Result<_, _>>();
        let digests = match digests {
            Err(ManifestError::StatementUnsupported { .. }) if names.len() == 1 => Vec::new(),
            digests => digests?,
        };
        Ok(Self {
            manifest,
            names,
            digests,
        })
    }

    /// What was signed of each file, in order; none where it is a single one that is listed in shards.
    pub(crate) fn digests(&self) -> &[Digest] {
        &self.digests
    }

    /// Holds the bytes to what was signed, where they are held to more.
    pub(crate) fn compare(&self, unproven: &Unproven) -> Result<(), Error> {
        if !unproven.parts().is_empty() {
            return Ok(unproven.compare_parts(&self.digests)?);
        }
        match self.digests.first() {
            Some(digest) => Ok(unproven.compare(digest)?),
            None => unproven.compare_by(|bytes| self.check(bytes)),
        }
    }

    /// Holds the bytes to what was signed.
    fn prove(&self, unproven: Unproven) -> Result<Image, Error> {
        if !unproven.parts().is_empty() {
            return Ok(unproven.prove_parts(&self.digests)?);
        }
        match self.digests.first() {
            Some(digest) => Ok(unproven.prove(digest)?),
            None => unproven.prove_by(|bytes| self.check(bytes)),
        }
    }

    /// Holds the bytes of a file to its shards.
    fn check(&self, bytes: &[u8]) -> Result<(), Error> {
        let verified = self.manifest.get().verified();
        let name = self.names.first().map_or(".", String::as_str);
        Ok(verified.check_bytes(name, bytes)?)
    }
}

/// A model whose bytes are those that something speaks for, or that is taken in danger.
pub(crate) struct Proved {
    pub(crate) sealed: Image,
    pub(crate) evidence: Vec<Evidence>,
    pub(crate) digests: Vec<Digest>,
    pub(crate) part_digests: Vec<Vec<Digest>>,
    pub(crate) real_path: Option<OsString>,
    pub(crate) verified: bool,
}

impl Trusted {
    /// Whether a model could be taken without a signature.
    pub(crate) const fn anything(&self) -> bool {
        self.danger
            || self.digest.is_some()
            || self.listed.is_some()
            || !self.parts.is_empty()
            || !self.pins.is_empty()
    }

    /// What the one pass has to yield; the first names the model.
    pub(crate) fn algorithms(
        &self,
        signatures: &[Signature],
        wanted: &[Algorithm],
    ) -> Vec<Algorithm> {
        let signed = signatures
            .iter()
            .filter_map(|signature| match signature.need() {
                Need::Digest(algorithm) => Some(algorithm),
                Need::Whole => None,
            });
        let listed = self.listed.iter().flat_map(|listed| &listed.digests);
        let given = self.digest.iter().chain(&self.parts).chain(listed);
        let named = given.map(Digest::algorithm).chain(signed);
        let more = wanted
            .iter()
            .copied()
            .chain(self.pins.iter().map(Digest::algorithm));
        let mut algorithms = Vec::new();
        for algorithm in named {
            if !algorithms.contains(&algorithm) {
                algorithms.push(algorithm);
            }
        }
        if algorithms.is_empty() {
            algorithms.push(Algorithm::Sha256);
        }
        for algorithm in more {
            if !algorithms.contains(&algorithm) {
                algorithms.push(algorithm);
            }
        }
        algorithms
    }

    /// Holds the bytes to everything that was given.
    pub(crate) fn prove(
        &self,
        files: &Files,
        unproven: Unproven,
        signatures: &[Signature],
    ) -> Result<Proved, Error> {
        let digests = unproven.digests().to_vec();
        let part_digests = unproven.parts().to_vec();
        let real_path = unproven.real_path().map(|path| path.as_os_str().to_owned());
        let in_parts = !files.parts.is_empty();
        let pinned = self.pinned(&digests);
        let whole = self.digest.as_ref();
        if !self.parts.is_empty() && (!in_parts || whole.is_some()) {
            return Err(VerifyError::Parts {
                expected: self.parts.len(),
                found: files.parts.len(),
            }
            .into());
        }
        if !self.parts.is_empty() {
            unproven.compare_parts(&self.parts)?;
        }
        // Each is of one part: whoever mixes parts of several models has a signature for every one.
        let bound = whole.or(pinned).is_some() || !self.parts.is_empty() || self.listed.is_some();
        if in_parts && !signatures.is_empty() && !bound {
            return Err(Error::unbound_parts(&digests[0]));
        }
        let otherwise =
            !signatures.is_empty() || whole.or(pinned).is_some() || !self.parts.is_empty();
        if otherwise && let Some(listed) = &self.listed {
            listed.compare(&unproven)?;
        }
        let (sealed, evidence) = if in_parts && !signatures.is_empty() {
            unproven
                .prove_parts_signed(signatures, whole)
                .map_err(|error| refused(&files.path, error))?
        } else if let Some(signature) = signatures.first() {
            let (sealed, evidence) = unproven
                .prove_signed(signature, whole)
                .map_err(|error| refused(&files.path, error))?;
            (sealed, vec![evidence])
        } else if let Some(expected) = whole.or(pinned) {
            (unproven.prove(expected)?, Vec::new())
        } else if !self.parts.is_empty() {
            (unproven.prove_parts(&self.parts)?, Vec::new())
        } else if let Some(listed) = &self.listed {
            (listed.prove(unproven)?, Vec::new())
        } else if self.danger {
            (unproven.danger_accept(), Vec::new())
        } else {
            return Err(Error::no_proof(&digests[0]));
        };
        Ok(Proved {
            sealed,
            verified: whole.is_some()
                || !self.parts.is_empty()
                || self.listed.is_some()
                || !evidence.is_empty()
                || pinned.is_some(),
            evidence,
            digests,
            part_digests,
            real_path,
        })
    }

    /// The pin that one of the digests is held to.
    fn pinned(&self, found: &[Digest]) -> Option<&Digest> {
        self.pins
            .iter()
            .find(|pin| found.iter().any(|found| pin.verify(found).is_ok()))
    }
}
