//! Memory for secrets: guarded, kept from swap, dumps and forked children, and wiped after use.
//!
//! ```
//! use strongroom_memory::arena::{Arena, Options};
//!
//! let arena = Arena::new(Options::new(1 << 20))?;
//! let mut buffer = arena.allocate(32, "session key")?;
//! buffer.view_mut()?.fill(7);
//! assert_eq!(arena.usage().buffers[0].purpose, "session key");
//! # Ok::<(), strongroom_memory::arena::ArenaError>(())
//! ```
//!
//! Freeing a slot wipes it and leaves its pages accessible for the next buffer: taking the access away
//! and giving it again costs two system calls, several times what the rest takes. Buffers too large for
//! the pool (64 KiB less a canary) are unmapped.

mod buffer;
mod error;
mod held;
mod options;
mod pages;
mod pool;
mod process;
mod reaper;
mod slot;
mod usage;

use std::{
    collections::BTreeMap,
    fmt, io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

pub use buffer::{Buffer, Pin, View, ViewMut};
pub use error::{ArenaError, CODES};
pub use options::{Backing, Fallback, Options};
pub use usage::{BufferUsage, Usage};

pub(crate) use held::Held;
pub(crate) use pages::{Layout, Mapped, page_size, wipe};
pub(crate) use process::Process;

use pool::Pool;
use process::exiting;
use slot::CANARY;

/// Longest purpose, in bytes.
const PURPOSE: usize = 128;

/// Secure memory up to a limit. Clones share it; it lives until the last buffer is gone too.
#[derive(Clone)]
pub struct Arena(Arc<Inner>);

pub(crate) struct Inner {
    process: &'static Process,
    options: Options,
    canary: [u8; CANARY],
    began: Instant,
    bytes: AtomicUsize,
    book: Mutex<Book>,
}

/// Who holds what.
struct Book {
    pool: Pool,
    held: BTreeMap<u64, Arc<Held>>,
    next: u64,
}

impl Arena {
    /// An arena. Its memory is mapped when it is first asked for.
    ///
    /// # Errors
    /// [`ArenaError::Invalid`] for options that can't be, [`ArenaError::Refused`] where the kernel
    /// doesn't give what every arena needs.
    pub fn new(options: Options) -> Result<Self, ArenaError> {
        options.check()?;
        let process = Process::current()?;
        let mut canary = [0; CANARY];
        let refused = |action, error: io::Error| ArenaError::Refused { action, error };
        rustix::rand::getrandom(&mut canary, rustix::rand::GetRandomFlags::empty())
            .map_err(|error| refused("get random bytes", error.into()))?;
        let inner = Arc::new(Inner {
            process,
            options,
            canary,
            began: Instant::now(),
            bytes: AtomicUsize::new(0),
            book: Mutex::new(Book {
                pool: Pool::new(process, options.backing, options.fallback),
                held: BTreeMap::new(),
                next: 0,
            }),
        });
        if let Some(max_age) = options.max_age {
            reaper::start(&inner, max_age)
                .map_err(|error| refused("start the thread that wipes idle buffers", error))?;
        }
        Ok(Self(inner))
    }

    /// The arena that everything in this process shares, made with `options` by whoever asks first. No lock
    /// is held that a fork could leave held for ever: a child has its own.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn shared(options: Options) -> Result<Self, ArenaError> {
        let process = Process::current()?;
        if let Some(arena) = process.shared.get() {
            return Ok(arena.clone());
        }
        let arena = Self::new(options)?;
        Ok(process.shared.get_or_init(|| arena).clone())
    }

    /// A buffer of `size` zeros. The purpose, of up to 128 bytes, is shown by [`usage`](Self::usage) and
    /// in errors: nothing secret belongs into it.
    ///
    /// # Errors
    /// [`ArenaError::OverLimit`], [`ArenaError::NotSecret`] and [`ArenaError::NotLocked`] where the
    /// fallback is refused, [`ArenaError::Invalid`], [`ArenaError::Forked`].
    pub fn allocate(&self, size: usize, purpose: &str) -> Result<Buffer, ArenaError> {
        self.hold(size, purpose).map(Buffer::new)
    }

    pub(crate) fn hold(&self, size: usize, purpose: &str) -> Result<Arc<Held>, ArenaError> {
        let inner = &self.0;
        check(size, purpose)?;
        if !inner.process.runs() {
            return Err(ArenaError::Forked {
                purpose: purpose.to_owned(),
            });
        }
        if exiting() {
            return Err(ArenaError::Invalid {
                name: "a buffer",
                reason: "can't be allocated any more: the process is exiting",
            });
        }
        let now = inner.now();
        if let Err(error) = inner.reserve(size, purpose) {
            // What lay idle for too long makes room.
            if inner.reclaim() == 0 {
                return Err(error);
            }
            inner.reserve(size, purpose)?;
        }
        let mut book = inner.book.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = match book.pool.take(size) {
            Ok(slot) => slot,
            Err(error) => {
                inner.bytes.fetch_sub(size, Ordering::AcqRel);
                return Err(error);
            }
        };
        let id = book.next;
        book.next += 1;
        // SAFETY: the pool has just given it, to nobody else.
        unsafe { slot.take(size, &inner.canary, purpose) };
        let held = Arc::new(Held::new(Arc::clone(inner), id, purpose, slot, size, now));
        book.held.insert(id, Arc::clone(&held));
        Ok(held)
    }

    /// Wipes and frees every buffer that has lain idle for longer than `max_age` and isn't viewed;
    /// returns how many. A thread of the arena does the same on its own, up to an eighth of `max_age`
    /// late (at least 10 milliseconds, at most 10 seconds).
    pub fn reclaim(&self) -> usize {
        self.0.reclaim()
    }

    /// What is held, for whom, and how well it is protected.
    pub fn usage(&self) -> Usage {
        let inner = &self.0;
        let mut usage = Usage {
            buffers: Vec::new(),
            bytes: inner.bytes.load(Ordering::Acquire),
            max_bytes: inner.options.max_bytes,
            mapped: [Backing::Secret, Backing::Locked, Backing::Swappable]
                .map(|backing| (backing, 0)),
            fallbacks: Vec::new(),
        };
        if !inner.process.runs() {
            // A thread that this process hasn't may have held the lock while it was forked.
            usage.bytes = 0;
            return usage;
        }
        let book = inner.book.lock().unwrap_or_else(PoisonError::into_inner);
        let now = inner.now();
        usage.buffers = book
            .held
            .values()
            .map(|held| {
                let since = |then: u64| Duration::from_nanos(now.saturating_sub(then));
                let views = held.views();
                BufferUsage {
                    id: held.id,
                    purpose: held.purpose.to_string(),
                    bytes: held.length,
                    age: since(held.born),
                    idle: if views == 0 {
                        since(held.used.load(Ordering::Relaxed))
                    } else {
                        Duration::ZERO
                    },
                    views,
                    backing: held.slot.backing,
                }
            })
            .collect();
        for (backing, bytes) in &mut usage.mapped {
            *bytes = book.pool.mapped(*backing);
        }
        usage.fallbacks.clone_from(&book.pool.fallbacks);
        usage
    }

    /// What it was asked to be.
    pub fn options(&self) -> Options {
        self.0.options
    }
}

