//! A context: the key-value cache and the computation.

use std::{ffi::c_void, ptr, ptr::NonNull, rc::Rc};

use llama_cpp_sys_2 as sys;

use crate::{EngineError, Model, Threadpool, Token, buffers::Buffers, ffi, log};

/// Tokens that one decode takes at most: what a cancel has to wait for. Larger chunks read a prompt no
/// faster on a processor, and their compute buffer is larger.
pub const CHUNK: u32 = 128;

/// Context length, in tokens, when none is asked for: the trained one, but at most this.
pub const DEFAULT_LENGTH: u32 = 4096;

/// How a context is made.
#[derive(Debug, Clone, Default)]
pub struct ContextOptions {
    /// In tokens; `None` is min(trained, [`DEFAULT_LENGTH`]).
    pub length: Option<u32>,
}

/// One sequence's cache and computation.
#[derive(Debug)]
pub struct Context {
    pointer: NonNull<sys::llama_context>,
    length: u32,
    vocabulary_size: usize,
    /// Cells that hold something.
    used: u32,
    /// Whether the last decode left logits.
    has_logits: bool,
    buffers: Box<Buffers>,
    // Freed after the context.
    _threadpool: Rc<Threadpool>,
    _model: Model,
}

impl Context {
    /// Makes a context and decodes one token with it, so that the first request doesn't pay for
    /// what is set up lazily.
    ///
    /// # Errors
    /// [`EngineError::Context`] if the length is over the trained one or memory does not suffice.
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
        let threads = i32::try_from(threadpool.threads()).unwrap_or(i32::MAX);
        // SAFETY: the call only fills a structure.
        let mut params = unsafe { sys::llama_context_default_params() };
        params.n_ctx = length;
        params.n_batch = CHUNK.min(length);
        params.n_ubatch = params.n_batch;
        params.n_seq_max = 1;
        // Sizes the compute buffer: one row of logits instead of one per token of a chunk.
        params.n_outputs_max = 1;
        params.n_threads = threads;
        params.n_threads_batch = threads;
        params.flash_attn_type = sys::LLAMA_FLASH_ATTN_TYPE_AUTO;
        params.no_perf = true;
        let buffers = Box::<Buffers>::default();
        params.cb_eval = Some(Buffers::observe);
        params.cb_eval_user_data = (&raw const *buffers).cast_mut().cast();
        let (context, error) = log::first_error_of(|| {
            // SAFETY: the model is loaded and outlives the context, which holds a clone of it.
            unsafe { ffi::llama_init_from_model(model.as_ptr(), params) }
        });
        let context = NonNull::new(context).ok_or(EngineError::Context { detail: error })?;
        // SAFETY: both are alive, and the pool outlives the context, which holds a clone of it.
        unsafe {
            sys::llama_attach_threadpool(
                context.as_ptr(),
                threadpool.as_ptr(),
                threadpool.as_ptr(),
            );
        }
        let mut context = Self {
            pointer: context,
            length,
            vocabulary_size: vocabulary.size() as usize,
            used: 0,
            has_logits: false,
            buffers,
            _threadpool: threadpool,
            _model: model.clone(),
        };
        context.warm_up(&vocabulary)?;
        Ok(context)
    }

    fn warm_up(&mut self, vocabulary: &crate::Vocabulary) -> Result<(), EngineError> {
        self.decode(&[vocabulary.bos().unwrap_or(0)], true)?;
        self.erase();
        Ok(())
    }

    /// In tokens.
    pub fn length(&self) -> u32 {
        self.length
    }

    /// Tokens decoded since the last [`Self::erase`].
    pub fn used(&self) -> u32 {
        self.used
    }

    /// Appends `tokens` to the sequence; with `logits`, computes those of the last one.
    ///
    /// # Errors
    /// [`EngineError::Decode`]; the cache must then be erased.
    pub fn decode(&mut self, tokens: &[Token], logits: bool) -> Result<(), EngineError> {
        let refused = |detail: &str| EngineError::Decode {
            detail: detail.to_owned(),
        };
        // More outputs or tokens than the buffers hold would abort the process.
        let count = u32::try_from(tokens.len())
            .ok()
            .filter(|&count| (1..=CHUNK).contains(&count))
            .ok_or_else(|| refused("a chunk of no tokens, or of too many"))?;
        if count > self.length - self.used {
            return Err(refused("the context is used up"));
        }
        let mut ids = Vec::with_capacity(tokens.len());
        for &token in tokens {
            if token as usize >= self.vocabulary_size {
                return Err(refused("a token outside of the vocabulary"));
            }
            ids.push(token.cast_signed());
        }
        let count = count.cast_signed();
        let first = self.used.cast_signed();
        let mut positions: Vec<i32> = (first..first + count).collect();
        let mut sequence = 0;
        let mut sequences = vec![&raw mut sequence; tokens.len()];
        let mut sequence_counts = vec![1_i32; tokens.len()];
        let mut outputs = vec![0_i8; tokens.len()];
        if let Some(last) = outputs.last_mut() {
            *last = i8::from(logits);
        }
        let batch = sys::llama_batch {
            n_tokens: count,
            token: ids.as_mut_ptr(),
            embd: std::ptr::null_mut(),
            pos: positions.as_mut_ptr(),
            n_seq_id: sequence_counts.as_mut_ptr(),
            seq_id: sequences.as_mut_ptr(),
            logits: outputs.as_mut_ptr(),
        };
        self.buffers.forget_compute();
        self.has_logits = logits;
        let (status, error) = log::first_error_of(|| {
            // SAFETY: every array of the batch holds `n_tokens` elements and outlives the call; ids
            // are inside the vocabulary, the sequence is below `n_seq_max`, at most one output is
            // asked for.
            unsafe { ffi::llama_decode(self.pointer.as_ptr(), batch) }
        });
        if status != 0 {
            return Err(refused(&format!("llama_decode returned {status}: {error}")));
        }
        self.used += count.cast_unsigned();
        Ok(())
    }

    /// The logits of the last token of the last [`Self::decode`] that asked for them.
    ///
    /// # Errors
    /// [`EngineError::Decode`] if there are none, or if one of them is NaN: a model can hold any
    /// bits as weights, and NaN has no order to choose by.
    pub fn logits(&mut self) -> Result<&[f32], EngineError> {
        let Some(logits) = self.last_logits() else {
            return Err(EngineError::Decode {
                detail: "llama.cpp has no logits".to_owned(),
            });
        };
        if logits.iter().any(|logit| logit.is_nan()) {
            return Err(EngineError::Decode {
                detail: "the model computed a number that is none (NaN)".to_owned(),
            });
        }
        Ok(logits)
    }

    fn last_logits(&mut self) -> Option<&mut [f32]> {
        if !self.has_logits {
            return None;
        }
        // SAFETY: the context is alive; -1 is the last output.
        let logits = unsafe { ffi::llama_get_logits_ith(self.pointer.as_ptr(), -1) };
        // SAFETY: a row of logits has one element per token of the vocabulary, is nobody else's,
        // and stays until the next decode, which needs `&mut self`.
        (!logits.is_null())
            .then(|| unsafe { std::slice::from_raw_parts_mut(logits, self.vocabulary_size) })
    }

    /// Forgets the sequence and overwrites what it left: the cache, the intermediate results, the
    /// logits, and llama.cpp's copies of its tokens.
    pub fn erase(&mut self) {
        if let Some(logits) = self.last_logits() {
            logits.fill(0.0);
        }
        let had_logits = self.has_logits;
        self.clear();
        self.overwrite_tokens(had_logits);
    }

    fn clear(&mut self) {
        self.has_logits = false;
        // SAFETY: the context is alive and owns the memory that it returns.
        let memory = unsafe { sys::llama_get_memory(self.pointer.as_ptr()) };
        // SAFETY: as above; nothing is being decoded.
        unsafe { ffi::llama_memory_clear(memory, true) };
        // SAFETY: the context is alive and idle, and `decode` forgot the buffers before it.
        unsafe { self.buffers.erase_compute() };
        self.used = 0;
    }

    /// Overwrites the last batches, of which llama.cpp keeps copies: as long as any was, and one with the
    /// last graph that had logits and one with the last that had none. A graph is made anew, and forgets its
    /// batch, where the one before was of the other kind. Both are given up at their first node, so that
    /// nothing much is computed.
    fn overwrite_tokens(&mut self, had_logits: bool) {
        unsafe extern "C" fn give_up(_data: *mut c_void) -> bool {
            true
        }
        // SAFETY: the context is alive and idle; the function takes no data.
        unsafe {
            sys::llama_set_abort_callback(self.pointer.as_ptr(), Some(give_up), ptr::null_mut());
        }
        let dummies = [0; CHUNK as usize];
        for logits in [!had_logits, had_logits] {
            let count = if logits { 1 } else { CHUNK.min(self.length) };
            // Given up, it is an error.
            let _ = self.decode(&dummies[..count as usize], logits);
            self.clear();
        }
        // SAFETY: as above.
        unsafe { sys::llama_set_abort_callback(self.pointer.as_ptr(), None, ptr::null_mut()) };
    }

    /// A copy of what decoding left in memory: the cache and the intermediate results. All zeros
    /// after [`Self::erase`].
    pub fn residue(&self) -> Vec<u8> {
        // SAFETY: the context is alive and idle, and `decode` forgot the buffers before it.
        unsafe { self.buffers.contents() }
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: this is the only owner, and nothing is being decoded.
        unsafe { sys::llama_free(self.pointer.as_ptr()) };
    }
}
