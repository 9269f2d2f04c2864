//! A context: the key-value cache of several sequences, and the computation.

use std::rc::Rc;

use strongroom_protocol::MAX_SEQUENCES;

use crate::{Batch, EngineError, Model, Slot, Threadpool, computation::Computation, ffi};

/// Tokens that one decode takes at most, unless another number is asked for: what a cancel has to wait
/// for. Larger chunks read a prompt no faster on a processor, and their compute buffer is larger.
pub const CHUNK: u32 = 128;

/// Context length, in tokens, when none is asked for: the trained one, but at most this.
pub const DEFAULT_LENGTH: u32 = 4096;

/// How a context is made.
#[derive(Debug, Clone)]
pub struct ContextOptions {
    /// Of each sequence, in tokens; `None` is min(trained, [`DEFAULT_LENGTH`]).
    pub length: Option<u32>,
    /// Sequences at once, 1 to [`MAX_SEQUENCES`]. Where the model's state can't be erased sequence by
    /// sequence it is one, whatever was asked for.
    pub sequences: u32,
    /// Tokens of one decode; no fewer than there are sequences, no more than the length.
    pub batch_tokens: u32,
}

impl Default for ContextOptions {
    fn default() -> Self {
        Self {
            length: None,
            sequences: 1,
            batch_tokens: CHUNK,
        }
    }
}

/// The cache of some sequences, each in a slot of its own, and the computation.
#[derive(Debug)]
pub struct Context {
    computation: Computation,
    length: u32,
    batch_tokens: u32,
    vocabulary_size: usize,
    /// By slot.
    sequences: Vec<Cells>,
    /// Whether the last decode left logits.
    has_logits: bool,
    erasable: bool,
}

/// What a sequence has of the cache.
#[derive(Debug, Clone, Copy, Default)]
struct Cells {
    /// Tokens of the sequence: cells that hold something.
    used: u32,
    /// Cells that were written since they were last overwritten, counted from the first.
    written: u32,
}

impl Context {
    /// Makes a context and decodes one token with it, so that the first request doesn't pay for
    /// what is set up lazily.
    ///
    /// # Errors
    /// [`EngineError::Context`] if the length is over the trained one, or too short for any answer, or memory does not
    /// suffice.
    pub fn new(
        model: &Model,
        options: &ContextOptions,
        threadpool: Rc<Threadpool>,
    ) -> Result<Self, EngineError> {
        let trained = model.context_trained();
        let length = options.length.unwrap_or(trained.min(DEFAULT_LENGTH));
        if length == 0 || length > trained {
            return Err(EngineError::Context {
                detail: format!("context_length is {length}, the model was trained with {trained}"),
            });
        }
        let vocabulary = model.vocabulary()?;
        let least = 2 + u32::from(vocabulary.adds_bos());
        if length < least {
            return Err(EngineError::Context {
                detail: format!(
                    "context_length is {length}, and a prompt and its answer take {least} tokens at least"
                ),
            });
        }
        let erasable = model.is_erasable_by_sequence();
        let sequences = if erasable {
            options.sequences.clamp(1, MAX_SEQUENCES.min(length))
        } else {
            1
        };
        let batch_tokens = options.batch_tokens.clamp(sequences, length);
        let total = length
            .checked_mul(sequences)
            .ok_or_else(|| EngineError::Context {
                detail: format!(
                    "{sequences} sequences of {length} tokens are more than can be counted"
                ),
            })?;
        let computation = Computation::new(model, threadpool, |params| {
            params.n_ctx = total;
            params.n_batch = batch_tokens;
            params.n_ubatch = batch_tokens;
            params.n_seq_max = sequences;
            // Each sequence has a part of the cache to itself: only so can it be erased.
            params.kv_unified = false;
            // Sizes the compute buffer: one row of logits per sequence instead of one per token.
            params.n_outputs_max = sequences;
        })?;
        if computation.memory().is_none() {
            return Err(EngineError::Load {
                detail: "the model has no key-value cache: it embeds, and can't answer".to_owned(),
            });
        }
        let mut context = Self {
            computation,
            length,
            batch_tokens,
            vocabulary_size: vocabulary.size() as usize,
            sequences: vec![Cells::default(); sequences as usize],
            has_logits: false,
            erasable,
        };
        context.warm_up(vocabulary.bos().unwrap_or(0))?;
        Ok(context)
    }

