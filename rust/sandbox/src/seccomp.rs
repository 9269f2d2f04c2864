//! seccomp: installing the two allow-lists of [`policy`] and seeing them at work.

mod policy;

use std::io;

use seccompiler::{BpfProgram, apply_filter_all_threads};
use strongroom_protocol::{Layer, LayerName};

use crate::SandboxError;
use crate::error::refused;
use crate::process::in_force;
pub(crate) use policy::Stage;

/// The allow-list for loading.
pub(crate) fn load() -> Result<Layer, SandboxError> {
    install(Stage::Load, LayerName::SeccompLoad)
}

/// The allow-list for serving, on top of the one for loading.
pub(crate) fn serve() -> Result<Layer, SandboxError> {
    install(Stage::Serve, LayerName::SeccompServe)
}

fn install(stage: Stage, layer: LayerName) -> Result<Layer, SandboxError> {
    let policy = policy::Policy::of(stage);
    let calls = policy.allowed();
    let program: BpfProgram = policy
        .compile()
        .map_err(|error| refused(layer, "compiling the filter")(io::Error::other(error)))?;
    // TSYNC: the kernel sets it on every thread or on none.
    apply_filter_all_threads(&program)
        .map_err(|error| refused(layer, "seccomp")(io::Error::other(error)))?;

    let found = probe_openat();
    if found != stage.denial() {
        return Err(SandboxError::NotInForce {
            layer,
            found: format!("openat answered {}", io::Error::from_raw_os_error(found)),
        });
    }
    Ok(in_force(
        layer,
        format!("{calls} system calls on every thread, the rest kills"),
    ))
}

/// Reads the layer back: what `openat` answers to a path of address 0. The kernel would say EFAULT;
/// each filter has an answer of its own.
fn probe_openat() -> i32 {
    // SAFETY: the kernel checks the address and never writes to it; nothing can be opened.
    let result = unsafe {
        libc::syscall(
            libc::SYS_openat,
            -1,
            std::ptr::null::<libc::c_char>(),
            libc::O_RDONLY,
        )
    };
    if result == -1 {
        io::Error::last_os_error().raw_os_error().unwrap_or(0)
    } else {
        0
    }
}

/// Whether the kernel can kill a process for a call, answer with an errno, and set a filter on all
/// threads at once; names the first thing that it can't.
pub(crate) fn lacking() -> Option<&'static str> {
    let has = |action: u32| {
        // SAFETY: the kernel reads the four bytes of `action`.
        let result = unsafe {
            libc::syscall(
                libc::SYS_seccomp,
                libc::SECCOMP_GET_ACTION_AVAIL,
                0,
                &raw const action,
            )
        };
        result == 0
    };
    if !has(libc::SECCOMP_RET_KILL_PROCESS) {
        return Some("SECCOMP_RET_KILL_PROCESS");
    }
    if !has(libc::SECCOMP_RET_ERRNO) {
        return Some("SECCOMP_RET_ERRNO");
    }
    // seccomp(2): with a null filter a known flag answers EFAULT, an unknown one EINVAL.
    // SAFETY: the null pointer is what makes the call fail before it does anything.
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            libc::SECCOMP_FILTER_FLAG_TSYNC,
            std::ptr::null::<libc::c_void>(),
        )
    };
    let answer = io::Error::last_os_error().raw_os_error();
    if result == -1 && answer == Some(libc::EFAULT) {
        None
    } else {
        Some("SECCOMP_FILTER_FLAG_TSYNC")
    }
}
