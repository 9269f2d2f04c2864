//! From a source on a host into memory: no file has any of it.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use pyo3::{prelude::*, types::PyString};
use strongroom_fetch::{FetchError, Reference, Sink, System};
use strongroom_memory::{Incoming, Unproven};
use strongroom_verify::Algorithm;

use crate::{arguments, detach, errors::Error, fetch::Sources, image};

/// A file that a host sent, in sealed memory. Nothing proves it yet.
#[pyclass(frozen, module = "strongroom._core")]
pub(crate) struct Received {
    #[pyo3(get)]
    source: String,
    /// Bytes.
    #[pyo3(get)]
    size: u64,
    image: Mutex<Option<Unproven>>,
}

impl Received {
    /// The memory, which can be had once.
    pub(crate) fn take(&self) -> Result<Unproven, Error> {
        let mut image = self.image.lock().unwrap_or_else(PoisonError::into_inner);
        image
            .take()
            .ok_or_else(|| Error::option("received", "was used already"))
    }
}

#[pymethods]
impl Received {
    fn __repr__(&self) -> String {
        format!("<strongroom._core.Received {} bytes>", self.size)
    }
}

/// Receives a source on a host into sealed memory, hashing it as it comes.
#[pyfunction]
#[pyo3(signature = (reference, *, sources, checksum=None, size_limit=None, progress=None))]
pub(crate) fn receive(
    py: Python<'_>,
    reference: &str,
    sources: &Bound<'_, Sources>,
    checksum: Option<&Bound<'_, PyString>>,
    size_limit: Option<&Bound<'_, PyAny>>,
    progress: Option<Py<PyAny>>,
) -> Result<Received, Error> {
    let Reference::Remote(remote) = reference.parse()? else {
        return Err(FetchError::Reference {
            reference: "a path".to_owned(),
            reason: "it is on this machine already",
        }
        .into());
    };
    let digest = checksum.map(image::parse).transpose()?;
    let size_limit = size_limit
        .map(|limit| arguments::integer("size_limit", limit, Error::setting))
        .transpose()?;
    let source = remote.to_string();
    let Sources { policy, limits } = sources.get();
    // What the store knows a model by, and what it is held to here and now.
    let mut algorithms = vec![Algorithm::Sha256];
    algorithms.extend(
        digest
            .map(|digest| digest.algorithm())
            .filter(|&algorithm| algorithm != Algorithm::Sha256),
    );
    let image = detach::interruptible(py, progress, |caller| {
        let mut arriving = Arriving(Incoming::new(Path::new(&source), &algorithms, size_limit));
        let system = Arc::new(System) as Arc<_>;
        let mut told = |step| crate::fetch::told(caller, step);
        strongroom_fetch::receive(&remote, policy, limits, &system, &mut arriving, &mut told)?;
        let unproven = arriving.0.seal()?;
        if let Some(digest) = digest {
            unproven.compare(&digest)?;
        }
        Ok::<_, Error>(unproven)
    })?;
    Ok(Received {
        source,
        size: image.size(),
        image: Mutex::new(Some(image)),
    })
}

/// Where a body goes.
struct Arriving(Incoming);

impl Sink for Arriving {
    type Error = Error;

    fn received(&self) -> u64 {
        self.0.received()
    }

    fn expect(&mut self, length: Option<u64>) -> Result<(), Error> {
        Ok(self.0.expect(length)?)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        Ok(self.0.write(bytes)?)
    }
}
