//! Running out of memory is an ending of its own.

use std::alloc::{GlobalAlloc, Layout, System};

use strongroom_engine::backend;
use strongroom_protocol::ExitCode;

/// The system's allocator, but for what happens when it has nothing left: the worker leaves with
/// [`ExitCode::Memory`]. (Rust would abort, which looks like a crash.)
#[derive(Debug)]
pub(crate) struct Memory;

fn or_exit(pointer: *mut u8) -> *mut u8 {
    if pointer.is_null() {
        backend::last_words(&[b"out of memory"]);
        backend::exit(ExitCode::Memory);
    }
    pointer
}

// SAFETY: every call is handed to `System` unchanged, and what it returns is returned.
unsafe impl GlobalAlloc for Memory {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are those that `System` asks for.
        or_exit(unsafe { System.alloc(layout) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        or_exit(unsafe { System.alloc_zeroed(layout) })
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above.
        or_exit(unsafe { System.realloc(pointer, layout, size) })
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}
