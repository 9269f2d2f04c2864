//! From a file to a sealed image, proved and preflighted.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    time::Instant,
};

use pyo3::{prelude::*, types::PyString};
use strongroom_gguf::Policy;
use strongroom_memory::{Source, SourceError, image, pipeline};
use strongroom_verify::{
    Algorithm, Digest, VerifyError,
    signature::{Need, Signature},
};

use crate::{
    arguments,
    detach::{self, Caller},
    errors::Error,
    gguf::Header,
    signature::{self, Evidence},
};

/// A model in sealed memory: its digest proved, its header through preflight.
#[pyclass(frozen, module = "strongroom._core")]
pub(crate) struct Image {
    sealed: strongroom_memory::Image,
    #[pyo3(get)]
    header: Py<Header>,
    // Every one that was computed.
    digests: Vec<Digest>,
    #[pyo3(get)]
    real_path: Option<OsString>,
    #[pyo3(get)]
    verified: bool,
    #[pyo3(get)]
    evidence: Option<Py<Evidence>>,
    #[pyo3(get)]
    seconds: f64,
}

impl Image {
    /// The sealed memory.
    pub(crate) const fn sealed(&self) -> &strongroom_memory::Image {
        &self.sealed
    }
}

#[pymethods]
impl Image {
    /// Reads a file once into sealed memory, hashing the very bytes that are kept.
    #[staticmethod]
    #[pyo3(
        signature = (path, *, checksum, danger_unverified=false, signature=None, public_key=None, hash=None, allow_architectures=Vec::new(), size_limit=None, progress=None, pins=Vec::new(), algorithms=Vec::new()),
        text_signature = "(path, *, checksum, danger_unverified=False, signature=None, public_key=None, hash=None, allow_architectures=(), size_limit=None, progress=None, pins=(), algorithms=())"
    )]
    fn load(
        py: Python<'_>,
        path: PathBuf,
        checksum: Option<&Bound<'_, PyString>>,
        danger_unverified: bool,
        signature: Option<PathBuf>,
        public_key: Option<PathBuf>,
        hash: Option<&str>,
        allow_architectures: Vec<String>,
        size_limit: Option<&Bound<'_, PyAny>>,
        progress: Option<Py<PyAny>>,
        pins: Vec<Bound<'_, PyString>>,
        algorithms: Vec<Bound<'_, PyString>>,
    ) -> Result<Self, Error> {
        let start = Instant::now();
        let expected = checksum.map(parse).transpose()?;
        let pins = pins.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
        let wanted = algorithms
            .iter()
            .map(algorithm)
            .collect::<Result<Vec<_>, _>>()?;
        let size_limit = size_limit
            .map(|limit| arguments::integer("size_limit", limit, Error::setting))
            .transpose()?;
        let claim = signature::Claim::new(&path, signature, public_key, hash)?;
        let (sealed, evidence, header, digests, real_path) =
            detach::interruptible(py, progress, |caller| {
                // What proves the file is read before the file: it says what the one pass has to yield.
                let signature = claim.map(signature::Claim::read).transpose()?;
                let proved = expected.is_some() || signature.is_some();
                if !proved && pins.is_empty() && !danger_unverified {
                    return Err(Error::no_proof(&digest(&path, caller)?));
                }
                let signed = match signature.as_ref().map(Signature::need) {
                    Some(Need::Digest(algorithm)) => Some(algorithm),
                    _ => None,
                };
                let first = expected.map(|digest| digest.algorithm()).or(signed);
                let mut algorithms = vec![first.unwrap_or(Algorithm::Sha256)];
                let more = signed.into_iter().chain(wanted);
                for algorithm in more.chain(pins.iter().map(Digest::algorithm)) {
                    if !algorithms.contains(&algorithm) {
                        algorithms.push(algorithm);
                    }
                }
                let unproven = image::read(&path, &algorithms, size_limit, &mut |done, total| {
                    caller.progress(done, total)
                })?;
                let digests = unproven.digests().to_vec();
                let real_path = unproven.real_path().map(|path| path.as_os_str().to_owned());
                let expected = expected.as_ref();
                let (sealed, evidence) = match &signature {
                    Some(signature) => {
                        let (sealed, evidence) = unproven
                            .prove_signed(signature, expected)
                            .map_err(|error| signature::refused(&path, error))?;
                        (sealed, Some(evidence))
                    }
                    None => match expected.or_else(|| pinned(&pins, &digests)) {
                        Some(expected) => (unproven.prove(expected)?, None),
                        None if danger_unverified => (unproven.danger_accept(), None),
                        None => return Err(Error::no_proof(&digests[0])),
                    },
                };
                let bytes = sealed
                    .map()
                    .map_err(|error| signature::unmapped(&path, error))?;
                let policy = Policy {
                    allow_architectures,
                };
                let header = strongroom_gguf::preflight(&bytes, sealed.len() as u64, &policy)?;
                Ok::<_, Error>((sealed, evidence, header, digests, real_path))
            })?;
        Ok(Self {
            sealed,
            header: Py::new(py, Header::from(header))?,
            verified: expected.is_some() || evidence.is_some() || pinned(&pins, &digests).is_some(),
            evidence: evidence
                .map(|evidence| Py::new(py, Evidence::from(evidence)))
                .transpose()?,
            digests,
            real_path,
            seconds: start.elapsed().as_secs_f64(),
        })
    }

    /// In the checksum's algorithm, without one in the signature's, else SHA-256.
    #[getter]
    fn digest(&self) -> String {
        self.sealed.digest().to_string()
    }

    /// Every digest that was computed, the checksum's algorithm first.
    #[getter]
    fn digests(&self) -> Vec<String> {
        self.digests.iter().map(ToString::to_string).collect()
    }

    /// Bytes.
    #[getter]
    const fn size(&self) -> usize {
        self.sealed.len()
    }

    fn __repr__(&self) -> String {
        format!(
            "<strongroom._core.Image {} of {} bytes>",
            self.sealed.digest(),
            self.sealed.len()
        )
    }
}

/// A checksum as the caller wrote it.
fn parse(checksum: &Bound<'_, PyString>) -> Result<Digest, VerifyError> {
    checksum
        .to_str()
        .map_err(|_| VerifyError::Malformed {
            reason: "it holds a lone surrogate".to_owned(),
        })?
        .parse()
}

/// The pin that one of the digests is held to.
fn pinned<'a>(pins: &'a [Digest], found: &[Digest]) -> Option<&'a Digest> {
    pins.iter()
        .find(|pin| found.iter().any(|found| pin.verify(found).is_ok()))
}

/// An algorithm by its word.
fn algorithm(word: &Bound<'_, PyString>) -> Result<Algorithm, VerifyError> {
    let word = word.to_string_lossy();
    Algorithm::ALL
        .into_iter()
        .find(|algorithm| algorithm.as_str() == word)
        .ok_or_else(|| VerifyError::UnknownAlgorithm {
            name: word.chars().take(16).collect(),
        })
}

/// The digest of a file that nothing speaks for; nothing of it is kept.
fn digest(path: &Path, caller: &mut Caller) -> Result<Digest, SourceError> {
    let mut source = Source::open(path)?;
    let mut progress = |done, total| caller.progress(done, total);
    let digests = pipeline::run(&mut source, &[Algorithm::Sha256], &mut progress, |_| Ok(()))?;
    Ok(digests[0])
}
