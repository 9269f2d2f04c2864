//! Vectors of texts: the computation.

use std::rc::Rc;

use llama_cpp_sys_2 as sys;
use strongroom_protocol::{MAX_DIMENSIONS, Pooling};

use crate::{Batch, EngineError, Model, Slot, Threadpool, Token, computation::Computation, ffi};

/// Texts of one computation at most.
pub const TEXTS: u32 = 64;

/// Tokens of one text, when no other bound is asked for: the trained ones, but at most this. A text
/// is computed at once, and the memory for that grows with it.
pub const DEFAULT_TEXT: u32 = 512;

/// How texts are embedded.
#[derive(Debug, Clone, Copy)]
pub struct EmbeddingOptions {
    /// Tokens of one text at most; `None` is min(trained, [`DEFAULT_TEXT`]).
    pub length: Option<u32>,
    /// `None` is the model's own.
    pub pooling: Option<Pooling>,
    /// Tokens of one computation; no fewer than a text may have.
    pub batch_tokens: u32,
}

/// Computes vectors of some texts at once, and forgets them.
#[derive(Debug)]
pub struct EmbeddingContext {
    computation: Computation,
    length: u32,
    batch_tokens: u32,
    dimensions: usize,
    vocabulary_size: usize,
    /// Whether the model computes logits beside its vectors.
    has_logits: bool,
    erase: bool,
}

impl EmbeddingContext {
    /// Makes one. With `erase` what a computation left is overwritten after it.
    ///
    /// # Errors
    /// [`EngineError::Context`] if the length is over the trained one, the model names no way of
    /// pooling and none is asked for, or memory does not suffice.
    pub fn new(
        model: &Model,
        options: EmbeddingOptions,
        threadpool: Rc<Threadpool>,
        erase: bool,
    ) -> Result<Self, EngineError> {
        let refused = |detail: String| EngineError::Context { detail };
        let trained = model.context_trained();
        let length = options.length.unwrap_or(trained.min(DEFAULT_TEXT));
        if length == 0 || length > trained {
            return Err(refused(format!(
                "context_length is {length}, the model was trained with {trained}"
            )));
        }
        let batch_tokens = options.batch_tokens.max(length);
        let computation = Computation::new(model, threadpool, |params| {
            params.n_ctx = batch_tokens;
            // Texts are pooled over, so each has to be computed as a whole.
            params.n_batch = batch_tokens;
            params.n_ubatch = batch_tokens;
            params.n_seq_max = TEXTS;
            // All is forgotten after each computation: nobody's part has to be apart.
            params.kv_unified = true;
            params.embeddings = true;
            params.pooling_type = match options.pooling {
                None => sys::LLAMA_POOLING_TYPE_UNSPECIFIED,
                Some(Pooling::Mean) => sys::LLAMA_POOLING_TYPE_MEAN,
                Some(Pooling::Cls) => sys::LLAMA_POOLING_TYPE_CLS,
                Some(Pooling::Last) => sys::LLAMA_POOLING_TYPE_LAST,
            };
        })?;
        // SAFETY: the context is alive.
        let pooling = unsafe { sys::llama_pooling_type(computation.as_ptr()) };
        if ![
            sys::LLAMA_POOLING_TYPE_MEAN,
            sys::LLAMA_POOLING_TYPE_CLS,
            sys::LLAMA_POOLING_TYPE_LAST,
        ]
        .contains(&pooling)
        {
            return Err(refused(
                "the model names no way of pooling: give pooling= (mean, cls or last)".to_owned(),
            ));
        }
        let mut context = Self {
            has_logits: computation.memory().is_some(),
            computation,
            length,
            batch_tokens,
            dimensions: model.dimensions() as usize,
            vocabulary_size: model.vocabulary()?.size() as usize,
            erase,
        };
        if context.dimensions > MAX_DIMENSIONS as usize {
            return Err(EngineError::Context {
                detail: format!(
                    "vectors of {} numbers, and {MAX_DIMENSIONS} are the most that can be embedded",
                    context.dimensions
                ),
            });
        }
        context.embed(&[vec![0]], &mut |_, _| {})?;
        Ok(context)
    }

