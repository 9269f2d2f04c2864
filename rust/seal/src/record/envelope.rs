//! The envelope: what stands before the ciphertext, read and written.

use super::{
    DataError, MAX_PLAINTEXT,
    key::{KeyName, MAX_ID, is_id},
    subkey::SALT_LENGTH,
};
use crate::cipher::{IV_LENGTH, TAG_LENGTH};

/// The version that is written and read.
pub const VERSION: u8 = 1;
/// The first bytes of every version's envelopes.
const MAGIC: [u8; 4] = *b"SRDE";
/// AES-256-GCM under a key of HKDF-SHA-512.
const ALGORITHM: u8 = 1;
/// Bytes before the id: magic, version, algorithm, the id's length.
const BEFORE_ID: usize = MAGIC.len() + 3;
/// Bytes from the id's end to the ciphertext: version of the key, salt, nonce.
const BEHIND_ID: usize = 4 + SALT_LENGTH + IV_LENGTH;
/// Most bytes of an envelope; the plaintext's first one says what it is.
pub const MAX_ENVELOPE: usize = BEFORE_ID + MAX_ID + BEHIND_ID + 1 + MAX_PLAINTEXT + TAG_LENGTH;

/// An envelope as everybody can read it. Nothing of it is authenticated.
#[derive(Debug, Clone)]
pub struct Envelope {
    /// Which key it says that it is under.
    pub key: KeyName,
    pub(super) salt: [u8; SALT_LENGTH],
    pub(super) nonce: [u8; IV_LENGTH],
    /// Where the ciphertext begins.
    pub(super) start: usize,
}

impl Envelope {
    /// Reads what stands before the ciphertext.
    ///
    /// # Errors
    /// [`DataError`]: `not_envelope`, `unsupported`, `malformed`, `truncated`, `too_large`.
    pub fn parse(bytes: &[u8]) -> Result<Self, DataError> {
        let known = bytes.len().min(MAGIC.len());
        if bytes[..known] != MAGIC[..known] || bytes.is_empty() {
            return Err(DataError::NotEnvelope);
        }
        if bytes.len() > MAX_ENVELOPE {
            return Err(DataError::TooLarge);
        }
        let mut rest = Rest(&bytes[known..]);
        if known < MAGIC.len() {
            return Err(DataError::Truncated { place: "its mark" });
        }
        let [version] = rest.take("its version")?;
        if version != VERSION {
            return Err(DataError::Unsupported {
                what: "version",
                found: version,
            });
        }
        let [algorithm] = rest.take("its algorithm")?;
        if algorithm != ALGORITHM {
            return Err(DataError::Unsupported {
                what: "algorithm",
                found: algorithm,
            });
        }
        let [length] = rest.take("its key's id")?;
        let id = rest.split(usize::from(length), "its key's id")?;
        if !is_id(id) {
            return Err(DataError::Malformed {
                reason: "its key's id hasn't 1 to 64 visible ASCII characters",
            });
        }
        let id = String::from_utf8_lossy(id).into_owned();
        let version = u32::from_be_bytes(rest.take("its key's version")?);
        let key = KeyName::new(id, version)?;
        let salt = rest.take("its salt")?;
        let nonce = rest.take("its nonce")?;
        // The plaintext has a byte at least.
        if rest.0.len() < 1 + TAG_LENGTH {
            return Err(DataError::Truncated {
                place: "its ciphertext",
            });
        }
        Ok(Self {
            key,
            salt,
            nonce,
            start: bytes.len() - rest.0.len(),
        })
    }
}

/// Bytes before the ciphertext of an envelope under that key.
pub(super) fn header_length(key: &KeyName) -> usize {
    BEFORE_ID + key.id().len() + BEHIND_ID
}

/// Writes what stands before the ciphertext to the beginning of `room`, which is as long as that.
pub(super) fn write_header(
    room: &mut [u8],
    key: &KeyName,
    salt: &[u8; SALT_LENGTH],
    nonce: &[u8; IV_LENGTH],
) {
    #[allow(clippy::cast_possible_truncation)] // At most `MAX_ID`.
    let mark = [VERSION, ALGORITHM, key.id().len() as u8];
    let fields: [&[u8]; 6] = [
        &MAGIC,
        &mark,
        key.id().as_bytes(),
        &key.version().to_be_bytes(),
        salt,
        nonce,
    ];
    let mut room = room;
    for field in fields {
        let (here, behind) = room.split_at_mut(field.len());
        here.copy_from_slice(field);
        room = behind;
    }
}

/// What is still to be read.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn split(&mut self, length: usize, place: &'static str) -> Result<&'a [u8], DataError> {
        let (now, later) = self
            .0
            .split_at_checked(length)
            .ok_or(DataError::Truncated { place })?;
        self.0 = later;
        Ok(now)
    }

    fn take<const N: usize>(&mut self, place: &'static str) -> Result<[u8; N], DataError> {
        let (now, later) = self
            .0
            .split_first_chunk()
            .ok_or(DataError::Truncated { place })?;
        self.0 = later;
        Ok(*now)
    }
}
