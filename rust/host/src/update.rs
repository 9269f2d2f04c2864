//! What a stream yields.

use strongroom_protocol::Finished;

/// What a stream yields, in this order: `Began`, any number of `Piece`, `Finished`; or in the place of
/// the last two `Embedded` or `Published`.
#[derive(Debug, Clone, PartialEq)]
pub enum Update {
    /// The prompt is accepted and being decoded.
    Began {
        /// Tokens of the prompt, the template's scaffold and BOS included.
        prompt_tokens: u32,
        /// Of these, the first ones that need not be read: the tenant's own cache, or a public
        /// prefix, holds them.
        cached_tokens: u32,
    },
    /// Text, whole characters only, never empty.
    Piece {
        /// What was decoded since the last piece.
        text: String,
        /// Tokens decoded since the last piece.
        tokens: u32,
    },
    /// The end. `queue_micros` counts from the call, waiting for a replaced worker included.
    Finished(Box<Finished>),
    /// The vectors that were asked for, and the end.
    Embedded {
        /// Tokens of all texts.
        tokens: u32,
        /// One row per text, in their order; each number an IEEE 754 binary32, little-endian.
        rows: Vec<u8>,
    },
    /// A public prefix is there, and the end.
    Published {
        /// Its tokens.
        tokens: u32,
    },
}
