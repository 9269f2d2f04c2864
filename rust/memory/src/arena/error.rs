//! Why there is no secure memory, or no longer.

use std::{io, time::Duration};

/// Every code of [`ArenaError`].
pub const CODES: &[&str] = &[
    "arena.closed",
    "arena.expired",
    "arena.forked",
    "arena.in_use",
    "arena.invalid",
    "arena.over_limit",
    "memory.not_locked",
    "memory.not_secret",
    "memory.refused",
];

/// Secure memory that can't be had or used. Purposes are named, contents never.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArenaError {
    /// The buffer was closed, and wiped.
    #[error("the buffer for {purpose:?} was closed")]
    Closed {
        /// What it was for.
        purpose: String,
    },
    /// The buffer lay idle for longer than its arena lets any, and was wiped.
    #[error("the buffer for {purpose:?} was wiped: nothing used it for {max_age:?}")]
    Expired {
        /// What it was for.
        purpose: String,
        /// The arena's limit.
        max_age: Duration,
    },
    /// The memory belongs to the process that this one was forked from.
    #[error("the memory for {purpose:?} is of the process that this one was forked from")]
    Forked {
        /// What it is for.
        purpose: String,
    },
    /// A view of the buffer is still held.
    #[error("the buffer for {purpose:?} has {views} views, which see its memory")]
    InUse {
        /// What it is for.
        purpose: String,
        /// How many.
        views: u64,
    },
    /// An option or argument that can't be.
    #[error("{name} {reason}")]
    Invalid {
        /// Which.
        name: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The arena's `max_bytes` are taken.
    #[error("{size} bytes for {purpose:?}: {held} of the arena's {max_bytes} bytes are held")]
    OverLimit {
        /// How many were asked for.
        size: usize,
        /// What for.
        purpose: String,
        /// How many are held.
        held: usize,
        /// The arena's limit.
        max_bytes: usize,
    },
    /// The kernel locks no more memory for this process.
    #[error("the kernel doesn't lock {bytes} bytes of memory against swapping: {error}")]
    NotLocked {
        /// How many.
        bytes: usize,
        /// Its answer.
        error: io::Error,
    },
    /// The kernel has no `memfd_secret`, or gives no more of it.
    #[error("the kernel gives no {bytes} bytes of memory that itself can't read: {error}")]
    NotSecret {
        /// How many.
        bytes: usize,
        /// Its answer.
        error: io::Error,
    },
    /// The kernel refuses what no fallback replaces.
    #[error("can't {action}: {error}")]
    Refused {
        /// What was tried.
        action: &'static str,
        /// Its answer.
        error: io::Error,
    },
}

impl ArenaError {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Closed { .. } => "arena.closed",
            Self::Expired { .. } => "arena.expired",
            Self::Forked { .. } => "arena.forked",
            Self::InUse { .. } => "arena.in_use",
            Self::Invalid { .. } => "arena.invalid",
            Self::OverLimit { .. } => "arena.over_limit",
            Self::NotLocked { .. } => "memory.not_locked",
            Self::NotSecret { .. } => "memory.not_secret",
            Self::Refused { .. } => "memory.refused",
        }
    }

    /// What the caller can do about it.
    pub const fn next_step(&self) -> &'static str {
        match self {
            Self::Closed { .. } => "allocate another",
            Self::Expired { .. } => "allocate another, or raise the arena's max_age",
            Self::Forked { .. } => "make a new arena after the fork, or start processes by spawn",
            Self::InUse { .. } => "release every memoryview and array of the buffer first",
            Self::Invalid { .. } => "give a value that the documentation names",
            Self::OverLimit { .. } => "free buffers that nobody needs, or raise max_bytes",
            Self::NotLocked { .. } => {
                "raise the limit (`ulimit -l`, LimitMEMLOCK=), or let the arena report the fallback"
            }
            Self::NotSecret { .. } => {
                "raise the limit (`ulimit -l`, LimitMEMLOCK=), boot with secretmem.enable=1, or let \
                 the arena report the fallback"
            }
            Self::Refused { .. } => {
                "check the limits of this process (`ulimit -a`), then try again"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_are_those_of_the_errors() {
        let purpose = || "test".to_owned();
        let error = || io::Error::from(io::ErrorKind::Other);
        let errors = [
            ArenaError::Closed { purpose: purpose() },
            ArenaError::Expired {
                purpose: purpose(),
                max_age: Duration::from_secs(1),
            },
            ArenaError::Forked { purpose: purpose() },
            ArenaError::InUse {
                purpose: purpose(),
                views: 1,
            },
            ArenaError::Invalid {
                name: "purpose",
                reason: "is empty",
            },
            ArenaError::OverLimit {
                size: 1,
                purpose: purpose(),
                held: 1,
                max_bytes: 1,
            },
            ArenaError::NotLocked {
                bytes: 1,
                error: error(),
            },
            ArenaError::NotSecret {
                bytes: 1,
                error: error(),
            },
            ArenaError::Refused {
                action: "map memory",
                error: error(),
            },
        ];
        assert_eq!(errors.each_ref().map(ArenaError::code), CODES);
    }
}
