//! The variables that this process was started with.

use std::{ffi::CStr, ptr};

/// Overwrites the value of a variable where the system put it when this process started, from where
/// `/proc/PID/environ` and every dump have it, removed or not.
///
/// It is the operator's affair that no other thread reads that very variable meanwhile: what it finds
/// is a shorter value, never bytes that aren't there.
pub fn wipe(name: &str) {
    unsafe extern "C" {
        static environ: *const *mut libc::c_char;
    }
    // SAFETY: `environ` is the C library's, and read once.
    let mut entry = unsafe { ptr::addr_of!(environ).read() };
    if entry.is_null() {
        return;
    }
    loop {
        // SAFETY: the array ends with a null pointer, at which this loop ends.
        let text = unsafe { entry.read() };
        if text.is_null() {
            return;
        }
        // SAFETY: every entry before that is a string that ends with a NUL.
        let bytes = unsafe { CStr::from_ptr(text) }.to_bytes();
        let value = bytes
            .strip_prefix(name.as_bytes())
            .and_then(|rest| rest.strip_prefix(b"="))
            .map(|value| (bytes.len() - value.len(), value.len()));
        if let Some((start, length)) = value {
            for offset in start..start + length {
                // SAFETY: inside the string, its NUL excluded. The kernel puts the strings on the stack, and
                // `setenv` on the heap: both are writable. (Only a host that hands `putenv` a constant
                // has others.)
                unsafe { text.wrapping_add(offset).write_volatile(0) };
            }
        }
        // SAFETY: behind an entry that isn't the last pointer there is another.
        entry = unsafe { entry.add(1) };
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::process::Command;

    #[test]
    fn the_value_is_gone_from_where_the_system_has_it() {
        // The child: this very test, with the variable set.
        if std::env::var_os("STRONGROOM_TEST_VARIABLE").is_some() {
            let before = std::fs::read("/proc/self/environ").unwrap();
            assert!(
                before.windows(14).any(|window| window == b"marker-of-test"),
                "the control"
            );
            super::wipe("STRONGROOM_TEST_VARIABLE");
            let after = std::fs::read("/proc/self/environ").unwrap();
            assert!(!after.windows(14).any(|window| window == b"marker-of-test"));
            assert!(
                after
                    .windows(17)
                    .any(|window| window == b"another=unharmed\0")
            );
            return;
        }
        let name = "environment::tests::the_value_is_gone_from_where_the_system_has_it";
        let ended = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name])
            .env("STRONGROOM_TEST_VARIABLE", "marker-of-test")
            .env("another", "unharmed")
            .status()
            .unwrap();
        assert!(ended.success());
    }
}
