//! Sealed models, in files that Python has opened.

mod opening;
mod sealing;

use std::{
    collections::BTreeMap,
    fs::File,
    path::{Path, PathBuf},
};

use pyo3::prelude::*;
use strongroom_seal::Header;

pub(crate) use self::{
    opening::{Expected, Unsealing, each_frame, export_sealed, verify_sealed},
    sealing::{reseal, seal_image},
};
use crate::{detach, errors::Error, keyring::pairs};

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
