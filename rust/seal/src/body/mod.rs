//! The body of a message: where its frames lie, and how each is written.

mod frame;
mod layout;

pub(crate) use frame::{Around, Draft, Frame, Kind, longest, zeros};
pub(crate) use layout::{Layout, too_many_frames};

/// Plaintext bytes in a frame that is written: large enough for the cipher's full speed, small
/// enough to stay in a core's cache.
pub const DEFAULT_FRAME_LENGTH: u32 = 1 << 20;
/// Most plaintext bytes in a frame, written or read. The format would allow 2^32 - 1.
pub const MAX_FRAME_LENGTH: u32 = 16 << 20;
/// Most frames of a message, the final one included.
pub(crate) const MAX_FRAMES: u64 = u32::MAX as u64;