    fn warm_up(&mut self, token: crate::Token) -> Result<(), EngineError> {
        let mut batch = Batch::default();
        batch.push(0, 0, &[token], true)?;
        self.decode(&mut batch)?;
        self.erase(&[0]);
        Ok(())
    }

    /// Of each sequence, in tokens.
    pub fn length(&self) -> u32 {
        self.length
    }

    /// How many sequences it has room for.
    pub fn slots(&self) -> u32 {
        u32::try_from(self.sequences.len()).unwrap_or(u32::MAX)
    }

    /// Tokens that one decode takes at most.
    pub fn batch_tokens(&self) -> u32 {
        self.batch_tokens
    }

    /// Tokens that the sequence in `slot` has in the cache.
    pub fn used(&self, slot: Slot) -> u32 {
        self.cells(slot).used
    }

    /// Whether a sequence can be taken out, put back and cut: not where the model's state isn't made
    /// of cells.
    pub fn can_keep(&self) -> bool {
        self.erasable
    }

    fn cells(&self, slot: Slot) -> Cells {
        self.sequences
            .get(slot as usize)
            .copied()
            .unwrap_or_default()
    }

    /// Appends the tokens of `batch` to their sequences, and computes the logits that it asks for.
    ///
    /// # Errors
    /// [`EngineError::Decode`]; the sequences of the batch are then what they were before.
    pub fn decode(&mut self, batch: &mut Batch) -> Result<(), EngineError> {
        let refused = |detail: &str| EngineError::Decode {
            detail: detail.to_owned(),
        };
        // More outputs or tokens than the buffers hold would abort the process.
        if batch.is_empty() || batch.len() > self.batch_tokens as usize {
            return Err(refused("a batch of no tokens, or of too many"));
        }
        let outputs = batch.outputs();
        if outputs > self.sequences.len() {
            return Err(refused("more logits than sequences"));
        }
        for part in batch.parts() {
            let Some(cells) = self.sequences.get(part.slot as usize) else {
                return Err(refused("a sequence that there is no room for"));
            };
            if part.first != cells.used || part.count > self.length - cells.used {
                return Err(refused("the context is used up"));
            }
        }
        let size = self.vocabulary_size;
        if !batch
            .tokens()
            .iter()
            .all(|&token| usize::try_from(token).is_ok_and(|token| token < size))
        {
            return Err(refused("a token outside of the vocabulary"));
        }
        self.has_logits = outputs > 0;
        for part in batch.parts() {
            let cells = &mut self.sequences[part.slot as usize];
            cells.written = cells.written.max(part.first + part.count);
        }
        // SAFETY: checked above: ids are inside the vocabulary, the sequences below `n_seq_max`, no more
        // outputs than `n_outputs_max` are asked for.
        let decoded = unsafe { self.computation.decode(batch, outputs * size) };
        if let Err(error) = decoded {
            self.has_logits = false;
            // Of a batch that failed, earlier parts may have been read.
            for part in batch.parts() {
                self.forget_from(part.slot, part.first);
            }
            return Err(error);
        }
        for part in batch.parts() {
            self.sequences[part.slot as usize].used = part.first + part.count;
        }
        Ok(())
    }

