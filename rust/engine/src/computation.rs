//! llama.cpp's context, and what one computation leaves in it.

use std::{ffi::c_void, ptr, ptr::NonNull, rc::Rc};

use llama_cpp_sys_2 as sys;

use crate::{Batch, EngineError, Model, Threadpool, buffers::Buffers, ffi, log};

/// llama.cpp's context. It computes on the threads of a pool, and knows where that leaves traces.
#[derive(Debug)]
pub(crate) struct Computation {
    pointer: NonNull<sys::llama_context>,
    pub(crate) buffers: Box<Buffers>,
    /// Numbers of logits written since they were last overwritten.
    logits: usize,
    // Freed after the context.
    _threadpool: Rc<Threadpool>,
    pub(crate) model: Model,
}

impl Computation {
    /// Makes one as `choose` says, on all threads of the pool.
    ///
    /// # Errors
    /// [`EngineError::Context`] with llama.cpp's reason.
    pub(crate) fn new(
        model: &Model,
        threadpool: Rc<Threadpool>,
        choose: impl FnOnce(&mut sys::llama_context_params),
    ) -> Result<Self, EngineError> {
        let threads = i32::try_from(threadpool.threads()).unwrap_or(i32::MAX);
        // SAFETY: the call only fills a structure.
        let mut params = unsafe { sys::llama_context_default_params() };
        params.n_threads = threads;
        params.n_threads_batch = threads;
        params.flash_attn_type = sys::LLAMA_FLASH_ATTN_TYPE_AUTO;
        params.no_perf = true;
        choose(&mut params);
        let buffers = Box::<Buffers>::default();
        params.cb_eval = Some(Buffers::observe);
        params.cb_eval_user_data = (&raw const *buffers).cast_mut().cast();
        let (context, error) = log::first_error_of(|| {
            // SAFETY: the model is loaded and outlives the context, which holds a clone of it.
            unsafe { ffi::llama_init_from_model(model.as_ptr(), params) }
        });
        let pointer = NonNull::new(context).ok_or(EngineError::Context { detail: error })?;
        // SAFETY: both are alive, and the pool outlives the context, which holds a clone of it.
        unsafe {
            sys::llama_attach_threadpool(
                pointer.as_ptr(),
                threadpool.as_ptr(),
                threadpool.as_ptr(),
            );
        }
        Ok(Self {
            pointer,
            buffers,
            logits: 0,
            _threadpool: threadpool,
            model: model.clone(),
        })
    }

    pub(crate) fn as_ptr(&self) -> *mut sys::llama_context {
        self.pointer.as_ptr()
    }

    /// The key-value cache; `None` of a model that has none.
    pub(crate) fn memory(&self) -> Option<sys::llama_memory_t> {
        // SAFETY: the context is alive.
        let memory = unsafe { sys::llama_get_memory(self.as_ptr()) };
        (!memory.is_null()).then_some(memory)
    }

    /// Computes with `batch`, which leaves at most `logits` numbers of logits.
    ///
    /// # Errors
    /// [`EngineError::Decode`].
    ///
    /// # Safety
    /// The tokens are inside of the vocabulary, their number and that of the outputs are what the
    /// context was made for, and so are the sequences.
    pub(crate) unsafe fn decode(
        &mut self,
        batch: &mut Batch,
        logits: usize,
    ) -> Result<(), EngineError> {
        self.buffers.forget_compute();
        self.logits = self.logits.max(logits);
        let pointer = self.as_ptr();
        let (status, error) = log::first_error_of(|| {
            // SAFETY: every array of the batch holds `n_tokens` elements and outlives the call; the rest
            // is the caller's word.
            batch.with(|batch| unsafe { ffi::llama_decode(pointer, batch) })
        });
        if status == 0 {
            return Ok(());
        }
        Err(EngineError::Decode {
            detail: format!("llama_decode returned {status}: {error}"),
        })
    }

    /// Overwrites logits and intermediate results.
    pub(crate) fn erase_results(&mut self) {
        // SAFETY: the context is alive and idle.
        let logits = unsafe { ffi::llama_get_logits(self.as_ptr()) };
        let count = std::mem::take(&mut self.logits);
        if !logits.is_null() {
            // SAFETY: no decode since the last time left more, and nobody else looks at them.
            unsafe { ptr::write_bytes(logits, 0, count) };
        }
        // SAFETY: the context is alive and idle, and `decode` forgot the buffers before it.
        unsafe { self.buffers.erase_compute() };
    }

    /// Gives up at the first node whatever is computed in `body`: nothing much is, but llama.cpp's
    /// copies of the last batches are overwritten.
    pub(crate) fn giving_up(&mut self, body: impl FnOnce(&mut Self)) {
        unsafe extern "C" fn give_up(_data: *mut c_void) -> bool {
            true
        }
        // SAFETY: the context is alive and idle; the function takes no data.
        unsafe { sys::llama_set_abort_callback(self.as_ptr(), Some(give_up), ptr::null_mut()) };
        body(self);
        // SAFETY: as above.
        unsafe { sys::llama_set_abort_callback(self.as_ptr(), None, ptr::null_mut()) };
    }
}

impl Drop for Computation {
    fn drop(&mut self) {
        // SAFETY: this is the only owner, and nothing is being computed.
        unsafe { sys::llama_free(self.pointer.as_ptr()) };
    }
}
