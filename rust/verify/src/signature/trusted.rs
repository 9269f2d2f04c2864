//! The key that a caller trusts, and a signature that is to be by it.

use super::{
    Evidence, Need, Seen, SignatureError,
    detached::Detached,
    minisign::{self, Minisign},
};
use crate::{Algorithm, KeyError, KeyId, PublicKey};

/// Bytes of the longest signature file that is read; a trusted comment of minisign takes up to 8 KiB.
pub const LONGEST_FILE: usize = 16 << 10;

/// A public key that a caller trusts, in either format.
#[derive(Debug, Clone)]
pub enum TrustedKey {
    /// Of a PEM file.
    Pem(PublicKey),
    /// Of minisign.
    Minisign(minisign::PublicKey),
}

impl TrustedKey {
    /// Reads a key file: minisign's where it begins with its comment, else PEM.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn from_file(file: &[u8]) -> Result<Self, KeyError> {
        if minisign::begins(file) {
            minisign::PublicKey::from_file(file).map(Self::Minisign)
        } else {
            PublicKey::from_pem(file).map(Self::Pem)
        }
    }

    /// Its name.
    pub const fn id(&self) -> KeyId {
        match self {
            Self::Pem(key) => key.id(),
            Self::Minisign(key) => key.id(),
        }
    }

    /// What a signature's file is called, behind the name of the file that it is of.
    pub const fn suffix(&self) -> &'static str {
        match self {
            Self::Pem(_) => ".sig",
            Self::Minisign(_) => ".minisig",
        }
    }

    /// Reads the file of a signature that is to be by this key. `hash` is what a detached signature
    /// by ECDSA or RSA is over; without it, that follows the [rule](crate::key::Kind::hash).
    ///
    /// # Errors
    /// [`SignatureError`]: all but `incomplete`, `scheme` and `unsigned`; `invalid` isn't known yet.
    pub fn signature(
        &self,
        file: &[u8],
        hash: Option<Algorithm>,
    ) -> Result<Signature, SignatureError> {
        if file.len() > LONGEST_FILE {
            return Err(SignatureError::TooLong {
                limit: LONGEST_FILE,
            });
        }
        match (self, minisign::begins(file)) {
            (Self::Pem(key), false) => Detached::read(key, file, hash).map(Form::Detached),
            (Self::Minisign(key), true) => Minisign::read(key, file, hash).map(Form::Minisign),
            (Self::Pem(_), true) => Err(SignatureError::Format {
                signature: "a signature of minisign",
                key: "a PEM key",
            }),
            (Self::Minisign(_), false) => Err(SignatureError::Format {
                signature: "no signature of minisign",
                key: "minisign's",
            }),
        }
        .map(Signature)
    }
}

/// A signature that was read, and that is still to be held to the bytes.
#[derive(Debug, Clone)]
pub struct Signature(Form);

#[derive(Debug, Clone)]
enum Form {
    Detached(Detached),
    Minisign(Minisign),
}

impl Signature {
    /// What it needs to be held to.
    pub const fn need(&self) -> Need {
        match &self.0 {
            Form::Detached(signature) => signature.need(),
            Form::Minisign(signature) => signature.need(),
        }
    }

    /// Holds it to what was seen of the bytes.
    ///
    /// # Errors
    /// [`SignatureError`]: `invalid`, and `incomplete` where `seen` lacks its [need](Self::need).
    pub fn verify(&self, seen: &Seen<'_>) -> Result<Evidence, SignatureError> {
        match &self.0 {
            Form::Detached(signature) => signature.verify(seen),
            Form::Minisign(signature) => signature.verify(seen),
        }
    }
}
