//! Why a signature is refused.

use crate::{
    Algorithm,
    key::{KeyId, Kind, Scheme},
};

/// Every code of [`SignatureError`].
pub const CODES: &[&str] = &[
    "signature.format",
    "signature.hash",
    "signature.incomplete",
    "signature.invalid",
    "signature.malformed",
    "signature.other_key",
    "signature.scheme",
    "signature.too_long",
    "signature.trusted_comment",
    "signature.unsigned",
];

/// A signature that can't be read, or that isn't one of these bytes by this key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// The signature and the key are of different formats.
    #[error("it is {signature}, but the key is {key}")]
    Format {
        /// What the signature is.
        signature: &'static str,
        /// What the key is.
        key: &'static str,
    },
    /// No signature of such a key is over such a digest.
    #[error("a signature by a key of {kind} is not over {hash}")]
    Hash {
        /// What the key is.
        kind: Kind,
        /// What was asked for.
        hash: Algorithm,
    },
    /// The pass over the bytes didn't yield what the signature needs.
    #[error("the bytes were not read as the signature needs it: {missing} is missing")]
    Incomplete {
        /// What is missing.
        missing: String,
    },
    /// The mathematics say no: another file, another key, another algorithm, or a broken signature.
    #[error("the signature is not one of these bytes by the key {key} with {scheme}")]
    Invalid {
        /// Whose it was to be.
        key: KeyId,
        /// How it was to be made.
        scheme: Scheme,
    },
    /// Not what a signature by such a key looks like.
    #[error("the signature is malformed: {reason}")]
    Malformed {
        /// What is wrong.
        reason: String,
    },
    /// The signature names another key than the one that is trusted.
    #[error("the signature was made with the minisign key {found}, not with {expected}")]
    OtherKey {
        /// The trusted key's number.
        expected: String,
        /// The signature's.
        found: String,
    },
    /// The key is of another algorithm.
    #[error("a key of {kind} makes no signature with {scheme}")]
    Scheme {
        /// What the key is.
        kind: Kind,
        /// What was asked for.
        scheme: Scheme,
    },
    /// Longer than any signature.
    #[error("it has more than {limit} bytes, which no signature needs")]
    TooLong {
        /// What is read at most.
        limit: usize,
    },
    /// The trusted comment isn't the one that was signed.
    #[error("the trusted comment is not the one that was signed with the key {key}")]
    TrustedComment {
        /// Whose it was to be.
        key: KeyId,
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
            Self::Format { .. } => "signature.format",
            Self::Hash { .. } => "signature.hash",
            Self::Incomplete { .. } => "signature.incomplete",
            Self::Invalid { .. } => "signature.invalid",
            Self::Malformed { .. } => "signature.malformed",
            Self::OtherKey { .. } => "signature.other_key",
            Self::Scheme { .. } => "signature.scheme",
            Self::TooLong { .. } => "signature.too_long",
            Self::TrustedComment { .. } => "signature.trusted_comment",
            Self::Unsigned { .. } => "signature.unsigned",
        }
    }

    /// What the caller can do about it.
    pub const fn next_step(&self) -> &'static str {
        match self {
            Self::Format { .. } => {
                "give a PEM key with a detached signature, and minisign's key with minisign's"
            }
            Self::Hash { .. } => {
                "name a hash only with a key of ECDSA or RSA: sha256, sha384 or sha512; to sign, \
                 P-256 takes sha256 and P-384 sha384"
            }
            Self::Incomplete { .. } => {
                "sign it over a digest: of a model in parts the bytes of a part are not kept as they are"
            }
            Self::Invalid { .. } => {
                "get the file, its signature and the public key again from the publisher; where the \
                 signature is over another hash, name that"
            }
            Self::Malformed { .. } | Self::TooLong { .. } => {
                "give the signature as it was made, its bytes or their base64, or minisign's file"
            }
            Self::OtherKey { .. } => {
                "give the public key of the one who signed, if that is whom you trust"
            }
            Self::Scheme { .. } => "give the key that the signature was made with",
            Self::TrustedComment { .. } => {
                "get the signature again: somebody changed what it says about itself"
            }
            Self::Unsigned { .. } => "try again, or make a new key",
        }
    }

    pub(crate) fn malformed(reason: impl Into<String>) -> Self {
        Self::Malformed {
            reason: reason.into(),
        }
    }
}
