//! An envelope whose content is still plaintext.

use zeroize::{Zeroize as _, Zeroizing};

use super::{DataError, MAX_ENVELOPE, MAX_PLAINTEXT};
use crate::{SealError, cipher::TAG_LENGTH};

/// What the plaintext is, which its first byte says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Bytes that nobody will change.
    Bytes,
    /// Bytes that their reader may wipe.
    Buffer,
    /// Text in UTF-8.
    Text,
    /// A value, as [`Item`](super::Item)s.
    Value,
}

impl Kind {
    pub(super) const fn byte(self) -> u8 {
        match self {
            Self::Bytes => 0,
            Self::Buffer => 1,
            Self::Text => 2,
            Self::Value => 3,
        }
    }

    pub(super) fn of(byte: u8) -> Result<Self, DataError> {
        let kinds = [Self::Bytes, Self::Buffer, Self::Text, Self::Value];
        let unknown = DataError::Unsupported {
            what: "kind of content",
            found: byte,
        };
        kinds.get(usize::from(byte)).copied().ok_or(unknown)
    }
}

/// Room for an envelope, and the plaintext in its place there. It is wiped unless it is sealed; where it
/// grows, so is what it leaves.
pub struct Draft {
    pub(super) bytes: Zeroizing<Vec<u8>>,
    /// Where the plaintext begins, with its kind.
    pub(super) start: usize,
}

impl Draft {
    /// Room for `length` bytes behind a header of `start`; it grows.
    pub(super) fn new(start: usize, kind: Kind, length: usize) -> Result<Self, DataError> {
        if length > MAX_PLAINTEXT {
            return Err(DataError::TooLarge);
        }
        let mut bytes = Zeroizing::new(room(start + 1 + length + TAG_LENGTH)?);
        bytes.resize(start, 0);
        bytes.push(kind.byte());
        Ok(Self { bytes, start })
    }

    /// Bytes so far, with the header that is to come.
    #[allow(clippy::len_without_is_empty)] // It always has a header.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Adds plaintext.
    ///
    /// # Errors
    /// [`DataError::TooLarge`].
    pub fn extend(&mut self, plaintext: &[u8]) -> Result<(), DataError> {
        let used = self.bytes.len() - self.start - 1;
        if plaintext.len() > MAX_PLAINTEXT - used {
            return Err(DataError::TooLarge);
        }
        let needed = self.bytes.len() + plaintext.len() + TAG_LENGTH;
        if needed > self.bytes.capacity() {
            let mut larger = room(needed.max(2 * self.bytes.capacity()))?;
            larger.extend_from_slice(&self.bytes);
            self.bytes.zeroize();
            *self.bytes = larger;
        }
        self.bytes.extend_from_slice(plaintext);
        Ok(())
    }
}

/// An empty vector with room for `length` bytes, or the error that there is no memory.
pub(super) fn room(length: usize) -> Result<Vec<u8>, DataError> {
    let mut bytes = Vec::new();
    bytes
        .try_reserve_exact(length)
        .map_err(|_| DataError::Seal(SealError::NoMemory { what: "a record" }))?;
    Ok(bytes)
}

/// A copy of an envelope, to decrypt it there.
///
/// # Errors
/// [`DataError`]: `too_large`, `seal.no_memory`.
pub fn copied(envelope: &[u8]) -> Result<Vec<u8>, DataError> {
    if envelope.len() > MAX_ENVELOPE {
        return Err(DataError::TooLarge);
    }
    let mut bytes = room(envelope.len())?;
    bytes.extend_from_slice(envelope);
    Ok(bytes)
}

impl std::fmt::Debug for Draft {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Draft({} bytes)", self.bytes.len())
    }
}
