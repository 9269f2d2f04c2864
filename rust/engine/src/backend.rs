//! llama.cpp as a whole: started once, and what it does when it can't go on.
//!
//! | what happens | exit code |
//! |---|---|
//! | `ggml_abort`, a failed assertion | `Abort` |
//! | `ggml_abort` after an allocation failed, `operator new` without memory | `Memory` |
//! | `std::terminate`: an exception with nobody to catch it | `Panic` |
//!
//! An exception that reaches Rust ends in the panic hook (see `ffi.rs`), which is the worker's.

use std::{
    ffi::{CStr, c_char},
    sync::OnceLock,
};

use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_sys_2 as sys;
use strongroom_protocol::ExitCode;

use crate::log;

static BACKEND: OnceLock<Option<LlamaBackend>> = OnceLock::new();

unsafe extern "C" {
    /// `std::set_new_handler(void (*)())`, ISO C++ [set.new.handler].
    #[link_name = "_ZSt15set_new_handlerPFvvE"]
    fn set_new_handler(handler: Option<unsafe extern "C" fn()>) -> Option<unsafe extern "C" fn()>;

    /// `std::set_terminate(void (*)())`, ISO C++ [set.terminate].
    #[link_name = "_ZSt13set_terminatePFvvE"]
    fn set_terminate(handler: Option<unsafe extern "C" fn()>) -> Option<unsafe extern "C" fn()>;
}

/// Starts llama.cpp and takes over its endings and its log; once per process, then nothing.
pub fn init() {
    BACKEND.get_or_init(|| {
        log::capture();
        // SAFETY: the handler never returns and touches no state of ggml.
        unsafe { sys::ggml_set_abort_callback(Some(aborted)) };
        // SAFETY: the handler never returns, which the standard allows.
        unsafe { set_new_handler(Some(out_of_memory)) };
        // SAFETY: the handler never returns, as the standard demands.
        unsafe { set_terminate(Some(terminated)) };
        LlamaBackend::init().ok()
    });
}

/// Ends the process at once: no destructor runs, nothing is flushed.
pub fn exit(code: ExitCode) -> ! {
    // SAFETY: `_exit` has no precondition.
    unsafe { libc::_exit(code as i32) }
}

/// Writes one line to standard error, without allocating; what can't be written is lost.
pub fn last_words(parts: &[&[u8]]) {
    const LONGEST: usize = 512;
    let mut line = [0_u8; LONGEST];
    let mut length = 0;
    for byte in parts.iter().flat_map(|part| part.iter()) {
        if length == LONGEST - 1 {
            break;
        }
        line[length] = if byte.is_ascii_graphic() { *byte } else { b' ' };
        length += 1;
    }
    line[length] = b'\n';
    // SAFETY: `line` holds `length + 1` initialized bytes.
    unsafe { libc::write(2, line.as_ptr().cast(), length + 1) };
}

unsafe extern "C" fn aborted(message: *const c_char) {
    if !message.is_null() {
        // SAFETY: ggml passes a string that ends in NUL and outlives the call.
        let message = unsafe { CStr::from_ptr(message) };
        last_words(&[b"llama.cpp aborted: ", message.to_bytes()]);
    }
    exit(if log::memory_ran_out() {
        ExitCode::Memory
    } else {
        ExitCode::Abort
    })
}

unsafe extern "C" fn out_of_memory() {
    last_words(&[b"out of memory"]);
    exit(ExitCode::Memory)
}

unsafe extern "C" fn terminated() {
    last_words(&[b"an exception was caught by nobody"]);
    exit(ExitCode::Panic)
}
