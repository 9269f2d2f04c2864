//! What happens to a process that reaches past its memory, or hasn't enough: one child each, which is
//! this very executable, and exactly how it ends.
#![allow(clippy::unwrap_used, unsafe_code)]

use std::{
    collections::BTreeMap,
    hint::black_box,
    os::unix::process::ExitStatusExt,
    process::{Command, exit},
    ptr,
};

use rustix::process::{Resource, Rlimit, setrlimit};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
use strongroom_memory::{
    Arena, Buffer, Guarded,
    arena::{Backing, Fallback, Options},
    wiped_stack,
};

fn arena(backing: Backing, fallback: Fallback) -> Arena {
    Arena::new(Options {
        backing,
        fallback,
        ..Options::new(1 << 20)
    })
    .unwrap()
}

fn address(buffer: &Buffer) -> *mut u8 {
    buffer.pin().unwrap().as_ptr().as_ptr()
}

/// Changes a byte where it may be none of ours.
fn write(address: *mut u8) {
    // SAFETY: there is none: this is the fault, in a process that ends by it.
    let byte = unsafe { ptr::read_volatile(address) };
    // SAFETY: as above.
    unsafe { ptr::write_volatile(address, !byte) };
}

fn read(address: *mut u8) {
    // SAFETY: there is none: this is the fault, in a process that ends by it.
    black_box(unsafe { ptr::read_volatile(address) });
}

/// An ordinary user, whom limits hold.
fn nobody() {
    // SAFETY: changes the user of this process, which has one thread that matters.
    assert_eq!(unsafe { libc::setgid(65_534) }, 0);
    // SAFETY: as above.
    assert_eq!(unsafe { libc::setuid(65_534) }, 0);
}

fn no_locked_memory() {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    setrlimit(Resource::Memlock, none).unwrap();
    nobody();
}

/// As on a kernel without it.
fn no_memfd_secret() {
    let filter = SeccompFilter::new(
        BTreeMap::from([(libc::SYS_memfd_secret, Vec::new())]),
        SeccompAction::Allow,
        SeccompAction::Errno(libc::ENOSYS.unsigned_abs()),
        std::env::consts::ARCH.try_into().unwrap(),
    )
    .unwrap();
    seccompiler::apply_filter(&BpfProgram::try_from(filter).unwrap()).unwrap();
}

/// Whether the kernel says of every page that it is in no core dump and no forked child.
fn excluded(address: *mut u8) -> bool {
    let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let mut inside = false;
    for line in smaps.lines() {
        let range = line.split(' ').next().unwrap().split_once('-');
        let hexadecimal = |text| usize::from_str_radix(text, 16);
        if let Some((Ok(from), Ok(to))) =
            range.map(|(from, to)| (hexadecimal(from), hexadecimal(to)))
        {
            inside = (from..to).contains(&(address as usize));
        } else if let Some(flags) = line.strip_prefix("VmFlags:")
            && inside
        {
            let flags: Vec<_> = flags.split_whitespace().collect();
            return ["lo", "dc", "dd"].iter().all(|flag| flags.contains(flag));
        }
    }
    false
}