impl fmt::Debug for Arena {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.0.bytes.load(Ordering::Acquire);
        write!(f, "Arena({bytes} of {} bytes)", self.0.options.max_bytes)
    }
}

impl Inner {
    /// Nanoseconds since the arena was made: enough for five centuries.
    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Counts `size` bytes, if the limit allows them.
    fn reserve(&self, size: usize, purpose: &str) -> Result<(), ArenaError> {
        let max_bytes = self.options.max_bytes;
        self.bytes
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |held| {
                held.checked_add(size).filter(|sum| *sum <= max_bytes)
            })
            .map(drop)
            .map_err(|held| ArenaError::OverLimit {
                size,
                purpose: purpose.to_owned(),
                held,
                max_bytes,
            })
    }

    fn reclaim(&self) -> usize {
        if self.options.max_age.is_none() || !self.process.runs() || exiting() {
            return 0;
        }
        let now = self.now();
        let book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        let held: Vec<Arc<Held>> = book.held.values().map(Arc::clone).collect();
        drop(book);
        held.iter().filter(|held| held.reclaim(now)).count()
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner").finish_non_exhaustive()
    }
}

fn check(size: usize, purpose: &str) -> Result<(), ArenaError> {
    let invalid = |name, reason| Err(ArenaError::Invalid { name, reason });
    if size == 0 {
        return invalid("size", "is 0: there would be nothing to protect");
    }
    if purpose.is_empty() {
        return invalid("purpose", "is empty: say what the memory is for");
    }
    if purpose.len() > PURPOSE {
        return invalid("purpose", "is longer than 128 bytes");
    }
    Ok(())
}
