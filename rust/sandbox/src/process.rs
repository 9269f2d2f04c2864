//! What concerns the process itself: privileges, dumps, its parent, its signals.

use std::io;

use rustix::process::{
    DumpableBehavior, Signal, dumpable_behavior, getppid, parent_process_death_signal,
    set_dumpable_behavior, set_parent_process_death_signal,
};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set, no_new_privs,
    set_capabilities, set_no_new_privs,
};
use strongroom_protocol::{Layer, LayerName, LayerState, descriptor};

use crate::SandboxError;
use crate::error::refused;

/// A layer that is in force.
pub(crate) fn in_force(name: LayerName, detail: impl Into<String>) -> Layer {
    Layer {
        name,
        state: LayerState::InForce,
        detail: detail.into(),
    }
}

/// Requires that no other thread runs, which would keep what this one gives up.
pub(crate) fn single_threaded() -> Result<(), SandboxError> {
    let status = std::fs::read_to_string("/proc/self/status").map_err(refused(
        LayerName::LandlockFiles,
        "reading /proc/self/status",
    ))?;
    let threads = status
        .lines()
        .find_map(|line| line.strip_prefix("Threads:")?.trim().parse().ok())
        .unwrap_or(usize::MAX);
    if threads == 1 {
        Ok(())
    } else {
        Err(SandboxError::Threads { threads })
    }
}

/// No new privileges, no capability, no inherited personality.
pub(crate) fn no_new_privileges() -> Result<Layer, SandboxError> {
    const NAME: LayerName = LayerName::NoNewPrivileges;
    set_no_new_privs(true).map_err(refused(NAME, "PR_SET_NO_NEW_PRIVS"))?;
    clear_ambient_capability_set().map_err(refused(NAME, "PR_CAP_AMBIENT_CLEAR_ALL"))?;
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, none).map_err(refused(NAME, "capset"))?;
    // READ_IMPLIES_EXEC would make every readable page executable, behind the filter's back.
    // SAFETY: takes a number, touches no memory.
    if unsafe { libc::personality(0) } == -1 {
        return Err(refused(NAME, "personality")(io::Error::last_os_error()));
    }

    let held = capabilities(None).map_err(refused(NAME, "capget"))?;
    if !no_new_privs().map_err(refused(NAME, "PR_GET_NO_NEW_PRIVS"))? || held != none {
        return Err(SandboxError::NotInForce {
            layer: NAME,
            found: format!("{held:?}"),
        });
    }
    Ok(in_force(NAME, "set; no capability held"))
}

/// No core dump, and no ptrace or `/proc/PID/mem` by other processes of the same user.
pub(crate) fn not_dumpable() -> Result<Layer, SandboxError> {
    const NAME: LayerName = LayerName::NotDumpable;
    crate::limits::no_core()?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(refused(NAME, "PR_SET_DUMPABLE"))?;
    let found = dumpable_behavior().map_err(refused(NAME, "PR_GET_DUMPABLE"))?;
    if found != DumpableBehavior::NotDumpable {
        return Err(SandboxError::NotInForce {
            layer: NAME,
            found: format!("{found:?}"),
        });
    }
    Ok(in_force(NAME, "no core, no ptrace by the same user"))
}

/// SIGKILL when the host's thread ends. The host may have ended before: the socket's other end was
/// made by the host, so its creator has to be our parent still.
pub(crate) fn die_with_parent() -> Result<Layer, SandboxError> {
    const NAME: LayerName = LayerName::ParentDeath;
    set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(refused(NAME, "PR_SET_PDEATHSIG"))?;
    let found = parent_process_death_signal().map_err(refused(NAME, "PR_GET_PDEATHSIG"))?;
    if found != Some(Signal::KILL) {
        return Err(SandboxError::NotInForce {
            layer: NAME,
            found: format!("{found:?}"),
        });
    }
    let parent = getppid().map_or(0, |pid| pid.as_raw_nonzero().get());
    if parent != socket_maker()? {
        return Err(SandboxError::Orphaned);
    }
    Ok(in_force(NAME, "SIGKILL"))
}

/// The process that made the socket pair; 0 when it lies outside our process namespace.
fn socket_maker() -> Result<i32, SandboxError> {
    let mut maker = libc::ucred {
        pid: 0,
        uid: 0,
        gid: 0,
    };
    #[allow(clippy::cast_possible_truncation)] // twelve bytes
    let mut length = size_of_val(&maker) as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes, the size of `maker`, and any bytes are a
    // valid `ucred`. (rustix's type has no room for process 0.)
    let result = unsafe {
        libc::getsockopt(
            descriptor::SOCKET,
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut maker).cast(),
            &raw mut length,
        )
    };
    if result == 0 {
        Ok(maker.pid)
    } else {
        Err(SandboxError::Descriptor {
            descriptor: descriptor::SOCKET,
            expected: "a connected Unix socket",
        })
    }
}

/// Unblocks every signal and gives those that tell of a death their default effect. Both are
/// inherited through exec (Python ignores SIGXFSZ), and Rust's runtime catches SIGSEGV and SIGBUS,
/// whose handlers would then die of a forbidden call instead.
pub(crate) fn default_signals() -> Result<(), SandboxError> {
    const NAME: LayerName = LayerName::CpuTime;
    for signal in [
        libc::SIGABRT,
        libc::SIGBUS,
        libc::SIGFPE,
        libc::SIGILL,
        libc::SIGSEGV,
        libc::SIGSYS,
        libc::SIGTERM,
        libc::SIGTRAP,
        libc::SIGXCPU,
        libc::SIGXFSZ,
    ] {
        // SAFETY: SIG_DFL runs no code of ours.
        if unsafe { libc::signal(signal, libc::SIG_DFL) } == libc::SIG_ERR {
            return Err(refused(NAME, "signal")(io::Error::last_os_error()));
        }
    }
    let mut none = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: initializes the set it is given.
    unsafe { libc::sigemptyset(none.as_mut_ptr()) };
    // SAFETY: the set was initialized above, and the old mask isn't asked for.
    let result =
        unsafe { libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), std::ptr::null_mut()) };
    if result == 0 {
        Ok(())
    } else {
        Err(refused(NAME, "sigprocmask")(io::Error::last_os_error()))
    }
}
