//! What one decode reads: some tokens of some sequences.

use llama_cpp_sys_2 as sys;

use crate::{EngineError, Slot, Token};

/// Tokens for one [`crate::Context::decode`], grouped by sequence. Kept and filled anew for each step;
/// what it held is overwritten.
#[derive(Debug, Default)]
pub struct Batch {
    tokens: Vec<sys::llama_token>,
    positions: Vec<sys::llama_pos>,
    sequences: Vec<sys::llama_seq_id>,
    outputs: Vec<i8>,
    counts: Vec<i32>,
    /// One part per sequence.
    parts: Vec<Part>,
}

/// The tokens of one sequence.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part {
    pub(crate) slot: Slot,
    /// The position of the first.
    pub(crate) first: u32,
    pub(crate) count: u32,
}

impl Batch {
    /// Appends `tokens` of the sequence in `slot`, from position `first` on, and returns the row of
    /// the last one; with `logits`, those of the last one are computed. Slots come in ascending order,
    /// each once: llama.cpp computes only neighbouring ones together.
    ///
    /// # Errors
    /// [`EngineError::Decode`] if the order is another one, or there are no tokens.
    pub fn push(
        &mut self,
        slot: Slot,
        first: u32,
        tokens: &[Token],
        logits: bool,
    ) -> Result<usize, EngineError> {
        let refused = |detail: &str| EngineError::Decode {
            detail: detail.to_owned(),
        };
        if self.parts.last().is_some_and(|last| last.slot >= slot) {
            return Err(refused("sequences out of order"));
        }
        let count = u32::try_from(tokens.len())
            .ok()
            .filter(|&count| count > 0 && first.checked_add(count).is_some())
            .ok_or_else(|| refused("a part of no tokens, or of too many"))?;
        self.parts.push(Part { slot, first, count });
        for (position, &token) in (first..).zip(tokens) {
            self.tokens.push(token.cast_signed());
            self.positions.push(position.cast_signed());
            self.sequences.push(slot.cast_signed());
            self.outputs.push(0);
            self.counts.push(1);
        }
        if logits && let Some(last) = self.outputs.last_mut() {
            *last = 1;
        }
        Ok(self.tokens.len() - 1)
    }

    /// Appends a text whose vector is asked for: every token of it is an output.
    ///
    /// # Errors
    /// As [`Self::push`].
    pub fn push_all(&mut self, slot: Slot, tokens: &[Token]) -> Result<(), EngineError> {
        let before = self.outputs.len();
        self.push(slot, 0, tokens, true)?;
        self.outputs[before..].fill(1);
        Ok(())
    }

    /// Tokens in it.
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// Overwrites and forgets what it holds.
    pub fn clear(&mut self) {
        self.tokens.fill(0);
        std::hint::black_box(&mut self.tokens);
        self.tokens.clear();
        self.positions.clear();
        self.sequences.clear();
        self.outputs.clear();
        self.counts.clear();
        self.parts.clear();
    }

    /// Tokens, as the context checks them.
    pub(crate) fn tokens(&self) -> &[sys::llama_token] {
        &self.tokens
    }

    pub(crate) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// How many logits are asked for.
    pub(crate) fn outputs(&self) -> usize {
        self.outputs.iter().filter(|&&output| output != 0).count()
    }

    /// Hands it to `decode` as llama.cpp takes it; it is valid during the call alone.
    pub(crate) fn with<T>(&mut self, decode: impl FnOnce(sys::llama_batch) -> T) -> T {
        // A sequence's id is read from where its pointer points; each token has one of its own.
        let mut pointers: Vec<*mut sys::llama_seq_id> =
            self.sequences.iter_mut().map(std::ptr::from_mut).collect();
        decode(sys::llama_batch {
            n_tokens: i32::try_from(self.tokens.len()).unwrap_or(i32::MAX),
            token: self.tokens.as_mut_ptr(),
            embd: std::ptr::null_mut(),
            pos: self.positions.as_mut_ptr(),
            n_seq_id: self.counts.as_mut_ptr(),
            seq_id: pointers.as_mut_ptr(),
            logits: self.outputs.as_mut_ptr(),
        })
    }
}
