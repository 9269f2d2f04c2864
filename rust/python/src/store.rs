//! Sealed models: written from images, and opened into them.

use std::{
    collections::BTreeMap,
    fs::File,
    io::Write as _,
    num::NonZeroUsize,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use pyo3::{prelude::*, types::PyString};
use strongroom_gguf::Policy;
use strongroom_memory::SourceError;
use strongroom_seal::{EncryptionContext, Header, Sealed, Writer};
use strongroom_verify::{Digest, Hasher};

use crate::{
    detach::{self, Caller},
    errors::Error,
    image::{self, Image},
    keyring::{Keyring, pairs},
    signature,
};

/// Bytes between two calls of a progress callback.
const REPORT_EVERY: u64 = 4 << 20;

/// What a sealed file says to whoever has no key. Nothing of it is authenticated.
#[pyclass(frozen, get_all, module = "strongroom._core")]
pub(crate) struct SealedHeader {
    /// In hexadecimal.
    message_id: String,
    /// Ids of the keys that open it.
    keys: Vec<String>,
    context: BTreeMap<String, String>,
}

/// Reads the header of a sealed file.
#[pyfunction]
pub(crate) fn sealed_header(
    py: Python<'_>,
    path: PathBuf,
    descriptor: i32,
) -> Result<SealedHeader, Error> {
    detach::run(py, || {
        let header = Header::read(&reading(&path, descriptor)?)
            .map_err(|error| Error::from(error).in_file(&path))?;
        Ok(SealedHeader {
            message_id: hexadecimal(header.message_id()),
            keys: header
                .data_keys()
                .iter()
                .map(|key| key.id().to_string())
                .collect(),
            context: pairs(header.context()),
        })
    })
}

/// Seals an image into an open, empty file, and puts it on the disk; returns the message's id.
#[pyfunction]
#[pyo3(signature = (image, descriptor, *, keyrings, context, progress=None))]
pub(crate) fn seal_image(
    py: Python<'_>,
    image: &Bound<'_, Image>,
    descriptor: i32,
    keyrings: Vec<Py<Keyring>>,
    context: BTreeMap<String, String>,
    progress: Option<Py<PyAny>>,
) -> Result<String, Error> {
    let keyrings: Vec<Keyring> = Keyring::taken(&keyrings);
    let context = EncryptionContext::from_pairs(context)?;
    let image = image.get().sealed();
    detach::interruptible(py, progress, |caller| {
        seal(image, descriptor, &keyrings, &context, caller)
    })
}

/// Authenticates every byte of a sealed file, and holds the model to its digest.
#[pyfunction]
#[pyo3(signature = (path, descriptor, *, keyrings, message_id, expected, digest, progress=None))]
pub(crate) fn verify_sealed(
    py: Python<'_>,
    path: PathBuf,
    descriptor: i32,
    keyrings: Vec<Py<Keyring>>,
    message_id: String,
    expected: BTreeMap<String, String>,
    digest: &Bound<'_, PyString>,
    progress: Option<Py<PyAny>>,
) -> Result<BTreeMap<String, String>, Error> {
    let keyrings: Vec<Keyring> = Keyring::taken(&keyrings);
    let digest = image::parse(digest)?;
    detach::interruptible(py, progress, |caller| {
        let sealed = open(&path, descriptor, &keyrings, &message_id, expected)?;
        let mut hasher = Hasher::new(digest.algorithm());
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
        digest
            .verify(&hasher.finish())
            .map_err(|error| Error::from(error).in_file(&path))?;
        Ok::<_, Error>(pairs(sealed.context()))
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
    expected: BTreeMap<String, String>,
    progress: Option<Py<PyAny>>,
) -> Result<(), Error> {
    let keyrings: Vec<Keyring> = Keyring::taken(&keyrings);
    detach::interruptible(py, progress, |caller| {
        let sealed = open(&path, descriptor, &keyrings, &message_id, expected)?;
        let unwritable = |error| Error::unwritable(&output_path, &error);
        let output = writing(output)?;
        each_frame(&path, &sealed, caller, |offset, plaintext| {
            output.write_all_at(plaintext, offset).map_err(unwritable)
        })?;
        output.sync_all().map_err(unwritable)
    })
}

/// Opens a sealed file and seals the model anew into an open, empty one, under a data key of its own
/// and the new keyrings; returns the new message's id.
#[pyfunction]
#[pyo3(signature = (path, descriptor, output, *, keyrings, new_keyrings, message_id, expected, progress=None))]
pub(crate) fn reseal(
    py: Python<'_>,
    path: PathBuf,
    descriptor: i32,
    output: i32,
    keyrings: Vec<Py<Keyring>>,
    new_keyrings: Vec<Py<Keyring>>,
    message_id: String,
    expected: BTreeMap<String, String>,
    progress: Option<Py<PyAny>>,
) -> Result<String, Error> {
    let keyrings: Vec<Keyring> = Keyring::taken(&keyrings);
    let new = Keyring::taken(&new_keyrings);
    detach::interruptible(py, progress, |caller| {
        let sealed = open(&path, descriptor, &keyrings, &message_id, expected)?;
        let mut frame = 0;
        let mut scratch = sealed.scratch()?;
        // Bytes of the frame that the scratch holds which were given on.
        let mut given = 0;
        let (mut done, total) = (0, sealed.length());
        let writer = Writer::new(&Keyring::all(&new), sealed.context())?.expect_length(total);
        let id = hexadecimal(writer.header().message_id());
        let mut output = writing(output)?;
        writer.seal::<Error>(
            NonZeroUsize::MIN,
            |buffer| {
                if frame == sealed.frames() {
                    return Ok(0);
                }
                let plaintext = sealed
                    .frame(frame, &mut scratch)
                    .map_err(|error| Error::from(error).in_file(&path))?;
                let rest = &plaintext[given..];
                let count = rest.len().min(buffer.len());
                buffer[..count].copy_from_slice(&rest[..count]);
                given += count;
                if given == plaintext.len() {
                    (frame, given) = (frame + 1, 0);
                }
                done += count as u64;
                // In the caller's thread: one works.
                if caller.progress(done, total).is_break() {
                    return Err(SourceError::Cancelled { path: path.clone() }.into());
                }
                Ok(count)
            },
            |bytes| {
                output
                    .write_all(bytes)
                    .map_err(|error| Error::unwritten(&error))
            },
        )?;
        output
            .sync_all()
            .map_err(|error| Error::unwritten(&error))?;
        Ok::<_, Error>(id)
    })
}

/// What [`Image::unseal`] is asked for.
pub(crate) struct Unsealing {
    pub(crate) path: PathBuf,
    pub(crate) descriptor: i32,
    pub(crate) keyrings: Vec<Keyring>,
    pub(crate) message_id: String,
    pub(crate) expected: BTreeMap<String, String>,
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
        let sealed = open(&path, descriptor, &keyrings, &message_id, expected)?;
        let watch = Watch::new(caller, sealed.length());
        let mut draft = strongroom_seal::draft(&sealed, &path, size_limit, threads(), |done| {
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
fn open(
    path: &Path,
    descriptor: i32,
    keyrings: &[Keyring],
    message_id: &str,
    expected: BTreeMap<String, String>,
) -> Result<Sealed<File>, Error> {
    let expected = EncryptionContext::from_pairs(expected)?;
    let sealed = Sealed::open(
        reading(path, descriptor)?,
        &Keyring::all(keyrings),
        &expected,
    )
    .map_err(|error| Error::from(error).in_file(path))?;
    let found = hexadecimal(sealed.header().message_id());
    if found != message_id {
        return Err(Error::exchanged(path, &found));
    }
    Ok(sealed)
}

/// Gives every frame to `take`, on every core that is there.
fn each_frame(
    path: &Path,
    sealed: &Sealed<File>,
    caller: &mut Caller,
    take: impl Fn(u64, &[u8]) -> Result<(), Error> + Sync,
) -> Result<(), Error> {
    let watch = Watch::new(caller, sealed.length());
    sealed
        .for_each_frame(threads(), |offset, plaintext| {
            take(offset, plaintext)?;
            watch.tell(plaintext.len() as u64, path)
        })
        .map_err(|error: Error| error.in_sealed(path))?;
    watch.finish(path)
}

fn seal(
    image: &strongroom_memory::Image,
    descriptor: i32,
    keyrings: &[Keyring],
    context: &EncryptionContext,
    caller: &mut Caller,
) -> Result<String, Error> {
    let path = Path::new("the image");
    let bytes = image
        .map()
        .map_err(|error| signature::unmapped(path, error))?;
    let total = bytes.len() as u64;
    let mut output = writing(descriptor)?;
    let writer = Writer::new(&Keyring::all(keyrings), context)?.expect_length(total);
    let id = hexadecimal(writer.header().message_id());
    let watch = Watch::new(caller, total);
    let mut rest = &bytes[..];
    writer.seal::<Error>(
        threads(),
        |buffer| {
            let (now, later) = rest.split_at(rest.len().min(buffer.len()));
            buffer[..now.len()].copy_from_slice(now);
            rest = later;
            watch.tell(now.len() as u64, path)?;
            Ok(now.len())
        },
        |sealed| {
            output
                .write_all(sealed)
                .map_err(|error| Error::unwritten(&error))
        },
    )?;
    watch.finish(path)?;
    output
        .sync_all()
        .map_err(|error| Error::unwritten(&error))?;
    Ok(id)
}

/// Work of several threads, of which one tells the caller how far it is.
struct Watch<'a> {
    caller: Mutex<&'a mut Caller>,
    thread: thread::ThreadId,
    done: AtomicU64,
    told: AtomicU64,
    total: u64,
}

impl<'a> Watch<'a> {
    /// Of the thread that calls it.
    fn new(caller: &'a mut Caller, total: u64) -> Self {
        Self {
            caller: Mutex::new(caller),
            thread: thread::current().id(),
            done: AtomicU64::new(0),
            told: AtomicU64::new(0),
            total,
        }
    }

    /// Adds what a thread has done; an error once the caller wants no more.
    fn tell(&self, count: u64, path: &Path) -> Result<(), Error> {
        let done = self.done.fetch_add(count, Ordering::Relaxed) + count;
        let due = done == self.total || done >= self.told.load(Ordering::Relaxed) + REPORT_EVERY;
        // Signals are the main thread's, and so is the callback.
        if !due || thread::current().id() != self.thread {
            return Ok(());
        }
        self.call(done, path)
    }

    /// Tells the caller that all is done, which another thread may have done last.
    fn finish(&self, path: &Path) -> Result<(), Error> {
        if self.told.load(Ordering::Relaxed) == self.total {
            return Ok(());
        }
        self.call(self.total, path)
    }

    fn call(&self, done: u64, path: &Path) -> Result<(), Error> {
        self.told.store(done, Ordering::Relaxed);
        let mut caller = self
            .caller
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if caller.progress(done, self.total).is_break() {
            let path = path.to_owned();
            return Err(SourceError::Cancelled { path }.into());
        }
        Ok(())
    }
}

fn threads() -> NonZeroUsize {
    thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

/// An open file of Python's, to read, with an offset of its own.
fn reading(path: &Path, descriptor: i32) -> Result<File, Error> {
    File::open(format!("/proc/self/fd/{descriptor}"))
        .map_err(|error| Error::unreadable(path, &error))
}

/// An open file of Python's, to write from its beginning.
fn writing(descriptor: i32) -> Result<File, Error> {
    File::options()
        .write(true)
        .open(format!("/proc/self/fd/{descriptor}"))
        .map_err(|error| Error::unwritten(&error))
}

fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
