//! Small files that speak for a model: on this machine, or sent by a host.

use std::{path::PathBuf, sync::Arc};

use pyo3::prelude::*;
use strongroom_fetch::{FetchError, Reference, System, read_side_file as read};
use strongroom_memory::{Source, SourceError};
use strongroom_verify::{manifest::LARGEST_BUNDLE, signature};

use crate::{detach, errors::Error, fetch::Sources};

/// A signature or a manifest that a host sent. Nothing proves it: it is what proves.
#[pyclass(frozen, module = "strongroom._core")]
pub(crate) struct SideFile {
    #[pyo3(get)]
    source: String,
    bytes: Vec<u8>,
}

/// Where a signature or a manifest is.
#[derive(FromPyObject)]
pub(crate) enum Given {
    /// Sent by a host.
    Sent(Py<SideFile>),
    /// A file of this machine.
    File(PathBuf),
}

impl Given {
    /// Its bytes, or the first `most` + 1 of a longer one.
    pub(crate) fn read(&self, most: usize) -> Result<Vec<u8>, SourceError> {
        match self {
            Self::Sent(file) => Ok(file.get().bytes.clone()),
            Self::File(path) => Source::read_small(path, most),
        }
    }

    /// What messages call it.
    pub(crate) fn name(&self) -> PathBuf {
        match self {
            Self::Sent(file) => file.get().source.clone().into(),
            Self::File(path) => path.clone(),
        }
    }
}

/// Reads a signature or a manifest from a host into memory.
#[pyfunction]
#[pyo3(signature = (reference, *, kind, sources, progress=None))]
pub(crate) fn read_side_file(
    py: Python<'_>,
    reference: &str,
    kind: &str,
    sources: &Bound<'_, Sources>,
    progress: Option<Py<PyAny>>,
) -> Result<SideFile, Error> {
    let Reference::Remote(remote) = reference.parse()? else {
        return Err(FetchError::Reference {
            reference: "a path".to_owned(),
            reason: "it is on this machine already",
        }
        .into());
    };
    let most = match kind {
        "signature" => signature::LONGEST_FILE,
        "manifest" => LARGEST_BUNDLE,
        _ => return Err(Error::option("kind", "is neither signature nor manifest")),
    };
    let Sources { policy, limits } = sources.get();
    let bytes = detach::interruptible(py, progress, |caller| {
        // Its bytes are none of the model's, of which the progress is.
        let mut go_on = |_| caller.go_on();
        let system = Arc::new(System) as Arc<_>;
        read(&remote, most as u64, policy, limits, &system, &mut go_on)
    })?;
    Ok(SideFile {
        source: remote.to_string(),
        bytes,
    })
}
