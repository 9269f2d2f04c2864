//! Passphrases of private keys, which are wiped where they came from.

use std::path::PathBuf;

use pyo3::{
    prelude::*,
    types::{PyByteArray, PyBytes, PySlice},
};
use strongroom_memory::Source;
use zeroize::Zeroizing;

use crate::errors::Error;

/// Bytes of the longest passphrase.
const LONGEST_PASSPHRASE: usize = 1024;

/// A passphrase, or the file that it is the one line of.
pub(crate) enum Passphrase {
    None,
    Bytes(Zeroizing<Vec<u8>>),
    File(PathBuf),
}

impl Passphrase {
    /// Takes it out of a bytearray, which is wiped.
    pub(crate) fn take(
        passphrase: Option<&Bound<'_, PyByteArray>>,
        file: Option<PathBuf>,
    ) -> Result<Self, Error> {
        let bytes = passphrase
            .map(|bytearray| {
                let bytes = Zeroizing::new(bytearray.to_vec());
                let py = bytearray.py();
                // In place: a slice of the same length keeps the buffer.
                bytearray.set_item(PySlice::full(py), PyBytes::new(py, &vec![0; bytes.len()]))?;
                Ok::<_, PyErr>(bytes)
            })
            .transpose()?;
        match (bytes, file) {
            (None, None) => Ok(Self::None),
            (Some(bytes), None) if !bytes.is_empty() && bytes.len() <= LONGEST_PASSPHRASE => {
                Ok(Self::Bytes(bytes))
            }
            (None, Some(file)) => Ok(Self::File(file)),
            (Some(_), Some(_)) => Err(Error::option(
                "passphrase_file",
                "can't be given with a passphrase",
            )),
            (Some(_), None) => Err(Self::refused()),
        }
    }

    /// The bytes of it, if there is one.
    pub(crate) fn read(self) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
        match self {
            Self::None => Ok(None),
            Self::Bytes(bytes) => Ok(Some(bytes)),
            Self::File(path) => {
                let mut bytes = Zeroizing::new(Source::read_small(&path, LONGEST_PASSPHRASE)?);
                for end in [b'\n', b'\r'] {
                    if bytes.last() == Some(&end) {
                        bytes.pop();
                    }
                }
                if bytes.is_empty() || bytes.len() > LONGEST_PASSPHRASE || bytes.contains(&b'\n') {
                    return Err(Self::refused().in_file(&path));
                }
                Ok(Some(bytes))
            }
        }
    }

    fn refused() -> Error {
        Error::option("passphrase", "is not one line of 1 to 1024 bytes")
    }
}