#[test]
#[ignore = "the child of the other tests"]
fn does() {
    let what = std::env::var("FAULT").unwrap();
    let backing = match std::env::var("BACKING").unwrap().as_str() {
        "secret" => Backing::Secret,
        _ => Backing::Locked,
    };
    let strict = || arena(backing, Fallback::Refuse);
    match what.as_str() {
        "overrun" => write(address(&strict().allocate(64, "test").unwrap()).wrapping_add(64)),
        "overread" => read(address(&strict().allocate(64, "test").unwrap()).wrapping_add(64)),
        "underrun" => write(address(&strict().allocate(64, "test").unwrap()).wrapping_sub(1)),
        "far underrun" => {
            write(address(&strict().allocate(64, "test").unwrap()).wrapping_sub(4000));
        }
        "beneath" => write(address(&strict().allocate(64, "test").unwrap()).wrapping_sub(4096)),
        "write after free" => {
            let arena = strict();
            let freed = address(&arena.allocate(64, "first").unwrap());
            write(freed);
            arena.allocate(64, "second").unwrap();
        }
        "large read after free" => {
            let arena = strict();
            let freed = address(&arena.allocate(100_000, "test").unwrap());
            read(freed);
        }
        "stack overflow" => {
            fn deeper(depth: usize) -> usize {
                let frame = black_box([depth; 512]);
                if frame[0] == usize::MAX {
                    0
                } else {
                    deeper(depth + 1) + black_box(frame)[1]
                }
            }
            black_box(wiped_stack(|| deeper(0)).unwrap());
        }
        "fork" => fork(backing),
        "read in a forked child" => {
            let arena = strict();
            let buffer = arena.allocate(64, "test").unwrap();
            let address = address(&buffer);
            let status = forked(|| read(address));
            // As the child ended, so does this.
            assert_eq!(status, libc::SIGSEGV);
            exit(42);
        }
        "limits" => limits(backing),
        "no memfd_secret" => kernel_without(),
        "no addresses" => {
            let arena = arena(backing, Fallback::Report);
            let none = Rlimit {
                current: Some(1 << 20),
                maximum: Some(1 << 20),
            };
            setrlimit(Resource::As, none).unwrap();
            assert_eq!(
                arena.allocate(1000, "test").unwrap_err().code(),
                "memory.refused"
            );
            exit(42);
        }
        "flags" => {
            let buffer = strict().allocate(64, "test").unwrap();
            assert!(excluded(address(&buffer)));
            let mut local = 0;
            assert!(!excluded(&raw mut local));
            exit(42);
        }
        other => panic!("{other}"),
    }
}

/// Runs that in a forked child; returns how it ended.
fn forked(child: impl FnOnce()) -> i32 {
    // SAFETY: the child calls nothing that another thread's lock could hold up: it is the only one
    // that works here.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        // libtest's other thread isn't there: nobody would end this process.
        // SAFETY: resets a handler of Rust's to the kernel's.
        unsafe { libc::signal(libc::SIGSEGV, libc::SIG_DFL) };
        child();
        // SAFETY: ends the process, without handlers.
        unsafe { libc::_exit(43) };
    }
    let mut status = 0;
    // SAFETY: the child is ours, and the address that of a local.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    status
}

fn fork(backing: Backing) {
    let arena = arena(backing, Fallback::Refuse);
    let mut buffer = arena.allocate(64, "test").unwrap();
    buffer.view_mut().unwrap().fill(7);
    let value = Guarded::new(&arena, "value", || 7).unwrap();
    wiped_stack(|| ()).unwrap();
    let copy = arena.clone();
    let status = forked(|| {
        let code = |error: strongroom_memory::ArenaError| error.code();
        assert_eq!(buffer.view().map(drop).unwrap_err().code(), "arena.forked");
        assert_eq!(buffer.close().unwrap_err().code(), "arena.forked");
        assert_eq!(value.get().map_err(code), Err("arena.forked"));
        assert_eq!(copy.allocate(1, "test").unwrap_err().code(), "arena.forked");
        assert!(copy.usage().buffers.is_empty());
        drop(copy);
        let own = self::arena(backing, Fallback::Refuse);
        let buffer = own.allocate(64, "own").unwrap();
        assert_eq!(*buffer.view().unwrap(), [0; 64]);
        assert_eq!(wiped_stack(|| 7).unwrap(), 7);
    });
    assert_eq!(status, 43 << 8);
    assert_eq!(*buffer.view().unwrap(), [7; 64]);
    assert_eq!(value.get().unwrap(), &7);
    exit(42);
}

