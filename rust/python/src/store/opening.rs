//! Opening sealed models: into memory, into a file, and into nothing.

use std::{
    collections::BTreeMap,
    fs::File,
    num::NonZeroUsize,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use pyo3::prelude::*;
use strongroom_gguf::Policy;
use strongroom_memory::SourceError;
use strongroom_seal::{EncryptionContext, SealError, Sealed};
use strongroom_verify::{Algorithm, Digest, Hasher};

use super::{hexadecimal, reading, writing};
use crate::{
    detach::{self, Caller},
    errors::Error,
    keyring::{Keyring, pairs},
    signature,
    watch::{Watch, cores},
};

/// What a context has to have, by key; with none for its value, what it must not have.
pub(crate) type Expected = BTreeMap<String, Option<String>>;

/// Authenticates every byte of a sealed file; returns its context, and the digest of what is in it.
#[pyfunction]
#[pyo3(signature = (path, descriptor, *, keyrings, message_id, expected, progress=None))]
pub(crate) fn verify_sealed(
    py: Python<'_>,
    path: PathBuf,
    descriptor: i32,
    keyrings: Vec<Py<Keyring>>,
    message_id: String,
    expected: Expected,
    progress: Option<Py<PyAny>>,
) -> Result<(BTreeMap<String, String>, String), Error> {
    let keyrings: Vec<Keyring> = Keyring::taken(&keyrings);
    detach::interruptible(py, progress, |caller| {
        let sealed = open(&path, descriptor, &keyrings, &message_id, expected, caller)?;
        let mut hasher = Hasher::new(Algorithm::Sha256);
        let mut scratch = sealed.scratch()?;
        let mut done = 0;
        for frame in 0..sealed.frames() {
            let plaintext = sealed
                .frame(frame, &mut scratch)
                .map_err(|error| Error::from(error).in_file(&path))?;
            hasher.update(plaintext);
            done += plaintext.len() as u64;
            if caller.progress(done, sealed.length()).is_break() {
                return Err(SourceError::Cancelled { path }.into());
            }
        }
        Ok::<_, Error>((pairs(sealed.context()), hasher.finish().to_string()))
    })
}

/// Opens a sealed file into an open, empty one, which is put on the disk.
#[pyfunction]
#[pyo3(signature = (path, descriptor, output_path, output, *, keyrings, message_id, expected, progress=None))]
pub(crate) fn export_sealed(
    py: Python<'_>,
    path: PathBuf,
    descriptor: i32,
    output_path: PathBuf,
    output: i32,
    keyrings: Vec<Py<Keyring>>,
    message_id: String,
    expected: Expected,
    progress: Option<Py<PyAny>>,
) -> Result<(), Error> {
    let keyrings: Vec<Keyring> = Keyring::taken(&keyrings);
    detach::interruptible(py, progress, |caller| {
        let sealed = open(&path, descriptor, &keyrings, &message_id, expected, caller)?;
        let unwritable = |error| Error::unwritable(&output_path, &error);
        let output = writing(output)?;
        each_frame(&path, &sealed, cores(), caller, |offset, plaintext| {
            output.write_all_at(plaintext, offset).map_err(unwritable)
        })?;
        output.sync_all().map_err(unwritable)
    })
}

/// What `Image.unseal` is asked for.
pub(crate) struct Unsealing {
    pub(crate) path: PathBuf,
    pub(crate) descriptor: i32,
    pub(crate) keyrings: Vec<Keyring>,
    pub(crate) message_id: String,
    pub(crate) expected: Expected,
    pub(crate) digest: Digest,
    pub(crate) policy: Policy,
    pub(crate) size_limit: Option<u64>,
}

/// A model that was opened.
pub(crate) struct Unsealed {
    pub(crate) sealed: strongroom_memory::Image,
    pub(crate) header: strongroom_gguf::Header,
    pub(crate) context: BTreeMap<String, String>,
}

impl Unsealing {
    /// Opens every frame into sealed memory. It is an image once all have passed; before, it is
    /// nobody's, and wiped where one doesn't.
    pub(crate) fn run(self, caller: &mut Caller) -> Result<Unsealed, Error> {
        let Self {
            path,
            descriptor,
            keyrings,
            message_id,
            expected,
            digest,
            policy,
            size_limit,
        } = self;
        let sealed = open(&path, descriptor, &keyrings, &message_id, expected, caller)?;
        let watch = Watch::new(caller, sealed.length());
        let mut draft = strongroom_seal::draft(&sealed, &path, size_limit, cores(), |done| {
            watch.tell(done, &path)
        })
        .map_err(|error: Error| error.in_sealed(&path))?;
        watch.finish(&path)?;
        // What preflight refuses can still be wiped; nothing can be once it is sealed.
        let header = draft
            .lend(|bytes| strongroom_gguf::preflight(bytes, bytes.len() as u64, &policy))
            .map_err(|error| signature::unmapped(&path, error))??;
        Ok(Unsealed {
            sealed: draft.seal_authenticated(digest)?,
            header,
            context: pairs(sealed.context()),
        })
    }
}

/// Opens a sealed file as far as that its header and its last frame are authentic, and its context
/// and its message are those that are expected: not one that was sealed at another time.
///
/// Keys are tried in a thread of its own: a file can ask for seconds of work to derive one, and a
/// service may not answer.
pub(super) fn open(
    path: &Path,
    descriptor: i32,
    keyrings: &[Keyring],
    message_id: &str,
    expected: Expected,
    caller: &mut Caller,
) -> Result<Sealed<File>, Error> {
    let (had, lacked): (Vec<_>, Vec<_>) =
        expected.into_iter().partition(|(_, value)| value.is_some());
    let had = had
        .into_iter()
        .filter_map(|(key, value)| Some((key, value?)));
    let had = EncryptionContext::from_pairs(had)?;
    let file = reading(path, descriptor)?;
    let keyrings = keyrings.to_vec();
    let sealed = caller
        .leave_to(path, move || {
            let sealed = Sealed::open(file, &Keyring::all(&keyrings), &had)?;
            for (key, _) in lacked {
                sealed.context().verify_absent(&key)?;
            }
            Ok::<_, SealError>(sealed)
        })?
        .map_err(|error| Error::from(error).in_file(path))?;
    let found = hexadecimal(sealed.header().message_id());
    if found != message_id {
        return Err(Error::exchanged(path, &found));
    }
    Ok(sealed)
}

/// Gives every frame to `take`, on so many threads.
pub(crate) fn each_frame(
    path: &Path,
    sealed: &Sealed<File>,
    threads: NonZeroUsize,
    caller: &mut Caller,
    take: impl Fn(u64, &[u8]) -> Result<(), Error> + Sync,
) -> Result<(), Error> {
    let watch = Watch::new(caller, sealed.length());
    sealed
        .for_each_frame(threads, |offset, plaintext| {
            take(offset, plaintext)?;
            watch.tell(plaintext.len() as u64, path)
        })
        .map_err(|error: Error| error.in_sealed(path))?;
    watch.finish(path)
}
