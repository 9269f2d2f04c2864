//! Encrypted models: sealing a file, and opening one into another.

use std::{
    collections::BTreeMap,
    fs::File,
    num::NonZeroUsize,
    os::{fd::AsFd as _, unix::fs::FileExt as _},
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use pyo3::prelude::*;
use strongroom_memory::{Source, SourceError};
use strongroom_seal::{DEFAULT_FRAME_LENGTH, EncryptionContext, SealError, Sealed, Writer};

use crate::{
    detach::{self, Caller},
    errors::Error,
    keyring::Keyring,
    output,
};

/// Bytes between two calls of a progress callback.
const PROGRESS: u64 = 4 << 20;

/// Seals the file at `path` into the new file `output`; returns how many bytes that has.
#[pyfunction]
#[pyo3(
    signature = (path, output, *, keyrings, context, frame_length=None, threads=None, progress=None),
    text_signature = "(path, output, *, keyrings, context, frame_length=None, threads=None, progress=None)"
)]
pub(crate) fn seal_file(
    py: Python<'_>,
    path: PathBuf,
    output: PathBuf,
    keyrings: Vec<Py<Keyring>>,
    context: BTreeMap<String, String>,
    frame_length: Option<u32>,
    threads: Option<NonZeroUsize>,
    progress: Option<Py<PyAny>>,
) -> Result<u64, Error> {
    let keyrings = Keyring::taken(&keyrings);
    let context = EncryptionContext::from_pairs(context)?;
    detach::interruptible(py, progress, |caller| {
        let mut plaintext = Plaintext::open(&path, caller)?;
        let writer = Writer::with_frame_length(
            &Keyring::all(&keyrings),
            &context,
            frame_length.unwrap_or(DEFAULT_FRAME_LENGTH),
        )?
        .expect_length(plaintext.size());
        output::create_with(&output, output::SECRET, |file| {
            let mut offset = 0;
            let summary = writer.seal(
                threads.unwrap_or_else(cores),
                |buffer| plaintext.fill(buffer),
                |bytes| {
                    put(file, &output, offset, bytes)?;
                    offset += bytes.len() as u64;
                    Ok::<_, Error>(())
                },
            )?;
            plaintext.unchanged()?;
            Ok(summary.sealed)
        })
    })
}

/// Opens the sealed file at `path` into the new file `output`; returns its context.
#[pyfunction]
#[pyo3(
    signature = (path, output, *, keyrings, expected=None, threads=None, progress=None),
    text_signature = "(path, output, *, keyrings, expected=None, threads=None, progress=None)"
)]
pub(crate) fn open_sealed(
    py: Python<'_>,
    path: PathBuf,
    output: PathBuf,
    keyrings: Vec<Py<Keyring>>,
    expected: Option<BTreeMap<String, String>>,
    threads: Option<NonZeroUsize>,
    progress: Option<Py<PyAny>>,
) -> Result<BTreeMap<String, String>, Error> {
    let keyrings = Keyring::taken(&keyrings);
    let expected = EncryptionContext::from_pairs(expected.unwrap_or_default())?;
    detach::interruptible(py, progress, |caller| {
        let source = Source::open(&path)?;
        let file = source
            .as_fd()
            .try_clone_to_owned()
            .map_err(|error| SealError::Io {
                action: "read it",
                error,
            })?;
        let sealed = Sealed::open(file, &Keyring::all(&keyrings), &expected)
            .map_err(|error| Error::from(error).in_file(&path))?;
        output::create_with(&output, output::SECRET, |file| {
            let (done, total) = (AtomicU64::new(0), sealed.length());
            let caller = Mutex::new(caller);
            sealed.for_each_frame(threads.unwrap_or_else(cores), |offset, plaintext| {
                put(file, &output, offset, plaintext)?;
                let length = plaintext.len() as u64;
                let before = done.fetch_add(length, Ordering::Relaxed);
                if before / PROGRESS != (before + length) / PROGRESS {
                    let mut caller = caller.lock().unwrap_or_else(PoisonError::into_inner);
                    told(&mut caller, before + length, total)?;
                }
                Ok::<_, Error>(())
            })
        })
        .map_err(|error| error.in_sealed(&path))?;
        source.unchanged()?;
        let pairs = sealed.context().iter();
        Ok::<_, Error>(
            pairs
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect(),
        )
    })
}

/// What is to be sealed. Models aren't empty, but a file may be.
struct Plaintext<'a> {
    source: Option<Source>,
    caller: &'a mut Caller,
    told: u64,
}

impl<'a> Plaintext<'a> {
    fn open(path: &Path, caller: &'a mut Caller) -> Result<Self, Error> {
        let source = match Source::open(path) {
            Err(SourceError::Empty { .. }) => None,
            opened => Some(opened?),
        };
        Ok(Self {
            source,
            caller,
            told: 0,
        })
    }

    fn size(&self) -> u64 {
        self.source.as_ref().map_or(0, Source::size)
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        let Some(source) = &mut self.source else {
            return Ok(0);
        };
        let filled = source.fill(buffer)?;
        let (size, done) = (source.size(), source.size() - source.remaining());
        if done / PROGRESS != self.told / PROGRESS {
            self.told = done;
            told(self.caller, done, size)?;
        }
        Ok(filled)
    }

    fn unchanged(&self) -> Result<(), Error> {
        match &self.source {
            Some(source) => Ok(source.unchanged()?),
            None => Ok(()),
        }
    }
}

/// Tells the callback, and asks whether to go on.
fn told(caller: &mut Caller, done: u64, total: u64) -> Result<(), SealError> {
    if caller.progress(done, total).is_break() {
        return Err(SealError::Cancelled);
    }
    Ok(())
}

fn put(file: &File, path: &Path, offset: u64, bytes: &[u8]) -> Result<(), Error> {
    file.write_all_at(bytes, offset)
        .map_err(|error| Error::unwritable(path, &error))
}

fn cores() -> NonZeroUsize {
    thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}
