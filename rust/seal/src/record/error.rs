//! Why a record can't be encrypted or decrypted.

use strongroom_memory::ArenaError;

use super::{MAX_PLAINTEXT, key::KeyName};
use crate::SealError;

/// Every code of [`DataError`], but for those of [`SealError`].
pub const CODES: &[&str] = &[
    "data.authentication",
    "data.context",
    "data.forked",
    "data.keyring",
    "data.malformed",
    "data.not_envelope",
    "data.purpose",
    "data.too_large",
    "data.truncated",
    "data.unknown_key",
    "data.unsupported",
];

/// Why a record can't be encrypted or decrypted. None holds a key, plaintext, or a value of a context.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// Another key, context or purpose, or a change of any byte: which of them, nobody is told.
    #[error(
        "it can't be opened: the key, the context or the purpose is another one, or it was changed"
    )]
    Authentication,
    /// The context can't be used.
    #[error("the context can't be used: {reason}")]
    Context {
        /// What is wrong with it.
        reason: String,
    },
    /// The keys are in the memory of the process that this one was forked from.
    #[error("the cipher's keys are of the process that this one was forked from")]
    Forked,
    /// A keyring that can't be used.
    #[error("the keyring can't be used: {reason}")]
    Keyring {
        /// What is wrong with it.
        reason: String,
    },
    /// An envelope, or what was in one, that contradicts the format.
    #[error("it is no well-formed envelope: {reason}")]
    Malformed {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Something else than an envelope.
    #[error("it is no envelope of a data cipher")]
    NotEnvelope,
    /// A purpose that can't be used.
    #[error("the purpose can't be used: {reason}")]
    Purpose {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The kernel's keyrings, a file or a variable give no key, or the system no random numbers or memory.
    #[error(transparent)]
    Seal(SealError),
    /// More than a record may have.
    #[error("a record has at most {MAX_PLAINTEXT} bytes, and this one more")]
    TooLarge,
    /// The envelope ends too soon.
    #[error("the envelope is not whole: it ends in {place}")]
    Truncated {
        /// Where it ends.
        place: &'static str,
    },
    /// No key of the keyring is the one that it names.
    #[error("it is encrypted under the key {wanted}; the keyring has {given}")]
    UnknownKey {
        /// The one that would open it.
        wanted: KeyName,
        /// Those that there are.
        given: String,
    },
    /// A version, an algorithm or a kind of content that isn't known here.
    #[error("the envelope has the {what} {found}, which is not known here")]
    Unsupported {
        /// What is not known.
        what: &'static str,
        /// Its number.
        found: u8,
    },
}

impl DataError {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Authentication => "data.authentication",
            Self::Context { .. } => "data.context",
            Self::Forked => "data.forked",
            Self::Keyring { .. } => "data.keyring",
            Self::Malformed { .. } => "data.malformed",
            Self::NotEnvelope => "data.not_envelope",
            Self::Purpose { .. } => "data.purpose",
            Self::Seal(error) => error.code(),
            Self::TooLarge => "data.too_large",
            Self::Truncated { .. } => "data.truncated",
            Self::UnknownKey { .. } => "data.unknown_key",
            Self::Unsupported { .. } => "data.unsupported",
        }
    }

    /// What the caller can do about it.
    pub const fn next_step(&self) -> &'static str {
        match self {
            Self::Authentication => {
                "give the context and the purpose that it was encrypted with; if they are, the record \
                 is not what was stored: restore it from a copy"
            }
            Self::Context { .. } => {
                "give a mapping of text to text with `tenant` and `record`, of at most 64 KiB"
            }
            Self::Forked => {
                "make a DataCipher in the child process, or start children with `spawn`"
            }
            Self::Keyring { .. } => {
                "give 1 to 64 keys, each with an id and a version that no other has; the first one writes"
            }
            Self::Malformed { .. } | Self::Truncated { .. } => "restore the record from a copy",
            Self::NotEnvelope => "give what `encrypt` returned, whole and as bytes",
            Self::Purpose { .. } => "give a word of 1 to 255 bytes, such as `data`",
            Self::Seal(error) => error.next_step(),
            Self::TooLarge => "cut it into several records, or encrypt it as a file",
            Self::UnknownKey { .. } => "add that key to the keyring, behind the first one",
            Self::Unsupported { .. } => "update Strongroom: something newer wrote it",
        }
    }
}

impl From<SealError> for DataError {
    fn from(error: SealError) -> Self {
        match error {
            SealError::Authentication => Self::Authentication,
            SealError::Memory(ArenaError::Forked { .. }) => Self::Forked,
            other => Self::Seal(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_are_those_of_the_errors() {
        let reason = "it is odd";
        let errors = [
            DataError::Authentication,
            DataError::Context {
                reason: reason.to_owned(),
            },
            DataError::Forked,
            DataError::Keyring {
                reason: reason.to_owned(),
            },
            DataError::Malformed { reason },
            DataError::NotEnvelope,
            DataError::Purpose { reason },
            DataError::TooLarge,
            DataError::Truncated { place: "its salt" },
            DataError::UnknownKey {
                wanted: KeyName::new("a", 1).expect("a name"),
                given: "b version 1".to_owned(),
            },
            DataError::Unsupported {
                what: "version",
                found: 9,
            },
        ];
        assert_eq!(errors.each_ref().map(DataError::code), CODES);
        assert!(CODES.is_sorted());
        for error in errors {
            assert_ne!(error.to_string(), error.next_step());
        }
        assert_eq!(DataError::from(SealError::Random).code(), "seal.random");
    }
}
