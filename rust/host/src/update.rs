//! What a stream yields.

use strongroom_protocol::Finished;

/// What a stream yields, in this order: `Began`, any number of `Piece`, `Finished`.
#[derive(Debug, Clone, PartialEq)]
pub enum Update {
    /// The prompt is accepted and being decoded.
    Began {
        /// Tokens of the prompt, the template's scaffold and BOS included.
        prompt_tokens: u32,
    },
    /// Text, whole characters only, never empty: all that came since the last piece was read.
    Piece {
        /// What was decoded.
        text: String,
        /// Tokens decoded for it.
        tokens: u32,
    },
    /// The end. `queue_micros` counts from the call, waiting for a replaced worker included.
    Finished(Box<Finished>),
}
