//! Which process the memory belongs to, and what is wiped when that one exits.
//!
//! Secure memory doesn't exist in a forked child. A page that the kernel wipes on fork tells parent
//! and child apart without a system call: it holds the number of the generation that its process
//! began, and 0 in a child that hasn't begun one.

use std::{
    collections::BTreeMap,
    hint, io,
    ptr::{self, NonNull},
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering},
    },
    thread,
};

use super::{
    Arena, ArenaError,
    pages::{self, Layout},
};

static GENERATION: OnceLock<Page> = OnceLock::new();
// Copied by fork: numbers go on where the parent's are.
static NEXT: AtomicU64 = AtomicU64::new(1);
static CURRENT: AtomicPtr<Process> = AtomicPtr::new(ptr::null_mut());
static EXITING: AtomicBool = AtomicBool::new(false);
static REGISTERED: AtomicBool = AtomicBool::new(false);

/// A page that a fork wipes.
#[derive(Clone, Copy)]
struct Page(NonNull<AtomicU64>);

// SAFETY: it is never unmapped, and what is in it is atomic.
unsafe impl Send for Page {}
// SAFETY: as for Send.
unsafe impl Sync for Page {}

impl Page {
    fn new() -> io::Result<Self> {
        pages::wiped_on_fork().map(|page| Self(page.cast()))
    }

    fn generation(self) -> &'static AtomicU64 {
        // SAFETY: `new` mapped a page, aligned and zeroed, which is never unmapped; it is in the child
        // of a fork too.
        unsafe { self.0.as_ref() }
    }
}

/// What this process holds, since it began or was forked.
#[derive(Debug)]
pub(crate) struct Process {
    generation: u64,
    regions: Mutex<BTreeMap<usize, Layout>>,
    /// The arena that everything in the process shares.
    pub(super) shared: OnceLock<Arena>,
}

impl Process {
    /// The one that runs. It is never freed: a child's copy of its parent's may be locked for ever.
    pub(crate) fn current() -> Result<&'static Self, ArenaError> {
        let page = if let Some(page) = GENERATION.get() {
            *page
        } else {
            let page = Page::new().map_err(|error| ArenaError::Refused {
                action: "map memory that a fork wipes",
                error,
            })?;
            *GENERATION.get_or_init(|| page)
        };
        at_exit()?;
        let generation = page.generation();
        if generation.load(Ordering::Acquire) == 0 {
            let own = NEXT.fetch_add(1, Ordering::Relaxed);
            let process = Box::into_raw(Box::new(Self {
                generation: own,
                regions: Mutex::default(),
                shared: OnceLock::new(),
            }));
            if generation
                .compare_exchange(0, own, Ordering::AcqRel, Ordering::Acquire)
                .is_ok()
            {
                CURRENT.store(process, Ordering::Release);
            } else {
                // SAFETY: another thread was faster, and nobody has seen this one.
                drop(unsafe { Box::from_raw(process) });
            }
        }
        loop {
            if let Some(process) = Self::begun() {
                return Ok(process);
            }
            // Another thread is between the two stores above.
            hint::spin_loop();
            thread::yield_now();
        }
    }

    /// The one that runs, if it holds anything.
    fn begun() -> Option<&'static Self> {
        // SAFETY: null, or a leaked box.
        let process = unsafe { CURRENT.load(Ordering::Acquire).as_ref() }?;
        process.runs().then_some(process)
    }

    /// Whether this is the process that runs, and not the parent that it was forked from.
    #[inline]
    pub(crate) fn runs(&self) -> bool {
        GENERATION
            .get()
            .is_some_and(|page| page.generation().load(Ordering::Acquire) == self.generation)
    }

    /// From now on this is wiped at exit.
    pub(crate) fn register(&self, start: NonNull<u8>, layout: Layout) {
        let mut regions = self.regions.lock().unwrap_or_else(PoisonError::into_inner);
        regions.insert(start.as_ptr() as usize, layout);
    }

    /// It is about to be unmapped.
    pub(crate) fn forget(&self, start: NonNull<u8>) {
        let mut regions = self.regions.lock().unwrap_or_else(PoisonError::into_inner);
        regions.remove(&(start.as_ptr() as usize));
    }
}

/// Whether the process is exiting: its memory was wiped, or is about to be.
#[inline]
pub(crate) fn exiting() -> bool {
    EXITING.load(Ordering::Acquire)
}

fn at_exit() -> Result<(), ArenaError> {
    if REGISTERED.swap(true, Ordering::AcqRel) {
        return Ok(());
    }
    // SAFETY: the function is there as long as this library is loaded; neither an executable nor an
    // extension module of Python is ever unloaded before the exit.
    if unsafe { libc::atexit(exit) } == 0 {
        return Ok(());
    }
    REGISTERED.store(false, Ordering::Release);
    Err(ArenaError::Refused {
        action: "register what wipes memory at exit",
        error: io::Error::from(io::ErrorKind::OutOfMemory),
    })
}

extern "C" fn exit() {
    wipe_everything();
}

/// Wipes all that this process holds. Nothing can be read or allocated afterwards.
///
/// Other threads may still run: they find the memory refused, or, inside a view that they hold, zeros.
pub(crate) fn wipe_everything() {
    EXITING.store(true, Ordering::Release);
    let Some(process) = Process::begun() else {
        return;
    };
    let regions = process
        .regions
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    for (start, layout) in &*regions {
        let start = ptr::with_exposed_provenance_mut::<u8>(*start);
        for index in 0..layout.slots {
            // SAFETY: registered regions are mapped until `forget`, which the lock holds up; the
            // layout says which of their pages are writable.
            unsafe { pages::wipe(start.wrapping_add(layout.offset(index)), layout.slot) };
        }
    }
}
