//! Taking back what was given up, finding what was left lying about, and dying.

use std::ffi::CStr;

use crate::kernel::{call, yes};
use crate::{Attack, Outcome, Situation, say};

/// Where the harness leaves a secret open.
const SECRET: i32 = 9;

unsafe extern "C" {
    static environ: *const *const libc::c_char;
}

pub(crate) const ATTACKS: &[(&str, Attack)] = &[
    ("prctl_dumpable", |_| prctl(libc::PR_SET_DUMPABLE, 1)),
    ("prctl_no_new_privileges", |_| {
        prctl(libc::PR_SET_NO_NEW_PRIVS, 0)
    }),
    ("prctl_parent_death", |_| prctl(libc::PR_SET_PDEATHSIG, 0)),
    ("prctl_name", |_| {
        yes(call!(
            libc::SYS_prctl,
            libc::PR_SET_NAME,
            c"innocent",
            0,
            0,
            0
        ))
    }),
    ("laxer_filter", laxer_filter),
    // With a descriptor through which another process could let calls through.
    ("filter_listener", |_| {
        yes(filter(libc::SECCOMP_FILTER_FLAG_NEW_LISTENER))
    }),
    ("raise_memory", |_| raise(libc::RLIMIT_AS)),
    ("raise_processes", |_| raise(libc::RLIMIT_NPROC)),
    ("raise_files", |_| {
        let files: Vec<u8> = [64_u64, 64].iter().flat_map(|n| n.to_ne_bytes()).collect();
        yes(call!(
            libc::SYS_prlimit64,
            0,
            libc::RLIMIT_NOFILE,
            &files[..],
            0
        ))
    }),
    ("setrlimit", |_| {
        yes(call!(
            libc::SYS_setrlimit,
            libc::RLIMIT_CPU,
            &unlimited()[..]
        ))
    }),
    ("widen_cores", |_| {
        yes(call!(libc::SYS_sched_setaffinity, 0, 8, &[0xff; 8][..]))
    }),
    ("setuid", |_| yes(call!(libc::SYS_setuid, 0))),
    ("setresuid", |_| yes(call!(libc::SYS_setresuid, 0, 0, 0))),
    ("handler", handler),
    ("secret_descriptor", |_| {
        let mut text = [0; 6];
        call!(libc::SYS_read, SECRET, &mut text[..], 6)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }),
    ("file_size", |_| {
        yes(call!(libc::SYS_write, SECRET, &b"large"[..], 5))
    }),
    ("secret_environment", secret_environment),
    ("kept_environment", |_| {
        std::env::var("GGML_NO_BACKTRACE").map_err(|_| libc::ENOENT)
    }),
    ("duplicate", |_| yes(call!(libc::SYS_dup, 3))),
    ("report", |situation| Ok(situation.report.clone())),
    ("wait", |_| {
        say("waiting");
        loop {
            std::thread::park();
        }
    }),
    ("spin", |_| {
        loop {
            std::hint::spin_loop();
        }
    }),
    ("abort", |_| std::process::abort()),
    ("segfault", |_| {
        // SAFETY: none: reading address 8 is the point.
        let byte = unsafe { std::ptr::without_provenance::<u8>(8).read_volatile() };
        Ok(byte.to_string())
    }),
    ("overflow", |_| Ok(overflow(1).to_string())),
    ("double_free", |_| {
        double_free();
        Ok("yes".to_owned())
    }),
];

fn prctl(option: i32, value: i32) -> Outcome {
    yes(call!(libc::SYS_prctl, option, value, 0, 0, 0))
}

/// Two limits of "infinity".
fn unlimited() -> [u8; 16] {
    [0xff; 16]
}

fn raise(resource: u32) -> Outcome {
    yes(call!(libc::SYS_prlimit64, 0, resource, &unlimited()[..], 0))
}

/// Sets a filter that allows everything.
fn filter(flags: u64) -> Result<usize, i32> {
    let program = [libc::sock_filter {
        code: 0x06,
        jt: 0,
        jf: 0,
        k: libc::SECCOMP_RET_ALLOW,
    }];
    let program = libc::sock_fprog {
        len: 1,
        filter: program.as_ptr().cast_mut(),
    };
    prctl(libc::PR_SET_NO_NEW_PRIVS, 1)?;
    let set = libc::SECCOMP_SET_MODE_FILTER;
    call!(libc::SYS_seccomp, set, flags, &raw const program)
}

/// Sets it, then opens a file.
fn laxer_filter(_: &Situation) -> Outcome {
    filter(libc::SECCOMP_FILTER_FLAG_TSYNC)?;
    let path = c"/etc/passwd";
    yes(call!(
        libc::SYS_openat,
        libc::AT_FDCWD,
        path,
        libc::O_RDONLY
    ))
}

/// Asks to be called for SIGUSR1: the kernel's struct of 32 bytes, `SIG_IGN`, no flags.
fn handler(_: &Situation) -> Outcome {
    let mut action = [0; 32];
    action[0] = 1;
    yes(call!(
        libc::SYS_rt_sigaction,
        libc::SIGUSR1,
        &action[..],
        0,
        8
    ))
}

/// The addresses and lengths of the variables as they were inherited.
pub(crate) fn environment() -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    // SAFETY: one thread runs, and the C library keeps the array ended by a null pointer.
    let mut place = unsafe { environ };
    loop {
        // SAFETY: not past the null pointer, which ends the loop.
        let entry = unsafe { *place };
        if entry.is_null() {
            return found;
        }
        // SAFETY: an entry is a string.
        let text = unsafe { CStr::from_ptr(entry) };
        found.push((entry as usize, text.to_bytes().len()));
        // SAFETY: another element follows.
        place = unsafe { place.add(1) };
    }
}

/// Asks for the variable, then looks where it once stood.
fn secret_environment(situation: &Situation) -> Outcome {
    if let Ok(secret) = std::env::var("STRONGROOM_TEST_SECRET") {
        return Ok(secret);
    }
    for &(address, length) in &situation.environment {
        let place = std::ptr::with_exposed_provenance::<u8>(address);
        // SAFETY: the initial environment stays mapped as long as the process lives.
        let bytes = unsafe { std::slice::from_raw_parts(place, length) };
        if bytes.windows(6).any(|window| window == b"SECRET") {
            return Ok(String::from_utf8_lossy(bytes).into_owned());
        }
    }
    Err(libc::ENOENT)
}

/// Recurses until the stack is used up.
#[allow(unconditional_recursion)]
fn overflow(depth: u64) -> u64 {
    let frame = std::hint::black_box([depth; 512]);
    frame[1] + overflow(depth + 1)
}

/// glibc notices, says so on standard error, and aborts.
fn double_free() {
    // SAFETY: a block of this program's own.
    let block = unsafe { libc::malloc(1 << 12) };
    // SAFETY: the first time is right.
    unsafe { libc::free(block) };
    let block = std::hint::black_box(block);
    // SAFETY: none: freeing twice is the point; glibc checks for it.
    unsafe { libc::free(block) };
}
