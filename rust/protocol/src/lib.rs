//! The frames between the host and a worker.
//!
//! `SPEC.md` beside this crate is the specification. The host sends [`Order`]s, the worker answers
//! with [`Event`]s; each is one length-prefixed [`frame`] holding one postcard-encoded value. Both
//! sides treat what they read as hostile: lengths are bounded before anything is allocated, unknown
//! values are errors, and bytes left over in a frame are errors.
#![forbid(unsafe_code)]

pub mod event;
pub mod exit;
pub mod fault;
pub mod frame;
pub mod order;
pub mod report;

pub use event::{Embedded, Event, FinishReason, Finished, Ready};
pub use exit::ExitCode;
pub use fault::{Fault, FaultCode};
pub use frame::{Buffer, Decoder, FrameError};
pub use order::{
    Embed, Generate, Isolation, Limits, Message, Order, Pooling, PrefixCache, Priority, Private,
    Prompt, Publish, Role, Sampling, Start, Task, Tenant,
};
pub use report::{Layer, LayerName, LayerState, Report};

/// The version that [`Start`] names; a worker of another version refuses to start.
pub const VERSION: u32 = 3;

/// Largest payload of a frame from the host, in bytes.
pub const MAX_ORDER: usize = 32 << 20;

/// Largest payload of a frame from a worker, in bytes.
pub const MAX_EVENT: usize = 8 << 20;

/// Largest prompt or text to tokenize, in bytes of UTF-8, all messages together.
pub const MAX_TEXT: usize = 1 << 20;

/// Messages of one conversation.
pub const MAX_MESSAGES: usize = 1 << 14;

/// Ids of a Tokenize's text of so many bytes, at most: a tokenizer may write out what one character stands for.
pub const fn most_ids(bytes: usize) -> usize {
    let ids = bytes.saturating_mul(16);
    16 + if ids < MAX_TEXT { ids } else { MAX_TEXT }
}

/// Numbers of a vector: [`MAX_EMBED_TEXTS`] of them fit into a frame.
pub const MAX_DIMENSIONS: u32 = 8160;

/// Bytes of text over which a worker tokenizes beside the decoding, and not between two steps: up to there it
/// takes a fraction of a millisecond where a vocabulary is of byte pairs, a few where it isn't.
pub const LONG_TEXT: usize = 4 << 10;

/// Texts of one `Embed`.
pub const MAX_EMBED_TEXTS: usize = 256;

/// Sequences that one worker decodes at once; half of what llama.cpp can tell apart.
pub const MAX_SEQUENCES: u32 = 128;

/// Public prefixes that one worker keeps.
pub const MAX_PUBLIC_PREFIXES: usize = 16;

/// The descriptors a worker is started with; every other one is closed.
pub mod descriptor {
    /// Standard input and output: `/dev/null`.
    pub const NULL: [i32; 2] = [0, 1];
    /// Standard error: a pipe that the host drains and bounds.
    pub const LOG: i32 = 2;
    /// The socket on which the frames travel.
    pub const SOCKET: i32 = 3;
    /// The sealed image of the model, opened read-only.
    pub const IMAGE: i32 = 4;
}