fn limits(backing: Backing) {
    no_locked_memory();
    let refused = arena(backing, Fallback::Refuse)
        .allocate(64, "test")
        .unwrap_err();
    let code = if backing == Backing::Secret {
        "memory.not_secret"
    } else {
        "memory.not_locked"
    };
    assert_eq!(refused.code(), code);
    let reporting = arena(backing, Fallback::Report);
    let buffer = reporting.allocate(64, "test").unwrap();
    assert_eq!(buffer.backing(), Backing::Swappable);
    let usage = reporting.usage();
    assert_eq!(usage.buffers[0].backing, Backing::Swappable);
    assert!(
        usage
            .fallbacks
            .last()
            .unwrap()
            .starts_with("swappable memory instead: "),
        "{usage:?}"
    );
    assert_eq!(
        strongroom_memory::wiped_stack_backing().unwrap(),
        Backing::Swappable
    );
    // Nothing else is weaker: it is guarded.
    assert_eq!(usage.mapped[0].1 + usage.mapped[1].1, 0);
    write(address(&buffer).wrapping_add(64));
}

fn kernel_without() {
    no_memfd_secret();
    let refused = arena(Backing::Secret, Fallback::Refuse)
        .allocate(64, "test")
        .unwrap_err();
    assert_eq!(refused.code(), "memory.not_secret");
    let reporting = arena(Backing::Secret, Fallback::Report);
    assert_eq!(
        reporting.allocate(64, "test").unwrap().backing(),
        Backing::Locked
    );
    reporting.allocate(64, "test").unwrap();
    let fallbacks = reporting.usage().fallbacks;
    assert_eq!(fallbacks.len(), 1);
    assert!(fallbacks[0].contains("os error 38"), "{fallbacks:?}");
    exit(42);
}

/// How a child ended: its signal or its code, and what it said.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Signal(i32),
    Code(i32),
}

#[track_caller]
fn ends(what: &str, end: &End, says: &str) {
    for backing in ["secret", "locked"] {
        let output = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "does",
                "--ignored",
                "--nocapture",
                "--test-threads=1",
            ])
            .env("FAULT", what)
            .env("BACKING", backing)
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        let seen = match (output.status.signal(), output.status.code()) {
            (Some(signal), _) => End::Signal(signal),
            (None, code) => End::Code(code.unwrap()),
        };
        assert_eq!(&seen, end, "{what} in {backing} memory: {said}");
        assert!(said.contains(says), "{what} in {backing} memory: {said}");
    }
}

const FAULTS: End = End::Signal(libc::SIGSEGV);
const ABORTS: End = End::Signal(libc::SIGABRT);
const FINISHES: End = End::Code(42);

#[test]
fn the_first_byte_past_the_end_faults() {
    ends("overrun", &FAULTS, "");
    ends("overread", &FAULTS, "");
}

#[test]
fn bytes_before_the_start_are_found_when_it_is_freed() {
    let says = "strongroom: memory before a buffer was written to, found with the buffer for \"test\"; aborting";
    ends("underrun", &ABORTS, says);
    ends("far underrun", &ABORTS, says);
}

#[test]
fn the_page_beneath_faults() {
    ends("beneath", &FAULTS, "");
}

#[test]
fn a_write_after_free_is_found_when_the_slot_is_taken_again() {
    let says = "strongroom: memory of a buffer that was freed was written to, found with the buffer for \"second\"; aborting";
    ends("write after free", &ABORTS, says);
}

#[test]
fn a_large_buffer_that_was_freed_is_gone() {
    ends("large read after free", &FAULTS, "");
}

#[test]
fn the_wiped_stack_ends_at_a_guard_page() {
    ends("stack overflow", &FAULTS, "");
}

#[test]
fn a_forked_child_is_told_that_it_has_none() {
    ends("fork", &FINISHES, "");
    ends("read in a forked child", &FINISHES, "");
}

#[test]
fn without_locked_memory_it_is_refused_or_reported_and_guarded() {
    ends("limits", &FAULTS, "");
}

#[test]
fn without_addresses_no_fallback_helps() {
    ends("no addresses", &FINISHES, "");
}

#[test]
fn without_memfd_secret_it_is_refused_or_reported() {
    ends("no memfd_secret", &FINISHES, "");
}

#[test]
fn the_kernel_leaves_it_out_of_dumps_and_children() {
    ends("flags", &FINISHES, "");
}
