//! Encrypted models: sealing a file, and opening one into another.

use std::{
    collections::BTreeMap,
    fs::File,
    num::NonZeroUsize,
    os::{fd::AsFd as _, unix::fs::FileExt as _},
    path::{Path, PathBuf},
};

use pyo3::prelude::*;
use strongroom_memory::{Source, SourceError};
use strongroom_seal::{DEFAULT_FRAME_LENGTH, EncryptionContext, SealError, Sealed, Writer};

use crate::{
    detach::{self, Caller},
    errors::Error,
    keyring::{Keyring, pairs},
    output,
    store::each_frame,
    watch::{Watch, cores},
};

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
            plaintext.finish()?;
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
        let sealed = caller
            .leave_to(&path, move || {
                Sealed::open(File::from(file), &Keyring::all(&keyrings), &expected)
            })?
            .map_err(|error| Error::from(error).in_file(&path))?;
        output::create_with(&output, output::SECRET, |file| {
            let threads = threads.unwrap_or_else(cores);
            each_frame(&path, &sealed, threads, caller, |offset, plaintext| {
                put(file, &output, offset, plaintext)
            })?;
            Ok(source.unchanged()?)
        })?;
        Ok::<_, Error>(pairs(sealed.context()))
    })
}

/// What is to be sealed. Models aren't empty, but a file may be.
struct Plaintext<'a> {
    source: Option<Source>,
    watch: Watch<'a>,
}

impl<'a> Plaintext<'a> {
    fn open(path: &Path, caller: &'a mut Caller) -> Result<Self, Error> {
        let source = match Source::open(path) {
            Err(SourceError::Empty { .. }) => None,
            opened => Some(opened?),
        };
        let size = source.as_ref().map_or(0, Source::size);
        Ok(Self {
            source,
            watch: Watch::new(caller, size),
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
        self.watch.tell(filled as u64, source.path())?;
        Ok(filled)
    }

    /// All was read, of a file that is what it was.
    fn finish(&self) -> Result<(), Error> {
        if let Some(source) = &self.source {
            self.watch.finish(source.path())?;
            source.unchanged()?;
        }
        Ok(())
    }
}

fn put(file: &File, path: &Path, offset: u64, bytes: &[u8]) -> Result<(), Error> {
    file.write_all_at(bytes, offset)
        .map_err(|error| Error::unwritable(path, &error))
}
