//! What llama.cpp says when it refuses something, kept for the error that reports it.
//!
//! Nothing else of its log is kept or printed: at lower levels it may quote what it works on.

use std::{
    cell::RefCell,
    ffi::{CStr, c_char, c_void},
    ptr,
    sync::atomic::{AtomicBool, Ordering},
};

use llama_cpp_sys_2 as sys;

/// Longest line kept, in bytes.
const LONGEST: usize = 300;

thread_local! {
    static FIRST_ERROR: RefCell<String> = const { RefCell::new(String::new()) };
}

/// What llama.cpp and ggml write when an allocation fails: some of these end in a refusal, some in an
/// abort whose own message says nothing of memory.
const OUT_OF_MEMORY: [&[u8]; 4] = [
    b"failed to allocate",
    b"insufficient memory",
    b"Cannot allocate memory",
    b"bad_alloc",
];

static MEMORY_RAN_OUT: AtomicBool = AtomicBool::new(false);

/// Whether llama.cpp ever logged that an allocation failed.
pub(crate) fn memory_ran_out() -> bool {
    MEMORY_RAN_OUT.load(Ordering::Relaxed)
}

/// Sends llama.cpp's log here.
pub(crate) fn capture() {
    // SAFETY: the callback is a function of this crate and needs no data.
    unsafe { sys::llama_log_set(Some(record), ptr::null_mut()) };
}

/// Runs `work` and returns, beside its result, the first error that it logged on this thread:
/// printable ASCII, bounded, and from a hostile file as likely as not.
pub(crate) fn first_error_of<T>(work: impl FnOnce() -> T) -> (T, String) {
    FIRST_ERROR.with_borrow_mut(String::clear);
    let result = work();
    (result, FIRST_ERROR.take())
}

unsafe extern "C" fn record(level: sys::ggml_log_level, text: *const c_char, _: *mut c_void) {
    if level != sys::GGML_LOG_LEVEL_ERROR || text.is_null() {
        return;
    }
    // SAFETY: ggml passes a string that ends in NUL and outlives the call.
    let text = unsafe { CStr::from_ptr(text) };
    if OUT_OF_MEMORY.iter().any(|words| {
        text.to_bytes()
            .windows(words.len())
            .any(|window| window == *words)
    }) {
        MEMORY_RAN_OUT.store(true, Ordering::Relaxed);
    }
    // A failing `try_with` means that the thread is ending: its errors interest nobody.
    let _ = FIRST_ERROR.try_with(|first| {
        if let Ok(mut first) = first.try_borrow_mut()
            && first.is_empty()
        {
            first.extend(
                text.to_bytes()
                    .iter()
                    .take(LONGEST)
                    .take_while(|&&byte| byte != b'\n')
                    .map(|&byte| {
                        if (b' '..=b'~').contains(&byte) {
                            char::from(byte)
                        } else {
                            '?'
                        }
                    }),
            );
        }
    });
}