    /// Tokens of one text at most.
    pub fn length(&self) -> u32 {
        self.length
    }

    /// Tokens of one computation at most.
    pub fn batch_tokens(&self) -> u32 {
        self.batch_tokens
    }

    /// Numbers of a vector.
    pub fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// Computes the vectors of `texts`, at most [`TEXTS`] with at most [`Self::batch_tokens`] tokens in
    /// all, and hands each to `take` with its place among them.
    ///
    /// # Errors
    /// [`EngineError::Decode`], also where a vector has a number that is none.
    pub fn embed(
        &mut self,
        texts: &[Vec<Token>],
        take: &mut dyn FnMut(usize, &[f32]),
    ) -> Result<(), EngineError> {
        let refused = |detail: &str| EngineError::Decode {
            detail: detail.to_owned(),
        };
        let mut batch = Batch::default();
        if texts.len() > TEXTS as usize {
            return Err(refused("too many texts at once"));
        }
        for (slot, tokens) in (0..).zip(texts) {
            if tokens
                .iter()
                .any(|&token| token as usize >= self.vocabulary_size)
            {
                return Err(refused("a token outside of the vocabulary"));
            }
            batch.push_all(slot, tokens)?;
        }
        if batch.is_empty() || batch.len() > self.batch_tokens as usize {
            return Err(refused("a batch of no tokens, or of too many"));
        }
        let written = batch.len();
        let logits = if self.has_logits {
            written * self.vocabulary_size
        } else {
            0
        };
        // SAFETY: checked above: ids are inside of the vocabulary, no more tokens, which are the outputs
        // too, than the context was made for, and no more sequences.
        let decoded = unsafe { self.computation.decode(&mut batch, logits) };
        let taken = decoded.and_then(|()| {
            for (place, slot) in (0..texts.len()).zip(0..) {
                take(place, self.vector(slot)?);
            }
            Ok(())
        });
        self.forget(written);
        batch.clear();
        taken
    }

    fn vector(&self, slot: Slot) -> Result<&[f32], EngineError> {
        let refused = |detail: &str| EngineError::Decode {
            detail: detail.to_owned(),
        };
        // SAFETY: the context is alive; a sequence without a vector gives a null pointer.
        let vector =
            unsafe { ffi::llama_get_embeddings_seq(self.computation.as_ptr(), slot.cast_signed()) };
        if vector.is_null() {
            return Err(refused("llama.cpp has no vector"));
        }
        // SAFETY: a pooled vector has that many numbers, is nobody else's, and stays until the next
        // computation, which needs `&mut self`.
        let vector = unsafe { std::slice::from_raw_parts(vector, self.dimensions) };
        if !vector
            .iter()
            .fold(true, |finite, number| finite & number.is_finite())
        {
            return Err(refused("the model computed a number that is none (NaN)"));
        }
        Ok(vector)
    }

    /// Forgets, and overwrites, what the last computation left of `written` tokens.
    fn forget(&mut self, written: usize) {
        if let Some(memory) = self.computation.memory() {
            // SAFETY: the context is alive and idle, and owns the memory.
            unsafe { ffi::llama_memory_clear(memory, false) };
        }
        if !self.erase {
            return;
        }
        // SAFETY: the context is alive and idle.
        unsafe { self.computation.buffers.erase_sequence(0, written) };
        self.computation.erase_results();
        let dummies = vec![0; self.batch_tokens as usize];
        self.computation.giving_up(|computation| {
            let mut batch = Batch::default();
            if batch.push_all(0, &dummies).is_ok() {
                // SAFETY: the first token of the vocabulary, as many as a batch has, in the first
                // sequence. Given up, it is an error.
                let _ = unsafe { computation.decode(&mut batch, 0) };
            }
            if let Some(memory) = computation.memory() {
                // SAFETY: as above.
                unsafe { ffi::llama_memory_clear(memory, false) };
            }
            computation.erase_results();
        });
    }

    /// A copy of what computing left in memory: all zeros.
    pub fn residue(&self) -> Vec<u8> {
        // SAFETY: the context is alive and idle, and `decode` forgot the buffers before it.
        unsafe { self.computation.buffers.contents() }
    }
}
