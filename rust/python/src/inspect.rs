//! What a file is, without loading it.

use std::path::PathBuf;

use pyo3::prelude::*;
use strongroom_gguf::{Policy, Refusal};
use strongroom_memory::{Source, SourceError, parts, pipeline};
use strongroom_verify::Algorithm;

use crate::{detach, errors::Error, gguf::Header, parts::plan};

/// What `inspect()` saw.
#[pyclass(frozen, get_all, module = "strongroom._core")]
pub(crate) struct Inspection {
    digest: String,
    part_digests: Vec<String>,
    size: u64,
    header: Option<Py<Header>>,
    refusal: Option<(&'static str, String)>,
}

/// Digest and preflight of a file, in constant memory, without handing one byte to C++.
#[pyfunction]
#[pyo3(
    signature = (path, *, parts=Vec::new(), allow_architectures=Vec::new(), progress=None),
    text_signature = "(path, *, parts=(), allow_architectures=(), progress=None)"
)]
pub(crate) fn inspect(
    py: Python<'_>,
    path: PathBuf,
    parts: Vec<PathBuf>,
    allow_architectures: Vec<String>,
    progress: Option<Py<PyAny>>,
) -> Result<Inspection, Error> {
    let policy = Policy {
        allow_architectures,
    };
    if !parts.is_empty() {
        return together(py, &parts, &policy, progress);
    }
    let mut preflight = Preflight {
        policy,
        prefix: Vec::new(),
        enough: 0,
        verdict: None,
    };
    let (digests, size) = detach::interruptible(py, progress, |caller| {
        let mut source = Source::open(&path)?;
        let size = source.size();
        let digests = pipeline::run(
            &mut source,
            &[Algorithm::Sha256],
            &mut |done, total| caller.progress(done, total),
            |chunk| {
                preflight.read(chunk, size);
                Ok(())
            },
        )?;
        Ok::<_, SourceError>((digests, size))
    })?;
    let (header, refusal) = match preflight.verdict {
        Some(Ok(header)) => (Some(Py::new(py, Header::from(header))?), None),
        Some(Err(refusal)) => (None, Some((refusal.code(), refusal.to_string()))),
        // A file has at least one byte, and preflight gives its verdict by the last one.
        None => (None, None),
    };
    Ok(Inspection {
        digest: digests[0].to_string(),
        part_digests: Vec::new(),
        size,
        header,
        refusal,
    })
}

/// Digests of the parts of a model, and preflight of the file that they make.
fn together(
    py: Python<'_>,
    paths: &[PathBuf],
    policy: &Policy,
    progress: Option<Py<PyAny>>,
) -> Result<Inspection, Error> {
    let hashed = detach::interruptible(py, progress, |caller| {
        let mut progress = |done, total| caller.progress(done, total);
        parts::hash(paths, &mut progress, |heads| match plan(heads) {
            Ok(layout) => {
                let size = layout.size().unwrap_or(u64::MAX);
                let verdict = strongroom_gguf::preflight(&layout.header, size, policy);
                Ok(verdict.map_err(|refusal| (refusal.code(), refusal.to_string())))
            }
            Err(Error::Core { code, message, .. }) if code.starts_with("gguf.") => {
                Ok(Err((code, message)))
            }
            Err(error) => Err(error),
        })
    })?;
    let (header, refusal) = match hashed.seen {
        Ok(header) => (Some(Py::new(py, Header::from(header))?), None),
        Err(refusal) => (None, Some(refusal)),
    };
    Ok(Inspection {
        digest: hashed.digest.to_string(),
        part_digests: hashed.parts.iter().map(ToString::to_string).collect(),
        size: hashed.size,
        header,
        refusal,
    })
}

/// Preflight of a file that goes by: keeps the beginning, up to the verdict, and nothing after. The
/// longest header that preflight accepts bounds what is kept.
struct Preflight {
    policy: Policy,
    prefix: Vec<u8>,
    enough: u64,
    verdict: Option<Result<strongroom_gguf::Header, Refusal>>,
}

impl Preflight {
    fn read(&mut self, chunk: &[u8], size: u64) {
        if self.verdict.is_some() {
            return;
        }
        self.prefix.extend_from_slice(chunk);
        let length = self.prefix.len() as u64;
        if length < self.enough {
            return;
        }
        let verdict = strongroom_gguf::preflight(&self.prefix, size, &self.policy);
        if let Some(needs) = verdict.as_ref().err().and_then(Refusal::needs) {
            // Each try starts over: doubling keeps their sum within twice the last one.
            self.enough = needs.max(2 * length).min(size);
        } else {
            self.verdict = Some(verdict);
            self.prefix = Vec::new();
        }
    }
}
