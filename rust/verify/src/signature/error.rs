//! Why a signature is refused.

use crate::{
    Algorithm,
    key::{KeyId, Kind, Scheme},
};

/// Every code of [`SignatureError`].
pub const CODES: &[&str] = &[
    "signature.hash",
    "signature.invalid",
    "signature.scheme",
    "signature.unsigned",
];

/// A signature that can't be read, or that isn't one of these bytes by this key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// No signature of such a key is over such a digest.
    #[error("a signature by a key of {kind} is not over {hash}")]
    Hash {
        /// What the key is.
        kind: Kind,
        /// What was asked for.
        hash: Algorithm,
    },
    /// The mathematics say no: another file, another key, another algorithm, or a broken signature.
    #[error("the signature is not one of these bytes by the key {key} with {scheme}")]
    Invalid {
        /// Whose it was to be.
        key: KeyId,
        /// How it was to be made.
        scheme: Scheme,
    },
    /// The key is of another algorithm.
    #[error("a key of {kind} makes no signature with {scheme}")]
    Scheme {
        /// What the key is.
        kind: Kind,
        /// What was asked for.
        scheme: Scheme,
    },
    /// The library made no signature.
    #[error("nothing could be signed with the key {key}")]
    Unsigned {
        /// With which key.
        key: KeyId,
    },
}

impl SignatureError {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Hash { .. } => "signature.hash",
            Self::Invalid { .. } => "signature.invalid",
            Self::Scheme { .. } => "signature.scheme",
            Self::Unsigned { .. } => "signature.unsigned",
        }
    }

    /// What the caller can do about it.
    pub const fn next_step(&self) -> &'static str {
        match self {
            Self::Hash { .. } => {
                "name sha256, sha384 or sha512 with a key of ECDSA or RSA, and no hash with others"
            }
            Self::Invalid { .. } => {
                "get the file, its signature and the public key again from the publisher; where the \
                 signature is over another hash, name that"
            }
            Self::Scheme { .. } => "give the key that the signature was made with",
            Self::Unsigned { .. } => "try again, or make a new key",
        }
    }
}
