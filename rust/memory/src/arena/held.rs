//! A buffer that is held: who views it, since when it lies idle, and its one end.

use std::{
    ptr::NonNull,
    sync::{
        Arc, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::{ArenaError, Inner, process::exiting, slot::Slot};

/// Set once nobody may view the buffer any more; the bits below count the views.
const GONE: u64 = 1 << 63;
/// Set besides where it was wiped for its age.
const EXPIRED: u64 = 1 << 62;

/// A slot that was taken for a purpose.
#[derive(Debug)]
pub(crate) struct Held {
    arena: Arc<Inner>,
    pub(crate) id: u64,
    pub(crate) purpose: Box<str>,
    pub(crate) slot: Slot,
    pub(crate) length: usize,
    state: AtomicU64,
    /// Nanoseconds since the arena was made.
    pub(crate) born: u64,
    pub(crate) used: AtomicU64,
}

impl Held {
    pub(crate) fn new(
        arena: Arc<Inner>,
        id: u64,
        purpose: &str,
        slot: Slot,
        length: usize,
        now: u64,
    ) -> Self {
        Self {
            arena,
            id,
            purpose: purpose.into(),
            slot,
            length,
            state: AtomicU64::new(0),
            born: now,
            used: AtomicU64::new(now),
        }
    }

    pub(crate) fn start(&self) -> NonNull<u8> {
        self.slot.buffer(self.length)
    }

    pub(crate) fn views(&self) -> u64 {
        self.state.load(Ordering::Relaxed) & !(GONE | EXPIRED)
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.state.load(Ordering::Relaxed) & GONE != 0
    }

    fn is_here(&self) -> Result<(), ArenaError> {
        if self.arena.process.runs() {
            return Ok(());
        }
        Err(ArenaError::Forked {
            purpose: self.purpose.to_string(),
        })
    }

    /// Whether the memory is there, and what was written to it.
    pub(crate) fn is_usable(&self) -> Result<(), ArenaError> {
        self.is_here()?;
        if exiting() {
            return Err(ArenaError::Invalid {
                name: "a buffer",
                reason: "can't be used any more: the process is exiting, and its memory was wiped",
            });
        }
        Ok(())
    }

    /// Why nobody may view it any more.
    fn gone(&self) -> ArenaError {
        let purpose = self.purpose.to_string();
        if self.state.load(Ordering::Relaxed) & EXPIRED == 0 {
            return ArenaError::Closed { purpose };
        }
        ArenaError::Expired {
            purpose,
            max_age: self.arena.options.max_age.unwrap_or_default(),
        }
    }

    /// Counts one view more: the memory stays until [`unview`](Self::unview).
    pub(crate) fn view(&self) -> Result<(), ArenaError> {
        self.is_usable()?;
        if self.arena.options.max_age.is_some() {
            self.reclaim(self.arena.now());
        }
        self.state
            .fetch_update(Ordering::Acquire, Ordering::Relaxed, |state| {
                (state & GONE == 0).then_some(state + 1)
            })
            .map(|_| ())
            .map_err(|_| self.gone())
    }

    /// Ends a view. The last one of a buffer that was dropped meanwhile frees it.
    pub(crate) fn unview(&self) {
        if self.arena.options.max_age.is_some() {
            self.used.store(self.arena.now(), Ordering::Relaxed);
        }
        if self.state.fetch_sub(1, Ordering::AcqRel) - 1 == GONE {
            self.free();
        }
    }

    /// Frees it, unless it is viewed.
    pub(crate) fn close(&self) -> Result<(), ArenaError> {
        self.is_here()?;
        match self
            .state
            .compare_exchange(0, GONE, Ordering::AcqRel, Ordering::Acquire)
        {
            Ok(_) => self.free(),
            Err(state) if state & GONE == 0 => {
                return Err(ArenaError::InUse {
                    purpose: self.purpose.to_string(),
                    views: state,
                });
            }
            Err(_) => {}
        }
        Ok(())
    }

    /// Frees it now, or with the last view.
    pub(crate) fn abandon(&self) {
        if self.state.fetch_or(GONE, Ordering::AcqRel) == 0 {
            self.free();
        }
    }

    /// Frees it if it lay idle for longer than the arena allows; whether it did.
    pub(crate) fn reclaim(&self, now: u64) -> bool {
        let Some(max_age) = self.arena.options.max_age else {
            return false;
        };
        let idle = Duration::from_nanos(now.saturating_sub(self.used.load(Ordering::Relaxed)));
        let old = idle > max_age
            && self
                .state
                .compare_exchange(0, GONE | EXPIRED, Ordering::AcqRel, Ordering::Acquire)
                .is_ok();
        if old {
            self.free();
        }
        old
    }

    /// Whoever brought the state to gone without views calls this, once.
    fn free(&self) {
        if !self.arena.process.runs() {
            return;
        }
        // SAFETY: the state says that nobody views the slot, and nobody will; it is mapped until the
        // pool has it back.
        unsafe {
            self.slot
                .give_back(self.length, &self.arena.canary, &self.purpose);
        }
        let mut book = self
            .arena
            .book
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        book.pool.give_back(self.slot);
        let entry = book.held.remove(&self.id);
        drop(book);
        self.arena.bytes.fetch_sub(self.length, Ordering::AcqRel);
        drop(entry);
    }
}
