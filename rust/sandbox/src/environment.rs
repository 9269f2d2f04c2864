//! The environment: emptied, and the memory it stood in wiped.

use std::ffi::CStr;

use strongroom_protocol::{Layer, LayerName};

use crate::SandboxError;
use crate::process::in_force;

/// The one variable that may stay: llama.cpp reads it when it aborts, and without it would try to
/// start a debugger.
const KEPT: &str = "GGML_NO_BACKTRACE";

unsafe extern "C" {
    static mut environ: *mut *mut libc::c_char;
}

/// Wipes and removes every variable but [`KEPT`].
///
/// Runs while one thread does: nobody else reads the environment meanwhile.
pub(crate) fn clear() -> Result<Layer, SandboxError> {
    let mut removed = 0;
    for entry in entries() {
        // SAFETY: an entry of the environment is a string that ends with a zero byte.
        let text = unsafe { CStr::from_ptr(entry) };
        if name(text) == KEPT.as_bytes() {
            continue;
        }
        let length = text.to_bytes().len();
        for offset in 0..length {
            // SAFETY: inside the string, which lies in writable memory (the initial stack, or what
            // setenv allocated). `text` is not used after this.
            let byte = unsafe { entry.add(offset) };
            // SAFETY: as above; volatile, so that the wipe isn't optimized away.
            unsafe { byte.write_volatile(0) };
        }
        removed += 1;
    }
    let kept = std::env::var_os(KEPT);
    // SAFETY: a single thread runs, so nobody holds a pointer into the environment.
    if unsafe { libc::clearenv() } != 0 {
        return Err(not_empty("clearenv failed"));
    }
    if let Some(value) = &kept {
        // SAFETY: a single thread runs.
        unsafe { std::env::set_var(KEPT, value) };
    }
    let left = std::env::vars_os().count();
    if left != usize::from(kept.is_some()) {
        return Err(not_empty("variables are left"));
    }
    Ok(in_force(
        LayerName::Environment,
        match (removed, left) {
            (0, 0) => "empty".to_owned(),
            (0, _) => format!("only {KEPT}"),
            (_, 0) => format!("empty; {removed} inherited variables wiped"),
            (..) => format!("only {KEPT}; {removed} inherited variables wiped"),
        },
    ))
}

fn not_empty(found: &str) -> SandboxError {
    SandboxError::NotInForce {
        layer: LayerName::Environment,
        found: found.to_owned(),
    }
}

fn name(entry: &CStr) -> &[u8] {
    let bytes = entry.to_bytes();
    bytes.split(|&byte| byte == b'=').next().unwrap_or(bytes)
}

/// The pointers to the variables, as the C library holds them.
fn entries() -> Vec<*mut libc::c_char> {
    let mut entries = Vec::new();
    // SAFETY: a single thread runs, so the pointer doesn't change while it is read.
    let mut place = unsafe { environ };
    while !place.is_null() {
        // SAFETY: the array ends with a null pointer, which ends this loop.
        let entry = unsafe { *place };
        if entry.is_null() {
            break;
        }
        entries.push(entry);
        // SAFETY: the null pointer wasn't reached, so another element follows.
        place = unsafe { place.add(1) };
    }
    entries
}
