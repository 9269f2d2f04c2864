//! minisign's public keys.

use super::{LEGACY, Number, UNTRUSTED, base64, bytes, lines};
use crate::{KeyError, KeyId};

/// A public key of minisign: an Ed25519 key and its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    pub(super) number: Number,
    pub(super) key: crate::PublicKey,
}

impl PublicKey {
    /// Reads `minisign.pub`: a comment, and one line of base64.
    ///
    /// # Errors
    /// [`KeyError`]: `malformed`, `point`, `private`, `too_long`, `unknown_algorithm`.
    pub fn from_file(file: &[u8]) -> Result<Self, KeyError> {
        if file.len() > crate::key::LONGEST_FILE {
            return Err(KeyError::TooLong {
                limit: crate::key::LONGEST_FILE,
            });
        }
        let [_, line] = lines(file).map_err(KeyError::malformed)?;
        // A secret key is the same with more bytes, a signature has more lines.
        if bytes::<158>(line).is_ok() {
            return Err(KeyError::Private);
        }
        let content = bytes::<42>(line).map_err(KeyError::malformed)?;
        let [a, b, rest @ ..] = *content;
        if [a, b] != LEGACY {
            return Err(KeyError::UnknownAlgorithm {
                oid: format!("{:?}", String::from_utf8_lossy(&[a, b])),
            });
        }
        let (mut number, mut key) = ([0; 8], [0; 32]);
        number.copy_from_slice(&rest[..8]);
        key.copy_from_slice(&rest[8..]);
        Ok(Self {
            number: Number(number),
            key: crate::PublicKey::from_ed25519(key)?,
        })
    }

    /// `minisign.pub`.
    pub fn to_file(&self) -> String {
        let content = [&LEGACY[..], &self.number.0, self.key.as_bytes()].concat();
        format!(
            "{UNTRUSTED}minisign public key {}\n{}\n",
            self.number,
            base64::encode(&content)
        )
    }

    /// Its name, the same as that of the same key in PEM.
    pub const fn id(&self) -> KeyId {
        self.key.id()
    }

    /// Its number, as minisign prints it.
    pub fn number(&self) -> String {
        self.number.to_string()
    }
}
