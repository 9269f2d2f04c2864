//! Memory that is wiped before it is freed, and an ending of its own for running out of it.
//!
//! Prompts, tokens and text pass through many short-lived allocations, of Rust and of C++. The linker
//! leads every call of `free` and `realloc` here (`build.rs`), so that none leaves them behind. What is
//! unmapped instead is wiped by the kernel.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    ffi::c_void,
    ptr,
    sync::atomic::{Ordering, compiler_fence},
};

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

unsafe extern "C" {
    fn __real_free(pointer: *mut c_void);
}

/// `free`, of bytes that were overwritten.
///
/// # Safety
/// As for C's `free`.
#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap_free(pointer: *mut c_void) {
    if !pointer.is_null() {
        // SAFETY: the caller's `pointer` is of an allocation that nobody uses any more.
        let size = unsafe { libc::malloc_usable_size(pointer) };
        // SAFETY: all of these bytes belong to the allocation, says the C library.
        unsafe { ptr::write_bytes(pointer.cast::<u8>(), 0, size) };
        // Or the writes would be dead: what is freed isn't read.
        compiler_fence(Ordering::SeqCst);
    }
    // SAFETY: as the caller promises.
    unsafe { __real_free(pointer) }
}

/// `realloc` by allocating and copying, so that what was left is overwritten. An allocation that has room
/// enough stays where it is.
///
/// # Safety
/// As for C's `realloc`.
#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap_realloc(pointer: *mut c_void, size: usize) -> *mut c_void {
    if pointer.is_null() {
        // SAFETY: allocating has no conditions.
        return unsafe { libc::malloc(size) };
    }
    // SAFETY: the caller's `pointer` is of a live allocation.
    let had = unsafe { libc::malloc_usable_size(pointer) };
    if size <= had && size > had / 2 {
        return pointer;
    }
    // SAFETY: allocating has no conditions.
    let new = unsafe { libc::malloc(size) };
    if !new.is_null() {
        // SAFETY: both have as many bytes, and a new allocation overlaps no live one.
        unsafe { ptr::copy_nonoverlapping(pointer.cast::<u8>(), new.cast::<u8>(), had.min(size)) };
        // SAFETY: the caller gave it up.
        unsafe { __wrap_free(pointer) };
    }
    new
}
