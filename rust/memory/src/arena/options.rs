//! What an arena is asked to be.

use std::time::Duration;

use super::ArenaError;

/// What holds the pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Backing {
    /// `memfd_secret`: taken out of the kernel's own map, so that neither `/proc/PID/mem` nor another
    /// process, root's included, reads it; never swapped. For keys.
    Secret,
    /// Anonymous memory that `mlock` keeps from being swapped.
    Locked,
    /// Anonymous memory that may be swapped. No arena can be asked for it: it is what a fallback that
    /// is [reported](Fallback::Report) ends with.
    Swappable,
}

impl Backing {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::Locked => "locked",
            Self::Swappable => "swappable",
        }
    }
}

/// What happens where the kernel doesn't give what was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fallback {
    /// An error.
    Refuse,
    /// The next weaker backing, which [`usage`](super::Arena::usage) reports with the kernel's reason.
    Report,
}

/// What an arena is asked to be.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// How many bytes may be held at once, as they were asked for: what guards and rounds them up
    /// isn't counted.
    pub max_bytes: usize,
    /// How long a buffer may lie idle before it is wiped; `None` for ever.
    pub max_age: Option<Duration>,
    /// What holds the pages: [`Backing::Secret`] or [`Backing::Locked`].
    pub backing: Backing,
    /// What happens where the kernel doesn't give that.
    pub fallback: Fallback,
}

impl Options {
    /// Memory for keys: `memfd_secret`, or an error.
    pub const fn new(max_bytes: usize) -> Self {
        Self {
            max_bytes,
            max_age: None,
            backing: Backing::Secret,
            fallback: Fallback::Refuse,
        }
    }

    pub(super) fn check(&self) -> Result<(), ArenaError> {
        let invalid = |name, reason| Err(ArenaError::Invalid { name, reason });
        if self.max_bytes == 0 {
            return invalid("max_bytes", "is 0: nothing could be allocated");
        }
        if self.max_bytes > isize::MAX.unsigned_abs() {
            return invalid("max_bytes", "is more than any process can address");
        }
        if self.max_age == Some(Duration::ZERO) {
            return invalid("max_age", "is 0: every buffer would be wiped at once");
        }
        if self.backing == Backing::Swappable {
            return invalid("backing", "is what only a fallback may end with");
        }
        Ok(())
    }
}
