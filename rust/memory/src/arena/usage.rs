//! What an arena holds, for whom, and how well it is protected.

use std::time::Duration;

use super::Backing;

/// A buffer that is held.
#[derive(Debug, Clone)]
pub struct BufferUsage {
    /// Its number in the arena, from 0, never used again.
    pub id: u64,
    /// What it is for.
    pub purpose: String,
    /// As it was asked for.
    pub bytes: usize,
    /// Since it was allocated.
    pub age: Duration,
    /// Since it was last used; zero while it is viewed.
    pub idle: Duration,
    /// How many see its memory now.
    pub views: u64,
    /// What holds its pages.
    pub backing: Backing,
}

/// What an arena holds.
#[derive(Debug, Clone)]
pub struct Usage {
    /// The buffers, in the order of their allocation.
    pub buffers: Vec<BufferUsage>,
    /// The sum of their bytes.
    pub bytes: usize,
    /// The arena's limit of it.
    pub max_bytes: usize,
    /// Bytes of memory that are mapped, those included that wait for the next buffer, by what holds
    /// them: secret, locked, swappable. Every one is guarded, and absent from core dumps and forked
    /// children: without that there is no arena.
    pub mapped: [(Backing, usize); 3],
    /// What the kernel gave less than was asked for, and why. Empty with
    /// [`Fallback::Refuse`](super::Fallback::Refuse).
    pub fallbacks: Vec<String>,
}
