//! Names of keys.

use std::fmt;

use crate::{Algorithm, Digest, Hasher};

/// A key's name: the SHA-256 of its `SubjectPublicKeyInfo` in DER, written `sha256:` and
/// hexadecimal digits. A private key has its public key's.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct KeyId(Digest);

impl KeyId {
    /// The name of the key with this encoding.
    pub(crate) fn of(spki: &[u8]) -> Self {
        Self(Hasher::digest(Algorithm::Sha256, spki))
    }

    /// The digest that it is.
    pub const fn digest(&self) -> Digest {
        self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
