//! Corners of the kernel that a worker has no business in.

use std::arch::asm;

use crate::kernel::{call, enter, yes};
use crate::{Attack, Outcome, Situation};

pub(crate) const ATTACKS: &[(&str, Attack)] = &[
    ("io_uring", |_| {
        yes(call!(libc::SYS_io_uring_setup, 1, &mut [0; 120][..]))
    }),
    ("bpf", bpf),
    ("perf_event", perf_event),
    ("keyctl", |_| {
        const GET_KEYRING_ID: i32 = 0;
        const PROCESS_KEYRING: i32 = -2;
        yes(call!(libc::SYS_keyctl, GET_KEYRING_ID, PROCESS_KEYRING, 1))
    }),
    ("chroot", |_| yes(call!(libc::SYS_chroot, c"/"))),
    ("mount", |_| {
        call!(libc::SYS_unshare, libc::CLONE_NEWNS)?;
        yes(call!(
            libc::SYS_mount,
            0,
            c"/",
            0,
            libc::MS_REC | libc::MS_PRIVATE,
            0
        ))
    }),
    ("ioperm", |_| yes(call!(libc::SYS_ioperm, 0x80, 1, 1))),
    ("modify_ldt", |_| {
        yes(call!(libc::SYS_modify_ldt, 0, &mut [0; 16][..], 16))
    }),
    ("personality", |_| {
        yes(call!(libc::SYS_personality, 0xffff_ffff_u32))
    }),
    ("sysinfo", |_| {
        yes(call!(libc::SYS_sysinfo, &mut [0; 128][..]))
    }),
    ("uname", |_| yes(call!(libc::SYS_uname, &mut [0; 390][..]))),
    ("futex_pi", |_| {
        let word = [0_u8; 4];
        yes(call!(
            libc::SYS_futex,
            &word[..],
            libc::FUTEX_LOCK_PI | libc::FUTEX_PRIVATE_FLAG,
            0,
            0
        ))
    }),
    ("ioctl", |_| {
        yes(call!(libc::SYS_ioctl, 3, libc::FIONREAD, &mut [0; 4][..]))
    }),
    ("call", |situation| yes(enter(situation.number()?, &[]))),
    ("call_32_bit", call_32_bit),
];

fn bpf(_: &Situation) -> Outcome {
    // union bpf_attr for BPF_MAP_CREATE: an array of one element of four bytes.
    let mut attributes = [0_u8; 128];
    for (index, number) in [2_u32, 4, 4, 1].into_iter().enumerate() {
        attributes[4 * index..][..4].copy_from_slice(&number.to_ne_bytes());
    }
    yes(call!(libc::SYS_bpf, 0, &attributes[..], 128))
}

fn perf_event(_: &Situation) -> Outcome {
    // struct perf_event_attr: a software counter of this thread's own time in user space.
    let mut attributes = [0_u8; 64];
    attributes[0..4].copy_from_slice(&1_u32.to_ne_bytes());
    attributes[4..8].copy_from_slice(&64_u32.to_ne_bytes());
    attributes[40..48].copy_from_slice(&(1_u64 << 5 | 1 << 6).to_ne_bytes());
    yes(call!(
        libc::SYS_perf_event_open,
        &attributes[..],
        0,
        -1,
        -1,
        0
    ))
}

/// `getpid` by the gate of 32-bit programs, where the numbers of the calls are others.
fn call_32_bit(_: &Situation) -> Outcome {
    let result: i32;
    // SAFETY: the gate clobbers r8 to r11 at most; number 20 there is getpid, without arguments.
    unsafe {
        asm!("int 0x80", inlateout("eax") 20 => result,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _);
    }
    if result < 0 {
        Err(-result)
    } else {
        Ok("yes".to_owned())
    }
}
