//! Telling Python how far the work of several threads is.

use std::{
    num::NonZeroUsize,
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use strongroom_memory::SourceError;

use crate::{detach::Caller, errors::Error};

/// Bytes between two calls of a progress callback.
const REPORT_EVERY: u64 = 4 << 20;

/// Work of several threads, of which one tells the caller how far it is.
pub(crate) struct Watch<'a> {
    caller: Mutex<&'a mut Caller>,
    thread: thread::ThreadId,
    done: AtomicU64,
    told: AtomicU64,
    total: u64,
}

impl<'a> Watch<'a> {
    /// Of the thread that calls it.
    pub(crate) fn new(caller: &'a mut Caller, total: u64) -> Self {
        Self {
            caller: Mutex::new(caller),
            thread: thread::current().id(),
            done: AtomicU64::new(0),
            told: AtomicU64::new(0),
            total,
        }
    }

    /// Adds what a thread has done; an error once the caller wants no more. `path` is for messages.
    pub(crate) fn tell(&self, count: u64, path: &Path) -> Result<(), Error> {
        let done = self.done.fetch_add(count, Ordering::Relaxed) + count;
        let due = done == self.total || done >= self.told.load(Ordering::Relaxed) + REPORT_EVERY;
        // Signals are the main thread's, and so is the callback.
        if !due || thread::current().id() != self.thread {
            return Ok(());
        }
        self.call(done, path)
    }

    /// Tells the caller that all is done, which another thread may have done last.
    pub(crate) fn finish(&self, path: &Path) -> Result<(), Error> {
        if self.told.load(Ordering::Relaxed) == self.total {
            return Ok(());
        }
        self.call(self.total, path)
    }

    fn call(&self, done: u64, path: &Path) -> Result<(), Error> {
        self.told.store(done, Ordering::Relaxed);
        let mut caller = self.caller.lock().unwrap_or_else(PoisonError::into_inner);
        if caller.progress(done, self.total).is_break() {
            let path = path.to_owned();
            return Err(SourceError::Cancelled { path }.into());
        }
        Ok(())
    }
}

/// As many threads as there are cores.
pub(crate) fn cores() -> NonZeroUsize {
    thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}
