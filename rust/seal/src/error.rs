//! Why a model can't be sealed or opened.

use std::{io, path::PathBuf};

use strongroom_memory::ArenaError;

/// Every code of [`SealError`].
pub const CODES: &[&str] = &[
    "seal.authentication",
    "seal.cancelled",
    "seal.changed",
    "seal.context",
    "seal.context_invalid",
    "seal.cost",
    "seal.io",
    "seal.kernel_key",
    "seal.key_file",
    "seal.key_malformed",
    "seal.key_name",
    "seal.key_permissions",
    "seal.length",
    "seal.limit",
    "seal.malformed",
    "seal.no_key",
    "seal.no_memory",
    "seal.not_sealed",
    "seal.passphrase",
    "seal.random",
    "seal.service",
    "seal.truncated",
    "seal.unsupported",
];

/// Why a model can't be sealed or opened. None holds a key, a passphrase or plaintext; names out
/// of a file are shown escaped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// A wrong key or passphrase, or a change of any byte: which of them, nobody is told.
    #[error("it can't be opened: the key or the passphrase is another one, or it was changed")]
    Authentication,
    /// The caller asked for the end.
    #[error("it was cancelled")]
    Cancelled,
    /// A keyring was told to stop: by an interrupt, say, which its caller wants back.
    #[error("a key service was interrupted: {0}")]
    Interrupted(Box<dyn std::error::Error + Send + Sync>),
    /// The file became shorter while it was read.
    #[error("the file changed while it was read")]
    Changed,
    /// It was sealed as something else than what was expected.
    #[error("it was sealed with {found} in its context, not {expected}")]
    Context {
        /// The pair that the caller expects.
        expected: String,
        /// What there is.
        found: String,
    },
    /// The context can't be written.
    #[error("the encryption context can't be used: {reason}")]
    ContextInvalid {
        /// What is wrong with it.
        reason: String,
    },
    /// Deriving a key from the passphrase would cost too much, or too little.
    #[error("the passphrase's key derivation can't be used: {reason}")]
    Cost {
        /// What is wrong with it.
        reason: String,
    },
    /// The system refused something.
    #[error("can't {action}: {error}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The kernel's answer.
        error: io::Error,
    },
    /// The file of a key can't be read.
    #[error("no key can be read from {path:?}: {reason}")]
    KeyFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The kernel's keyrings don't give a key.
    #[error("the kernel gives no key {description:?}: {reason}")]
    KernelKey {
        /// What it is called there.
        description: String,
        /// Why.
        reason: String,
    },
    /// What should be a key isn't one.
    #[error("{what} is not a key: {reason}")]
    KeyMalformed {
        /// Where it comes from.
        what: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A namespace or a name of a key that can't be used.
    #[error("a key can't have the {what} that was given: {reason}")]
    KeyName {
        /// `namespace` or `name`.
        what: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Others could read the file of a key, or have written it.
    #[error("the key in {path:?} can't be trusted to be secret: {reason}")]
    KeyPermissions {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The plaintext is longer or shorter than was said.
    #[error("{found} bytes were to be sealed, not the {expected} that were announced")]
    Length {
        /// What the caller announced.
        expected: u64,
        /// What came; one more than `expected` where there was more.
        found: u64,
    },
    /// More than this reader takes, or the format allows.
    #[error("{what} has more than the {limit} that are allowed")]
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// The limit, with its unit.
        limit: String,
    },
    /// There is no memory that keys may lie in.
    #[error(transparent)]
    Memory(#[from] ArenaError),
    /// The message contradicts its format.
    #[error("it is no well-formed encrypted model: {reason}")]
    Malformed {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// None of the keys that were given is one that it was sealed for.
    #[error("it was sealed for {wanted}; {given}")]
    NoKey {
        /// Ids of the keys that would open it.
        wanted: String,
        /// Ids of the keys that were given.
        given: String,
    },
    /// The system has no memory for what has to be held at once.
    #[error("there is no memory for {what}")]
    NoMemory {
        /// What it is for.
        what: &'static str,
    },
    /// It isn't an encrypted model.
    #[error("it is not an encrypted model")]
    NotSealed,
    /// A passphrase that is none.
    #[error("the passphrase can't be used: {reason}")]
    Passphrase {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The kernel gives no random numbers.
    #[error("the system gives no random numbers")]
    Random,
    /// A service that has a key refused, or can't be reached.
    #[error("the key service {service} failed: {reason}")]
    Service {
        /// What it is called.
        service: String,
        /// What it answered.
        reason: String,
    },
    /// The file ends before the message does.
    #[error("it is not whole: it ends in {place}")]
    Truncated {
        /// Where it ends.
        place: &'static str,
    },
    /// A message of the same family that isn't read.
    #[error("it is encrypted in a way that is not read: {what}")]
    Unsupported {
        /// What is not read.
        what: String,
    },
}

impl SealError {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Authentication => "seal.authentication",
            Self::Cancelled | Self::Interrupted(_) => "seal.cancelled",
            Self::Changed => "seal.changed",
            Self::Context { .. } => "seal.context",
            Self::ContextInvalid { .. } => "seal.context_invalid",
            Self::Cost { .. } => "seal.cost",
            Self::Io { .. } => "seal.io",
            Self::KernelKey { .. } => "seal.kernel_key",
            Self::KeyFile { .. } => "seal.key_file",
            Self::KeyMalformed { .. } => "seal.key_malformed",
            Self::KeyName { .. } => "seal.key_name",
            Self::KeyPermissions { .. } => "seal.key_permissions",
            Self::Length { .. } => "seal.length",
            Self::Limit { .. } => "seal.limit",
            Self::Memory(error) => error.code(),
            Self::Malformed { .. } => "seal.malformed",
            Self::NoKey { .. } => "seal.no_key",
            Self::NoMemory { .. } => "seal.no_memory",
            Self::NotSealed => "seal.not_sealed",
            Self::Passphrase { .. } => "seal.passphrase",
            Self::Random => "seal.random",
            Self::Service { .. } => "seal.service",
            Self::Truncated { .. } => "seal.truncated",
            Self::Unsupported { .. } => "seal.unsupported",
        }
    }

    /// What the caller can do about it.
    pub const fn next_step(&self) -> &'static str {
        match self {
            Self::Authentication => {
                "give the key or passphrase that it was sealed with; if that is the one, the file \
                 is not what was sealed: get it again"
            }
            Self::Cancelled | Self::Interrupted(_) => "start again when it should go on",
            Self::Changed => "let nobody write to the file while it is read, then try again",
            Self::Context { .. } => "name the model that was meant; this one is another",
            Self::ContextInvalid { .. } => "correct the encryption context",
            Self::Cost { .. } => {
                "give 8 MiB to 1 GiB of memory and 1 to 16 passes, 4 GiB together; a file that demands more was \
                 made to harm"
            }
            Self::Io { .. } => "check the file, the disk and the limits of this process",
            Self::KeyFile { .. } | Self::KeyMalformed { .. } => {
                "give 32 random bytes, or 64 hexadecimal digits, as `openssl rand -hex 32` prints"
            }
            Self::KernelKey { .. } => {
                "put the key there: `keyctl padd user DESCRIPTION @u < FILE`, in this session"
            }
            Self::KeyName { .. } => "give a name of printable characters",
            Self::KeyPermissions { .. } => {
                "let nobody but this user read it: chmod 600; if others could, make another key"
            }
            Self::Length { .. } => "seal it again once nobody writes to it",
            Self::Limit { .. } => "a model is not sealed so: get it again from who made it",
            Self::Malformed { .. } | Self::Truncated { .. } => {
                "get the file again from who sealed it"
            }
            Self::Memory(error) => error.next_step(),
            Self::NoKey { .. } => "give one of the keys that it was sealed for",
            Self::NoMemory { .. } => "free memory, or raise the limits of this process",
            Self::NotSealed => "load it as a plain model, or name the file that was sealed",
            Self::Passphrase { .. } => "give a passphrase",
            Self::Random => "try again once the system is up",
            Self::Service { .. } => {
                "see to the service, its address and this program's rights there"
            }
            Self::Unsupported { .. } => {
                "seal it with the suite AES_256_GCM_HKDF_SHA512_COMMIT_KEY (0x0478), framed"
            }
        }
    }

    /// The kernel's refusal of `action`.
    pub(crate) fn io(action: &'static str, error: impl Into<io::Error>) -> Self {
        Self::Io {
            action,
            error: error.into(),
        }
    }
}

/// Text of a file, for a message: on one line and not long.
pub(crate) fn shown(text: &str) -> String {
    let mut shown: String = text
        .chars()
        .take(100)
        .flat_map(char::escape_debug)
        .collect();
    if text.chars().nth(100).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_are_those_of_the_errors() {
        let text = String::new;
        let path = PathBuf::new;
        let reason = "it is odd";
        let errors = [
            SealError::Authentication,
            SealError::Cancelled,
            SealError::Changed,
            SealError::Context {
                expected: text(),
                found: text(),
            },
            SealError::ContextInvalid { reason: text() },
            SealError::Cost { reason: text() },
            SealError::io("read it", io::Error::from(io::ErrorKind::Other)),
            SealError::KernelKey {
                description: text(),
                reason: text(),
            },
            SealError::KeyFile {
                path: path(),
                reason: text(),
            },
            SealError::KeyMalformed {
                what: text(),
                reason,
            },
            SealError::KeyName {
                what: "name",
                reason,
            },
            SealError::KeyPermissions {
                path: path(),
                reason: text(),
            },
            SealError::Length {
                expected: 1,
                found: 2,
            },
            SealError::Limit {
                what: "a frame",
                limit: text(),
            },
            SealError::Malformed { reason },
            SealError::NoKey {
                wanted: text(),
                given: text(),
            },
            SealError::NoMemory { what: "frames" },
            SealError::NotSealed,
            SealError::Passphrase { reason },
            SealError::Random,
            SealError::Service {
                service: text(),
                reason: text(),
            },
            SealError::Truncated {
                place: "its header",
            },
            SealError::Unsupported { what: text() },
        ];
        assert_eq!(errors.each_ref().map(SealError::code), CODES);
        assert!(CODES.is_sorted());
        for error in errors {
            assert!(!error.to_string().is_empty());
            assert_ne!(error.to_string(), error.next_step());
        }
    }
}
