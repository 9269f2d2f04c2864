//! Sealing models: out of images, and out of what is sealed already.

use std::{
    collections::BTreeMap,
    io::Write as _,
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use pyo3::prelude::*;
use strongroom_memory::SourceError;
use strongroom_seal::{EncryptionContext, Writer};

use super::{
    hexadecimal,
    opening::{Expected, open},
    writing,
};
use crate::{
    detach::{self, Caller},
    errors::Error,
    image::Image,
    keyring::Keyring,
    signature,
    watch::{Watch, cores},
};

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
        seal(image, descriptor, keyrings, context, caller)
    })
}

/// Opens a sealed file and seals the model anew into an open, empty one, under a data key of its own
/// and the new keyrings, with what is `added` to its context; returns the new message's id.
#[pyfunction]
#[pyo3(signature = (path, descriptor, output, *, keyrings, new_keyrings, message_id, expected, added, progress=None))]
pub(crate) fn reseal(
    py: Python<'_>,
    path: PathBuf,
    descriptor: i32,
    output: i32,
    keyrings: Vec<Py<Keyring>>,
    new_keyrings: Vec<Py<Keyring>>,
    message_id: String,
    expected: Expected,
    added: BTreeMap<String, String>,
    progress: Option<Py<PyAny>>,
) -> Result<String, Error> {
    let keyrings: Vec<Keyring> = Keyring::taken(&keyrings);
    let new = Keyring::taken(&new_keyrings);
    detach::interruptible(py, progress, |caller| {
        let sealed = open(&path, descriptor, &keyrings, &message_id, expected, caller)?;
        let mut frame = 0;
        let mut scratch = sealed.scratch()?;
        // Bytes of the frame that the scratch holds which were given on.
        let mut given = 0;
        let (mut done, total) = (0, sealed.length());
        let mut context = sealed.context().clone();
        for (key, value) in added {
            context.insert(key, value)?;
        }
        let writer = writer(new, context, &path, caller)?.expect_length(total);
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

fn seal(
    image: &strongroom_memory::Image,
    descriptor: i32,
    keyrings: Vec<Keyring>,
    context: EncryptionContext,
    caller: &mut Caller,
) -> Result<String, Error> {
    let path = Path::new("the image");
    let bytes = image
        .map()
        .map_err(|error| signature::unmapped(path, error))?;
    let total = bytes.len() as u64;
    let mut output = writing(descriptor)?;
    let writer = writer(keyrings, context, path, caller)?.expect_length(total);
    let id = hexadecimal(writer.header().message_id());
    let watch = Watch::new(caller, total);
    let mut rest = &bytes[..];
    writer.seal::<Error>(
        cores(),
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

/// A message that is to be written. Its keys are wrapped in a thread of its own, as they are unwrapped.
fn writer(
    keyrings: Vec<Keyring>,
    context: EncryptionContext,
    path: &Path,
    caller: &mut Caller,
) -> Result<Writer, Error> {
    Ok(caller.leave_to(path, move || {
        Writer::new(&Keyring::all(&keyrings), &context)
    })??)
}
