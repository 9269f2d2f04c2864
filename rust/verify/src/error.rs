//! Why a digest is refused.

use crate::{Algorithm, Digest};

/// Every code of [`VerifyError`].
pub const CODES: &[&str] = &[
    "checksum.malformed",
    "checksum.mismatch",
    "checksum.unknown_algorithm",
];

/// A checksum that can't be read, or that doesn't match.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The text isn't `algorithm:hex`.
    #[error("the checksum is malformed: {reason}")]
    Malformed {
        /// What is wrong with it.
        reason: String,
    },
    /// The part before the colon names no algorithm that is offered.
    #[error("the checksum names the unknown algorithm {name:?}")]
    UnknownAlgorithm {
        /// As given, cut to a few characters.
        name: String,
    },
    /// The bytes have another digest.
    #[error("the checksum does not match: expected {expected}, found {found}")]
    Mismatch {
        /// What the caller trusts.
        expected: Box<Digest>,
        /// What the bytes have.
        found: Box<Digest>,
    },
}

impl VerifyError {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "checksum.malformed",
            Self::UnknownAlgorithm { .. } => "checksum.unknown_algorithm",
            Self::Mismatch { .. } => "checksum.mismatch",
        }
    }

    /// What the caller can do about it.
    pub fn next_step(&self) -> String {
        match self {
            Self::Malformed { .. } | Self::UnknownAlgorithm { .. } => format!(
                "give one of {} and hexadecimal digits, as in sha256:9f86d0…",
                Algorithm::SHA2
                    .map(|algorithm| format!("{algorithm}:"))
                    .join(", ")
            ),
            Self::Mismatch { .. } => "the file is not the one that the checksum was made of: \
                 get it again from its publisher, and compare the publisher's checksum"
                .to_owned(),
        }
    }
}