    /// The logits of a row of the last [`Self::decode`], which asked for them.
    ///
    /// # Errors
    /// [`EngineError::Decode`] if there are none, or if one of them is NaN: a model can hold any
    /// bits as weights, and NaN has no order to choose by.
    pub fn logits(&mut self, row: usize) -> Result<&[f32], EngineError> {
        let refused = |detail: &str| EngineError::Decode {
            detail: detail.to_owned(),
        };
        let row = i32::try_from(row).map_err(|_| refused("llama.cpp has no such logits"))?;
        if !self.has_logits {
            return Err(refused("llama.cpp has no logits"));
        }
        // SAFETY: the context is alive; a row that has no logits gives a null pointer.
        let logits = unsafe { ffi::llama_get_logits_ith(self.computation.as_ptr(), row) };
        if logits.is_null() {
            return Err(refused("llama.cpp has no logits"));
        }
        // SAFETY: a row of logits has one element per token of the vocabulary, is nobody else's,
        // and stays until the next decode, which needs `&mut self`.
        let logits = unsafe { std::slice::from_raw_parts(logits, self.vocabulary_size) };
        // Without an early exit it is done many numbers at a time.
        let is_nan = logits
            .iter()
            .fold(false, |is_nan, logit| is_nan | logit.is_nan());
        if is_nan {
            return Err(refused("the model computed a number that is none (NaN)"));
        }
        Ok(logits)
    }

    /// Forgets what the sequence in `slot` has from `position` on; it isn't overwritten.
    fn forget_from(&mut self, slot: Slot, position: u32) -> bool {
        let Some(memory) = self.computation.memory() else {
            return false;
        };
        // SAFETY: the context is alive and idle; the slot is one of its sequences.
        unsafe { ffi::llama_memory_seq_rm(memory, slot.cast_signed(), position.cast_signed(), -1) }
    }

    /// Cuts the sequence in `slot` to its first `length` tokens. False where that can't be done, as
    /// where a sliding window has already lost what comes before: the sequence must then be erased.
    pub fn truncate(&mut self, slot: Slot, length: u32) -> bool {
        let used = self.used(slot);
        if length > used || slot >= self.slots() {
            return false;
        }
        if length == used {
            return true;
        }
        let window = self.computation.model.sliding_window();
        let Some(memory) = self.computation.memory() else {
            return false;
        };
        // SAFETY: the context is alive and idle; the slot is one of its sequences.
        let first = unsafe { ffi::llama_memory_seq_pos_min(memory, slot.cast_signed()) };
        let needed = if window == 0 {
            0
        } else {
            length.saturating_sub(window)
        };
        let held = u32::try_from(first).is_ok_and(|first| first <= needed);
        if !held || !self.forget_from(slot, length) {
            return false;
        }
        self.sequences[slot as usize].used = length;
        true
    }

    /// A copy of the sequence in `slot`, to be put back into any slot; `None` where it can't be had.
    pub fn save(&mut self, slot: Slot) -> Option<Vec<u8>> {
        if !self.erasable || self.used(slot) == 0 {
            return None;
        }
        let pointer = self.computation.as_ptr();
        // SAFETY: the context is alive and idle; the slot is one of its sequences.
        let size = unsafe { ffi::llama_state_seq_get_size(pointer, slot.cast_signed()) };
        let mut state = vec![0; size];
        // SAFETY: as above; `state` has room for `size` bytes.
        let written = unsafe {
            ffi::llama_state_seq_get_data(pointer, state.as_mut_ptr(), size, slot.cast_signed())
        };
        (size > 0 && written == size).then_some(state)
    }

    /// Bytes that [`Self::save`] would return.
    pub fn saved_size(&self, slot: Slot) -> usize {
        if !self.erasable || self.used(slot) == 0 {
            return 0;
        }
        // SAFETY: the context is alive and idle; the slot is one of its sequences.
        unsafe { ffi::llama_state_seq_get_size(self.computation.as_ptr(), slot.cast_signed()) }
    }

