//! Making other processes, and reaching into those that are there.

use std::ffi::CStr;

use crate::kernel::{call, reap, yes};
use crate::{Attack, Outcome, Situation, leave};

const SHELL: &CStr = c"/bin/sh";

pub(crate) const ATTACKS: &[(&str, Attack)] = &[
    ("exec", |_| {
        exec(|words, none| call!(libc::SYS_execve, SHELL, words, none))
    }),
    ("execveat", |_| {
        exec(|words, none| call!(libc::SYS_execveat, libc::AT_FDCWD, SHELL, words, none, 0))
    }),
    ("memfd_exec", memfd_exec),
    ("fork", |_| child(call!(libc::SYS_fork))),
    ("clone", |_| child(call!(libc::SYS_clone, libc::SIGCHLD))),
    ("clone3", clone3),
    ("thread", thread),
    ("ptrace", |situation| {
        const PTRACE_SEIZE: i32 = 0x4206;
        yes(call!(
            libc::SYS_ptrace,
            PTRACE_SEIZE,
            situation.parent,
            0,
            0
        ))
    }),
    ("ptrace_of", |situation| {
        const PTRACE_SEIZE: i32 = 0x4206;
        yes(call!(
            libc::SYS_ptrace,
            PTRACE_SEIZE,
            situation.number::<i32>()?,
            0,
            0
        ))
    }),
    ("vm_read", |situation| {
        vm(libc::SYS_process_vm_readv, situation)
    }),
    ("vm_write", |situation| {
        vm(libc::SYS_process_vm_writev, situation)
    }),
    // SIGURG is ignored unless someone asked for it.
    ("kill", |situation| {
        yes(call!(libc::SYS_kill, situation.parent, libc::SIGURG))
    }),
    ("tgkill", |situation| {
        yes(call!(
            libc::SYS_tgkill,
            situation.parent,
            situation.parent,
            libc::SIGURG
        ))
    }),
    ("tkill", |situation| {
        yes(call!(libc::SYS_tkill, situation.parent, libc::SIGURG))
    }),
    // The signal that a worker may send, but to itself alone.
    ("abort_other", |situation| {
        let other: i32 = situation.number()?;
        yes(call!(libc::SYS_tgkill, other, other, libc::SIGABRT))
    }),
    ("sigqueue", sigqueue),
    ("pidfd_open", |situation| {
        yes(call!(libc::SYS_pidfd_open, situation.parent, 0))
    }),
    ("pidfd_getfd", |situation| {
        let parent = call!(libc::SYS_pidfd_open, situation.parent, 0)?;
        yes(call!(libc::SYS_pidfd_getfd, parent, 0, 0))
    }),
    ("pidfd_send_signal", |situation| {
        let parent = call!(libc::SYS_pidfd_open, situation.parent, 0)?;
        yes(call!(
            libc::SYS_pidfd_send_signal,
            parent,
            libc::SIGURG,
            0,
            0
        ))
    }),
    ("setns", |situation| {
        yes(call!(
            libc::SYS_setns,
            situation.namespace,
            libc::CLONE_NEWNET
        ))
    }),
    ("unshare", |_| {
        yes(call!(libc::SYS_unshare, libc::CLONE_NEWNS))
    }),
    ("affinity_parent", |situation| {
        yes(call!(
            libc::SYS_sched_getaffinity,
            situation.parent,
            128,
            &mut [0; 128][..]
        ))
    }),
    ("prlimit_parent", |situation| {
        yes(call!(
            libc::SYS_prlimit64,
            situation.parent,
            libc::RLIMIT_CPU,
            0,
            &mut [0; 16][..]
        ))
    }),
];

/// Runs a shell that says so.
fn exec(run: impl Fn(*const *const i8, *const *const i8) -> Result<usize, i32>) -> Outcome {
    let words = [
        c"sh".as_ptr(),
        c"-c".as_ptr(),
        c"echo works executed >&3".as_ptr(),
        std::ptr::null(),
    ];
    yes(run(words.as_ptr(), [std::ptr::null()].as_ptr()))
}

fn memfd_exec(_: &Situation) -> Outcome {
    let image = call!(libc::SYS_memfd_create, c"shell", 0)?;
    let shell = std::fs::read("/bin/sh").map_err(|_| libc::EIO)?;
    if call!(libc::SYS_write, image, &shell[..], shell.len())? != shell.len() {
        return Err(libc::EIO);
    }
    exec(|words, none| {
        call!(
            libc::SYS_execveat,
            image,
            c"",
            words,
            none,
            libc::AT_EMPTY_PATH
        )
    })
}

/// Both sides of a call that made a process.
fn child(made: Result<usize, i32>) -> Outcome {
    match made? {
        0 => leave(42),
        child => reap(child),
    }
}

fn clone3(_: &Situation) -> Outcome {
    // struct clone_args, first version: eight numbers, the fifth the signal at the end.
    let arguments = [0, 0, 0, 0, libc::SIGCHLD as u64, 0, 0, 0];
    child(call!(libc::SYS_clone3, arguments.as_ptr(), 64))
}

fn thread(_: &Situation) -> Outcome {
    match std::thread::Builder::new().spawn(|| 42) {
        Ok(thread) => Ok(format!("{}", thread.join().unwrap_or(0))),
        Err(error) => Err(error.raw_os_error().unwrap_or(0)),
    }
}

/// Copies the sixteen bytes at the address that is the argument, from or to the parent.
fn vm(number: i64, situation: &Situation) -> Outcome {
    let address: usize = situation.number()?;
    let mut bytes = *b"strongroom-test!";
    let ours = libc::iovec {
        iov_base: bytes.as_mut_ptr().cast(),
        iov_len: bytes.len(),
    };
    let theirs = libc::iovec {
        iov_base: std::ptr::without_provenance_mut(address),
        iov_len: bytes.len(),
    };
    let (ours, theirs) = (&raw const ours, &raw const theirs);
    call!(number, situation.parent, ours, 1, theirs, 1, 0)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn sigqueue(situation: &Situation) -> Outcome {
    // struct siginfo: signal, errno, and a code that says "queued".
    let mut info = [0; 128];
    info[..4].copy_from_slice(&libc::SIGURG.to_ne_bytes());
    info[8..12].copy_from_slice(&libc::SI_QUEUE.to_ne_bytes());
    yes(call!(
        libc::SYS_rt_sigqueueinfo,
        situation.parent,
        libc::SIGURG,
        &info[..]
    ))
}
