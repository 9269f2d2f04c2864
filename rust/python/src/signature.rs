//! Who signed a file.

use std::path::{Path, PathBuf};

use pyo3::prelude::*;
use strongroom_memory::{ProofError, Source, SourceError, image, pipeline};
use strongroom_verify::{
    Algorithm, key,
    signature::{self, Need, Seen, Signature, TrustedKey},
};

use crate::{
    detach::{self, Caller},
    errors::Error,
    side_file::Given,
};

/// What a verification found.
#[pyclass(frozen, get_all, module = "strongroom._core")]
pub(crate) struct Evidence {
    signer: String,
    digest: String,
    how: String,
    signed_at: Option<u64>,
    comment: Option<String>,
    rule: &'static str,
}

impl From<signature::Evidence> for Evidence {
    fn from(evidence: signature::Evidence) -> Self {
        Self {
            signer: evidence.key.to_string(),
            digest: evidence.digest.to_string(),
            how: evidence.how,
            signed_at: evidence.signed_at,
            comment: evidence.comment,
            rule: evidence.rule,
        }
    }
}

/// That a file was signed by whoever has a key: three names and a hash, nothing of it read yet.
pub(crate) struct Claim {
    file: PathBuf,
    signature: Option<Given>,
    public_key: PathBuf,
    hash: Option<Algorithm>,
}

impl Claim {
    /// `None` where nothing of a signature is named. One that isn't named stands beside the file.
    pub(crate) fn new(
        file: &Path,
        signature: Option<Given>,
        public_key: Option<PathBuf>,
        hash: Option<&str>,
    ) -> Result<Option<Self>, Error> {
        let hash = algorithm(hash)?;
        let Some(public_key) = public_key else {
            return match (signature, hash) {
                (None, None) => Ok(None),
                _ => Err(Error::no_key()),
            };
        };
        Ok(Some(Self {
            file: file.to_owned(),
            signature,
            public_key,
            hash,
        }))
    }

    /// Reads the key, then the signature.
    pub(crate) fn read(self) -> Result<Signature, Error> {
        let key = Source::read_small(&self.public_key, key::LONGEST_FILE)?;
        let key = TrustedKey::from_file(&key)
            .map_err(|error| Error::from(error).in_file(&self.public_key))?;
        let given = self
            .signature
            .unwrap_or_else(|| Given::File(beside(&self.file, key.suffix())));
        let file = given.read(signature::LONGEST_FILE)?;
        key.signature(&file, self.hash)
            .map_err(|error| Error::from(error).in_file(&given.name()))
    }
}

/// The hash with this name.
pub(crate) fn algorithm(name: Option<&str>) -> Result<Option<Algorithm>, Error> {
    name.map(|name| {
        Algorithm::sha2(name)
            .ok_or_else(|| Error::option("hash", "is none of sha256, sha384 and sha512"))
    })
    .transpose()
}

/// The file's name with more behind it.
pub(crate) fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Holds a signature to a file, which is read once.
pub(crate) fn verify(
    path: &Path,
    signature: &Signature,
    caller: &mut Caller,
) -> Result<signature::Evidence, Error> {
    let progress: pipeline::Progress<'_> = &mut |done, total| caller.progress(done, total);
    match signature.need() {
        Need::Digest(algorithm) => {
            let mut source = Source::open(path)?;
            let digests = pipeline::run(&mut source, &[algorithm], progress, |_| Ok(()))?;
            let seen = Seen {
                digests: &digests,
                whole: None,
            };
            signature
                .verify(&seen)
                .map_err(|error| Error::from(error).in_file(path))
        }
        Need::Whole => {
            let unproven = image::read(path, &[], None, progress)?;
            let (_, evidence) = unproven
                .prove_signed(signature, None)
                .map_err(|error| refused(path, error))?;
            Ok(evidence)
        }
    }
}

/// Why the bytes of a file were not proved.
pub(crate) fn refused(path: &Path, error: ProofError) -> Error {
    match error {
        ProofError::Signature(error) => Error::from(error).in_file(path),
        // It names the file, or both digests.
        error => error.into(),
    }
}

/// Holds the signature of a file to it. Nothing of the file is kept.
#[pyfunction]
#[pyo3(
    signature = (path, *, public_key, signature=None, hash=None, progress=None),
    text_signature = "(path, *, public_key, signature=None, hash=None, progress=None)"
)]
pub(crate) fn verify_file(
    py: Python<'_>,
    path: PathBuf,
    public_key: PathBuf,
    signature: Option<PathBuf>,
    hash: Option<&str>,
    progress: Option<Py<PyAny>>,
) -> Result<Evidence, Error> {
    let signature = signature.map(Given::File);
    let claim = Claim::new(&path, signature, Some(public_key), hash)?.ok_or_else(Error::no_key)?;
    detach::interruptible(py, progress, |caller| {
        let signature = claim.read()?;
        verify(&path, &signature, caller)
    })
    .map(Evidence::from)
}

/// The kernel's refusal to lend the bytes of an image.
pub(crate) fn unmapped(path: &Path, error: std::io::Error) -> SourceError {
    SourceError::Io {
        action: "map the image of",
        path: path.to_owned(),
        error,
    }
}