    /// Puts `state`, a sequence of `length` tokens that [`Self::save`] returned, into an empty slot.
    /// False where that failed: the slot is empty then.
    pub fn restore(&mut self, slot: Slot, state: &[u8], length: u32) -> bool {
        if !self.erasable || slot >= self.slots() || self.used(slot) != 0 || length > self.length {
            return false;
        }
        // SAFETY: the context is alive and idle; the slot is one of its sequences; the bytes are what
        // a context of this model wrote.
        let read = unsafe {
            ffi::llama_state_seq_set_data(
                self.computation.as_ptr(),
                state.as_ptr(),
                state.len(),
                slot.cast_signed(),
            )
        };
        let cells = &mut self.sequences[slot as usize];
        cells.written = cells.written.max(length);
        if read != state.len() {
            self.forget_from(slot, 0);
            return false;
        }
        cells.used = length;
        true
    }

    /// Forgets the sequences in `slots` and overwrites what they left: their cache, the intermediate
    /// results and logits of all, and llama.cpp's copies of tokens. The other sequences stay as they are.
    pub fn erase(&mut self, slots: &[Slot]) {
        self.forget(slots);
        for &slot in slots {
            if let Some(cells) = self.sequences.get_mut(slot as usize) {
                let written = std::mem::take(&mut cells.written) as usize;
                let buffers = &self.computation.buffers;
                // SAFETY: the context is alive and idle.
                unsafe { buffers.erase_sequence(slot as usize, written) };
            }
        }
        if !self.erasable
            && let Some(memory) = self.computation.memory()
        {
            // SAFETY: the context is alive and idle, and owns the memory.
            unsafe { ffi::llama_memory_clear(memory, true) };
        }
        let had_logits = std::mem::take(&mut self.has_logits);
        self.computation.erase_results();
        if let Some(&slot) = slots.first() {
            self.overwrite_tokens(slot, had_logits);
        }
    }

    /// Forgets the sequences in `slots` without overwriting anything.
    pub fn forget(&mut self, slots: &[Slot]) {
        for &slot in slots {
            if slot < self.slots() {
                self.forget_from(slot, 0);
                self.sequences[slot as usize].used = 0;
            }
        }
    }

    /// Overwrites the last batches, of which llama.cpp keeps copies: as long as any was, and one with the
    /// last graph that had logits and one with the last that had none. A graph is made anew, and forgets its
    /// batch, where the one before was of the other kind. `slot` is empty.
    fn overwrite_tokens(&mut self, slot: Slot, had_logits: bool) {
        let dummies = vec![0; self.batch_tokens as usize];
        self.computation.giving_up(|computation| {
            let mut batch = Batch::default();
            for logits in [!had_logits, had_logits] {
                let count = if logits { 1 } else { dummies.len() };
                batch.clear();
                if batch.push(slot, 0, &dummies[..count], logits).is_ok() {
                    // SAFETY: the first token of the vocabulary, as many as a batch has, in a slot that
                    // there is, with at most one output. Given up, it is an error.
                    let _ = unsafe { computation.decode(&mut batch, 0) };
                }
                if let Some(memory) = computation.memory() {
                    // SAFETY: the context is alive and idle; the slot is one of its sequences.
                    unsafe { ffi::llama_memory_seq_rm(memory, slot.cast_signed(), 0, -1) };
                }
                computation.erase_results();
            }
        });
    }

    /// A copy of what decoding left in memory: the cache and the intermediate results. All zeros
    /// after every sequence was erased.
    pub fn residue(&self) -> Vec<u8> {
        // SAFETY: the context is alive and idle, and `decode` forgot the buffers before it.
        unsafe { self.computation.buffers.contents() }
    }

    /// A copy of what the sequence in `slot` left in the cache.
    pub fn residue_of(&self, slot: Slot) -> Vec<u8> {
        // SAFETY: the context is alive and idle.
        unsafe { self.computation.buffers.contents_of(slot as usize) }
    }
}
