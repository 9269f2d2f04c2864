//! What a worker of a model takes of memory, as far as the header says.
//!
//! The cache is llama.cpp's, to the byte: `llama_kv_cache` holds keys and values as 16-bit numbers,
//! for each sequence as many cells as a request may have tokens, rounded up to 256; layers with a
//! sliding window have a cache of their own (`llama_kv_cache_iswa`), of no more cells than the window
//! and one step need. The rest is an estimate, fitted to what workers were seen to use, rather above
//! it than below.

use crate::shape::Shape;

/// What llama.cpp rounds the cells of a cache up to.
const CELLS: u64 = 256;

/// Bytes of a key's or value's component: `GGML_TYPE_F16`.
const COMPONENT: u64 = 2;

/// Bytes of a number in the computation: `GGML_TYPE_F32`.
const NUMBER: u64 = 4;

/// Bytes of one token's view of one cell: the mask, as 32 and as 16 bits.
const MASK: u64 = 6;

/// Bytes that a token of the vocabulary takes in the worker: its text, attributes, merges and the
/// maps that find it; 340 were measured.
const TOKEN: u64 = 400;

/// Bytes that a worker takes before it has a vocabulary.
const BASE: u64 = 4 << 20;

/// What a worker of a model takes of memory besides the weights, which are the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Footprint {
    /// Bytes of cache that a token takes in the layers that see the whole context.
    pub token_bytes: u64,
    /// Bytes of cache that a token takes in the layers that see a window of it.
    pub window_token_bytes: u64,
    /// Tokens of that window; 0 where no layer has one.
    pub window: u32,
    /// Bytes that the computation takes for each token of a step.
    activation_bytes: u64,
    vocabulary: u64,
}

impl Footprint {
    pub(crate) fn of(shape: &Shape, vocabulary: u32) -> Self {
        let token = 2 * shape.key_value_heads * shape.head * COMPONENT;
        let windowed = u64::from(shape.windowed);
        let all = u64::from(shape.layers);
        // Of a mixture, every expert that is used makes its own; the router's rows are small.
        let inner = shape.feed_forward * shape.experts_used.max(1);
        let attention = 2 * (shape.heads + 2 * shape.key_value_heads) * shape.head;
        Self {
            token_bytes: (all - windowed) * token,
            window_token_bytes: windowed * token,
            window: shape.window,
            activation_bytes: (4 * shape.embedding + 3 * inner + attention) * NUMBER,
            vocabulary: vocabulary.into(),
        }
    }

    /// Bytes of the key-value cache of one sequence of up to `context_length` tokens, where a step
    /// takes at most `batch_tokens`.
    pub fn cache(&self, context_length: u32, batch_tokens: u32) -> u64 {
        let cells = u64::from(context_length).next_multiple_of(CELLS);
        let seen = u64::from(self.window) + u64::from(batch_tokens);
        let windowed = cells.min(seen).next_multiple_of(CELLS);
        let full = self.token_bytes.saturating_mul(cells);
        full.saturating_add(self.window_token_bytes.saturating_mul(windowed))
    }

    /// Bytes of the buffers that a step is computed in, about: of `batch_tokens`, for `sequences`.
    pub fn compute(&self, context_length: u32, batch_tokens: u32, sequences: u32) -> u64 {
        let step = u64::from(batch_tokens);
        let seen = (MASK * step).saturating_mul(u64::from(context_length).next_multiple_of(CELLS));
        // Two rows: where they are computed, and where they are read from.
        let logits = 2 * NUMBER * self.vocabulary * u64::from(sequences);
        self.activation_bytes
            .saturating_mul(step)
            .saturating_add(seen)
            .saturating_add(logits)
    }

    /// Bytes of the process itself, about: its vocabulary, stacks and heap.
    pub const fn process(&self) -> u64 {
        BASE + self.vocabulary * TOKEN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Footprint = Footprint {
        token_bytes: 100,
        window_token_bytes: 1000,
        window: 512,
        activation_bytes: 4,
        vocabulary: 10,
    };

    #[test]
    fn cells_come_in_blocks_and_a_window_bounds_its_layers() {
        // 512 of the window and 128 of a step are 640, which 768 cells hold.
        assert_eq!(SMALL.cache(4096, 128), 4096 * 100 + 768 * 1000);
        // A context below the window bounds both.
        assert_eq!(SMALL.cache(257, 128), 512 * 100 + 512 * 1000);
        assert_eq!(SMALL.cache(1, 1), 256 * 1100);
    }

    #[test]
    fn more_sequences_take_more_rows_of_logits() {
        let one = SMALL.compute(256, 2, 1);
        assert_eq!(one, 2 * 4 + 6 * 256 * 2 + 2 * 4 * 10);
        assert_eq!(SMALL.compute(256, 2, 3) - one, 2 * 2 * 4 * 10);
    }

    #[test]
    fn what_no_machine_has_saturates() {
        let huge = Footprint {
            token_bytes: u64::MAX / 2,
            activation_bytes: u64::MAX / 2,
            ..SMALL
        };
        assert_eq!(huge.cache(u32::MAX, u32::MAX), u64::MAX);
        assert_eq!(huge.compute(u32::MAX, u32::MAX, u32::MAX), u64::MAX);
    }
}
