//! From a file to a sealed image, proved and preflighted.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    path::{Path, PathBuf},
    time::Instant,
};

use pyo3::{prelude::*, types::PyString};
use strongroom_gguf::Policy;
use strongroom_memory::{Source, SourceError, pipeline};
use strongroom_verify::{Algorithm, Digest, VerifyError};

use crate::{
    arguments,
    detach::{self, Caller},
    errors::Error,
    gguf::Header,
    keyring::Keyring,
    manifest::{Manifest, ManifestEvidence},
    proof::{Files, Listed, Trusted},
    receive::Received,
    side_file::Given,
    signature::{self, Evidence},
    store::{Expected, Unsealing},
};

/// A model in sealed memory: its digest proved, its header through preflight.
#[pyclass(frozen, module = "strongroom._core")]
pub(crate) struct Image {
    sealed: strongroom_memory::Image,
    #[pyo3(get)]
    header: Py<Header>,
    // Every one that was computed.
    digests: Vec<Digest>,
    part_digests: Vec<Vec<Digest>>,
    #[pyo3(get)]
    real_path: Option<OsString>,
    #[pyo3(get)]
    verified: bool,
    evidence: Vec<Py<Evidence>>,
    // Who signed the manifest that lists it.
    #[pyo3(get)]
    listed: Option<Py<ManifestEvidence>>,
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
    /// Reads a file, or every part of a model, once into sealed memory, hashing every byte; or takes
    /// what was received.
    #[staticmethod]
    #[pyo3(
        signature = (path, *, checksum, danger_unverified=false, signature=None, public_key=None, hash=None, allow_architectures=Vec::new(), size_limit=None, progress=None, pins=Vec::new(), algorithms=Vec::new(), parts=Vec::new(), part_checksums=Vec::new(), manifest=None, manifest_names=Vec::new(), received=Vec::new()),
        text_signature = "(path, *, checksum, danger_unverified=False, signature=None, public_key=None, hash=None, allow_architectures=(), size_limit=None, progress=None, pins=(), algorithms=(), parts=(), part_checksums=(), manifest=None, manifest_names=(), received=())"
    )]
    fn load(
        py: Python<'_>,
        path: PathBuf,
        checksum: Option<&Bound<'_, PyString>>,
        danger_unverified: bool,
        signature: Option<Given>,
        public_key: Option<PathBuf>,
        hash: Option<&str>,
        allow_architectures: Vec<String>,
        size_limit: Option<&Bound<'_, PyAny>>,
        progress: Option<Py<PyAny>>,
        pins: Vec<Bound<'_, PyString>>,
        algorithms: Vec<Bound<'_, PyString>>,
        parts: Vec<PathBuf>,
        part_checksums: Vec<Bound<'_, PyString>>,
        manifest: Option<Py<Manifest>>,
        manifest_names: Vec<String>,
        received: Vec<Py<Received>>,
    ) -> Result<Self, Error> {
        let start = Instant::now();
        let parse_all = |texts: Vec<Bound<'_, PyString>>| {
            texts.iter().map(parse).collect::<Result<Vec<_>, _>>()
        };
        let trusted = Trusted {
            digest: checksum.map(parse).transpose()?,
            parts: parse_all(part_checksums)?,
            pins: parse_all(pins)?,
            listed: manifest
                .map(|manifest| Listed::new(manifest, manifest_names))
                .transpose()?,
            danger: danger_unverified,
        };
        let wanted = algorithms
            .iter()
            .map(algorithm)
            .collect::<Result<Vec<_>, _>>()?;
        let size_limit = size_limit
            .map(|limit| arguments::integer("size_limit", limit, Error::setting))
            .transpose()?;
        if signature.is_some() && !parts.is_empty() {
            return Err(Error::option(
                "signature",
                "can't be named for a model in parts: each part's stands beside it",
            ));
        }
        let files = Files { path, parts };
        if !received.is_empty() && received.len() != files.parts.len().max(1) {
            return Err(Error::option("received", "is not one per file"));
        }
        let received = received
            .iter()
            .map(|file| file.get().take())
            .collect::<Result<Vec<_>, _>>()?;
        let mut signature = signature;
        let claims = files
            .signed()
            .map(|file| signature::Claim::new(file, signature.take(), public_key.clone(), hash))
            .collect::<Result<Vec<_>, _>>()?;
        let policy = Policy {
            allow_architectures,
        };
        let (proved, header) = detach::interruptible(py, progress, |caller| {
            // What proves the files is read before them: it says what the one pass has to yield.
            let signatures = claims
                .into_iter()
                .flatten()
                .map(signature::Claim::read)
                .collect::<Result<Vec<_>, _>>()?;
            if !trusted.anything() && signatures.is_empty() && files.parts.is_empty() {
                let found = match received.first() {
                    Some(received) => received.digests()[0],
                    None => digest(&files.path, caller)?,
                };
                return Err(Error::no_proof(&found));
            }
            let unproven = files.read(
                received,
                &trusted.algorithms(&signatures, &wanted),
                size_limit,
                caller,
            )?;
            let proved = trusted.prove(&files, unproven, &signatures)?;
            let bytes = proved
                .sealed
                .map()
                .map_err(|error| signature::unmapped(&files.path, error))?;
            let size = proved.sealed.len() as u64;
            let header = strongroom_gguf::preflight(&bytes, size, &policy)?;
            Ok::<_, Error>((proved, header))
        })?;
        let evidence = proved.evidence.into_iter();
        let size = proved.sealed.len() as u64;
        let listed = trusted.listed.as_ref().map(|listed| {
            let manifest = listed.manifest.get();
            Py::new(py, manifest.evidence(listed.names.len(), size))
        });
        Ok(Self {
            listed: listed.transpose()?,
            sealed: proved.sealed,
            header: Py::new(py, Header::from(header))?,
            verified: proved.verified,
            evidence: evidence
                .map(|evidence| Py::new(py, Evidence::from(evidence)))
                .collect::<PyResult<_>>()?,
            digests: proved.digests,
            part_digests: proved.part_digests,
            real_path: proved.real_path,
            seconds: start.elapsed().as_secs_f64(),
        })
    }

    /// Opens a sealed model into sealed memory: every frame is authenticated before it is an image.
    /// Returns also the context that it was sealed with.
    #[staticmethod]
    #[pyo3(
        signature = (path, descriptor, *, keyrings, message_id, expected, digest, allow_architectures=Vec::new(), size_limit=None, progress=None),
        text_signature = "(path, descriptor, *, keyrings, message_id, expected, digest, allow_architectures=(), size_limit=None, progress=None)"
    )]
    fn unseal(
        py: Python<'_>,
        path: PathBuf,
        descriptor: i32,
        keyrings: Vec<Py<Keyring>>,
        message_id: String,
        expected: Expected,
        digest: &Bound<'_, PyString>,
        allow_architectures: Vec<String>,
        size_limit: Option<&Bound<'_, PyAny>>,
        progress: Option<Py<PyAny>>,
    ) -> Result<(Self, BTreeMap<String, String>), Error> {
        let start = Instant::now();
        let digest = parse(digest)?;
        let unsealing = Unsealing {
            path: path.clone(),
            descriptor,
            keyrings: Keyring::taken(&keyrings),
            message_id,
            expected,
            digest,
            policy: Policy {
                allow_architectures,
            },
            size_limit: size_limit
                .map(|limit| arguments::integer("size_limit", limit, Error::setting))
                .transpose()?,
        };
        let unsealed = detach::interruptible(py, progress, |caller| unsealing.run(caller))?;
        let image = Self {
            sealed: unsealed.sealed,
            header: Py::new(py, Header::from(unsealed.header))?,
            digests: vec![digest],
            part_digests: Vec::new(),
            real_path: Some(path.into_os_string()),
            verified: true,
            evidence: Vec::new(),
            listed: None,
            seconds: start.elapsed().as_secs_f64(),
        };
        Ok((image, unsealed.context))
    }

    /// Who signed it: one of the file, or one of each part.
    #[getter]
    fn evidence(&self, py: Python<'_>) -> Vec<Py<Evidence>> {
        let evidence = self.evidence.iter();
        evidence.map(|evidence| evidence.clone_ref(py)).collect()
    }

    /// In the checksum's algorithm, without one in the signature's, else SHA-256. Of a model in parts
    /// the digest of their digests.
    #[getter]
    fn digest(&self) -> String {
        self.sealed.digest().to_string()
    }

    /// Every digest that was computed, the checksum's algorithm first.
    #[getter]
    fn digests(&self) -> Vec<String> {
        self.digests.iter().map(ToString::to_string).collect()
    }

    /// The same of each part, of a model in parts.
    #[getter]
    fn part_digests(&self) -> Vec<Vec<String>> {
        let parts = self.part_digests.iter();
        parts
            .map(|digests| digests.iter().map(ToString::to_string).collect())
            .collect()
    }

    /// Bytes.
    #[getter]
    const fn size(&self) -> usize {
        self.sealed.len()
    }

    /// Whether none of it can go to a swap device.
    #[getter]
    const fn pinned(&self) -> bool {
        self.sealed.is_pinned()
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
pub(crate) fn parse(checksum: &Bound<'_, PyString>) -> Result<Digest, VerifyError> {
    checksum
        .to_str()
        .map_err(|_| VerifyError::Malformed {
            reason: "it holds a lone surrogate".to_owned(),
        })?
        .parse()
}

/// A digest as it is written everywhere.
#[pyfunction]
pub(crate) fn digest_of(text: &Bound<'_, PyString>) -> Result<String, Error> {
    Ok(parse(text)?.to_string())
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
