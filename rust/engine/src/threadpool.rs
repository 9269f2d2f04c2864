//! The compute threads.

use std::ptr::NonNull;

use llama_cpp_sys_2 as sys;

use crate::EngineError;

/// A fixed set of compute threads, the calling one included. It is made before the sandbox forbids
/// new threads, and no other is ever made.
#[derive(Debug)]
pub struct Threadpool {
    pool: NonNull<sys::ggml_threadpool>,
    threads: u32,
}

impl Threadpool {
    /// Makes a pool of `threads`, at least one.
    ///
    /// # Errors
    /// [`EngineError::Context`] if there are more than ggml can hold.
    pub fn new(threads: u32) -> Result<Self, EngineError> {
        let refused = || EngineError::Context {
            detail: format!("can't make {threads} compute threads"),
        };
        let count = i32::try_from(threads.max(1)).map_err(|_| refused())?;
        // SAFETY: the call only fills a structure.
        let mut params = unsafe { sys::ggml_threadpool_params_default(count) };
        // One flag per thread that ggml can hold.
        if params.cpumask.len() < threads as usize {
            return Err(refused());
        }
        // SAFETY: `params` is initialized and outlives the call, which copies it.
        let pool = unsafe { sys::ggml_threadpool_new(&raw mut params) };
        Ok(Self {
            pool: NonNull::new(pool).ok_or_else(refused)?,
            threads: threads.max(1),
        })
    }

    /// Its threads, the calling one included.
    pub fn threads(&self) -> u32 {
        self.threads
    }

    pub(crate) fn as_ptr(&self) -> sys::ggml_threadpool_t {
        self.pool.as_ptr()
    }
}

impl Drop for Threadpool {
    fn drop(&mut self) {
        // SAFETY: contexts hold the pool by `Rc`, so none computes with it any more.
        unsafe { sys::ggml_threadpool_free(self.pool.as_ptr()) };
    }
}
