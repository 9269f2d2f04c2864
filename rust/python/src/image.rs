//! From a file to a sealed image, proved and preflighted.

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use pyo3::{prelude::*, types::PyString};
use strongroom_gguf::Policy;
use strongroom_memory::{Source, SourceError, image, pipeline};
use strongroom_verify::{Algorithm, Digest, VerifyError};

use crate::{
    arguments,
    detach::{self, Caller},
    errors::Error,
    gguf::Header,
};

/// A model in sealed memory: its digest proved, its header through preflight.
#[pyclass(frozen, module = "strongroom._core")]
pub(crate) struct Image {
    sealed: strongroom_memory::Image,
    #[pyo3(get)]
    header: Py<Header>,
    #[pyo3(get)]
    verified: bool,
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
        signature = (path, *, checksum, danger_unverified=false, allow_architectures=Vec::new(), size_limit=None, progress=None),
        text_signature = "(path, *, checksum, danger_unverified=False, allow_architectures=(), size_limit=None, progress=None)"
    )]
    fn load(
        py: Python<'_>,
        path: PathBuf,
        checksum: Option<&Bound<'_, PyString>>,
        danger_unverified: bool,
        allow_architectures: Vec<String>,
        size_limit: Option<&Bound<'_, PyAny>>,
        progress: Option<Py<PyAny>>,
    ) -> Result<Self, Error> {
        let start = Instant::now();
        let expected = checksum.map(parse).transpose()?;
        let size_limit = size_limit
            .map(|limit| arguments::integer("size_limit", limit, Error::setting))
            .transpose()?;
        let (sealed, header) = detach::interruptible(py, progress, |caller| {
            if expected.is_none() && !danger_unverified {
                return Err(Error::no_proof(&digest(&path, caller)?));
            }
            let algorithm = expected.map_or(Algorithm::Sha256, |digest| digest.algorithm());
            let unproven = image::read(&path, &[algorithm], size_limit, &mut |done, total| {
                caller.progress(done, total)
            })?;
            let sealed = match expected {
                Some(expected) => unproven.prove(&expected)?,
                None => unproven.danger_accept(),
            };
            let bytes = sealed.map().map_err(|error| SourceError::Io {
                action: "map the image of",
                path: path.clone(),
                error,
            })?;
            let policy = Policy {
                allow_architectures,
            };
            let header = strongroom_gguf::preflight(&bytes, sealed.len() as u64, &policy)?;
            Ok::<_, Error>((sealed, header))
        })?;
        Ok(Self {
            sealed,
            header: Py::new(py, Header::from(header))?,
            verified: expected.is_some(),
            seconds: start.elapsed().as_secs_f64(),
        })
    }

    /// In the checksum's algorithm, SHA-256 without one.
    #[getter]
    fn digest(&self) -> String {
        self.sealed.digest().to_string()
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
pub(crate) fn parse(checksum: &Bound<'_, PyString>) -> Result<Digest, VerifyError> {
    checksum
        .to_str()
        .map_err(|_| VerifyError::Malformed {
            reason: "it holds a lone surrogate".to_owned(),
        })?
        .parse()
}

/// The digest of a file that nothing speaks for; nothing of it is kept.
fn digest(path: &Path, caller: &mut Caller) -> Result<Digest, SourceError> {
    let mut source = Source::open(path)?;
    let mut progress = |done, total| caller.progress(done, total);
    let digests = pipeline::run(&mut source, &[Algorithm::Sha256], &mut progress, |_| Ok(()))?;
    Ok(digests[0])
}
