//! Why a file can't become an image.

use std::{io, path::PathBuf};

use strongroom_verify::{SignatureError, VerifyError};

/// Every code of [`SourceError`].
pub const CODES: &[&str] = &[
    "source.cancelled",
    "source.changed",
    "source.directory",
    "source.empty",
    "source.io",
    "source.missing",
    "source.over_limit",
    "source.scattered",
    "source.special",
    "source.too_large",
    "source.unreadable",
];

/// A file that can't be read, or not into memory.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The caller's progress callback asked for the end.
    #[error("reading {path:?} was cancelled")]
    Cancelled {
        /// Which file.
        path: PathBuf,
    },
    /// The file was truncated, extended or rewritten while it was read.
    #[error("{path:?} changed while it was read: {reason}")]
    Changed {
        /// Which file.
        path: PathBuf,
        /// What was seen.
        reason: &'static str,
    },
    /// The path names a directory.
    #[error("{path:?} is a directory")]
    Directory {
        /// Which.
        path: PathBuf,
    },
    /// The file has no bytes.
    #[error("{path:?} is empty")]
    Empty {
        /// Which file.
        path: PathBuf,
    },
    /// The kernel refused something else.
    #[error("can't {action} {path:?}: {error}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// For which file.
        path: PathBuf,
        /// The kernel's answer.
        error: io::Error,
    },
    /// There is no such file.
    #[error("{path:?} does not exist")]
    Missing {
        /// As given.
        path: PathBuf,
    },
    /// The file is larger than what its reader allows.
    #[error("{path:?} has {size} bytes, but memory_limit allows {limit} bytes, weights included")]
    OverLimit {
        /// Which file.
        path: PathBuf,
        /// Its size.
        size: u64,
        /// What is allowed.
        limit: u64,
    },
    /// The parts of a model lie in different folders, links resolved.
    #[error("{path:?} lies in another folder than the first part of the model, links resolved")]
    Scattered {
        /// The part.
        path: PathBuf,
    },
    /// The path names a FIFO, a socket or a device.
    #[error("{path:?} is not a regular file")]
    Special {
        /// Which.
        path: PathBuf,
    },
    /// The image would not fit the memory that is available.
    #[error("{path:?} has {size} bytes, but only {available} bytes of memory are available")]
    TooLarge {
        /// Which file.
        path: PathBuf,
        /// Its size.
        size: u64,
        /// What the machine, or the control group of this process, can still give.
        available: u64,
    },
    /// The user of this process may not read it.
    #[error("no permission to read {path:?}")]
    Unreadable {
        /// Which file.
        path: PathBuf,
    },
}

impl SourceError {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Cancelled { .. } => "source.cancelled",
            Self::Changed { .. } => "source.changed",
            Self::Directory { .. } => "source.directory",
            Self::Empty { .. } => "source.empty",
            Self::Io { .. } => "source.io",
            Self::Missing { .. } => "source.missing",
            Self::OverLimit { .. } => "source.over_limit",
            Self::Scattered { .. } => "source.scattered",
            Self::Special { .. } => "source.special",
            Self::TooLarge { .. } => "source.too_large",
            Self::Unreadable { .. } => "source.unreadable",
        }
    }

    /// What the caller can do about it.
    pub const fn next_step(&self) -> &'static str {
        match self {
            Self::Cancelled { .. } => "start again when it should go on",
            Self::Changed { .. } => "wait until the file is complete, then try again",
            Self::Directory { .. } => "name the model's file inside it",
            Self::Empty { .. } => "get the file again from its publisher",
            Self::Io { .. } => "check the disk and the limits of this process, then try again",
            Self::Missing { .. } => "check the path",
            Self::OverLimit { .. } => "raise memory_limit, or take a smaller model or quantization",
            Self::Scattered { .. } => "put all parts of the model into one folder",
            Self::Special { .. } => "copy the model into a regular file and name that",
            Self::TooLarge { .. } => "free memory, or take a smaller model or quantization",
            Self::Unreadable { .. } => "give the user of this process the right to read it",
        }
    }
}

/// An image that could not be proved.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    /// By its digest.
    #[error(transparent)]
    Digest(#[from] VerifyError),
    /// By its signature.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// For want of memory.
    #[error(transparent)]
    Source(#[from] SourceError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_are_those_of_the_errors() {
        let path = PathBuf::from("model.gguf");
        let error = io::Error::from(io::ErrorKind::Other);
        let errors = [
            SourceError::Cancelled { path: path.clone() },
            SourceError::Changed {
                path: path.clone(),
                reason: "it grew",
            },
            SourceError::Directory { path: path.clone() },
            SourceError::Empty { path: path.clone() },
            SourceError::Io {
                action: "read",
                path: path.clone(),
                error,
            },
            SourceError::Missing { path: path.clone() },
            SourceError::OverLimit {
                path: path.clone(),
                size: 2,
                limit: 1,
            },
            SourceError::Scattered { path: path.clone() },
            SourceError::Special { path: path.clone() },
            SourceError::TooLarge {
                path: path.clone(),
                size: 2,
                available: 1,
            },
            SourceError::Unreadable { path },
        ];
        assert_eq!(errors.each_ref().map(SourceError::code), CODES);
        for error in errors {
            assert!(error.to_string().contains("\"model.gguf\""), "{error}");
        }
    }
}
