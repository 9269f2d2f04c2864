//! What a verification needs, and what it found.

use std::fmt;

use crate::{Algorithm, Digest, KeyId};

/// What one pass over the bytes has to yield before a signature can be held to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Their digest.
    Digest(Algorithm),
    /// The bytes themselves, all at once.
    Whole,
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Digest(algorithm) => fmt::Display::fmt(algorithm, f),
            Self::Whole => f.write_str("the bytes themselves"),
        }
    }
}

/// What one pass over the bytes yielded.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// Their digests; at least one, which names them.
    pub digests: &'a [Digest],
    /// The bytes themselves, where they are kept.
    pub whole: Option<&'a [u8]>,
}

/// What a verification found: to be shown, and to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// Who signed.
    pub key: KeyId,
    /// What was signed: the digest that the signature is over, or one that names the bytes.
    pub digest: Digest,
    /// How, as in `ECDSA on P-256 over sha256`.
    pub how: String,
    /// When, in seconds since 1970, where the signature says so and signs that too.
    pub signed_at: Option<u64>,
    /// What else the signer says, where that is signed too.
    pub comment: Option<String>,
    /// By which rule that counts.
    pub rule: &'static str,
}
