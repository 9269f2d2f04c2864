//! The bounds of one template and one rendering.

use std::time::Duration;

/// What a template may use. Fuel bounds nearly all of what one rendering can do and allocate. What
/// it doesn't see (a list that holds another many times over, compared, or joined to a string) ends
/// at the process's `RLIMIT_AS`, or at the deadline that the host keeps for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a template's source.
    pub source: usize,
    /// Characters of a rendered conversation.
    pub output: usize,
    /// Instructions of one rendering; 64 bytes of created or visited data cost as much as one.
    pub fuel: u64,
    /// Nested calls, loops and conditions.
    pub recursion: usize,
    /// Time for all the renderings of one conversation and their comparison. It is looked at
    /// between the steps and whenever a template writes or calls a method: fuel stops the rest.
    pub time: Duration,
}

impl Default for Limits {
    /// Generous for every template met so far, tiny for a machine.
    fn default() -> Self {
        Self {
            source: 256 << 10,
            output: 4 << 20,
            fuel: 2_000_000,
            recursion: 100,
            time: Duration::from_secs(5),
        }
    }
}
