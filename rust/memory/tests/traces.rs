//! What is left of a secret in the memory of its process, by reading all of it.
//!
//! Every scan is of a child process, which is this very executable, and has a control: a copy that is
//! meant to be there, and is found.
#![allow(clippy::print_stdout, clippy::unwrap_used, unsafe_code)]

mod scan;

use std::{
    hint::black_box,
    io::{BufRead, BufReader, Read, Write},
    os::unix::process::ExitStatusExt,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use strongroom_memory::{
    Arena, Buffer, Guarded, SecretKey,
    arena::{Backing, Options},
    wiped_stack,
};

use scan::Memory;

/// A child that stops wherever it prints a line, until it is told to go on.
struct Paused {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Paused {
    fn start(what: &str) -> Self {
        let mut child = child(what)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let output = BufReader::new(output);
        Self {
            child,
            input,
            output,
        }
    }

    /// Lets it run up to the line that says so.
    fn until(&mut self, line: &str) {
        let mut read = String::new();
        while !read.trim_end().ends_with(line) {
            read.clear();
            assert!(
                self.output.read_line(&mut read).unwrap() > 0,
                "it ended before {line}"
            );
        }
    }

    fn go_on(&mut self) {
        self.input.write_all(b".").unwrap();
    }

    /// What is in its memory now.
    fn memory(&self) -> Memory {
        Memory::of(self.child.id())
    }

    fn end(mut self) {
        self.go_on();
        assert!(self.child.wait().unwrap().success());
    }
}

fn child(what: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "does", "--ignored", "--nocapture"])
        .env("TRACES", what);
    command
}

/// Of the child: stops here.
fn pause(line: &str) {
    println!("{line}");
    std::io::stdout().flush().unwrap();
    std::io::stdin().read_exact(&mut [0]).unwrap();
}

/// Bytes that are in no program: what the child makes of `seed`, and the parent knows.
fn marker(seed: u8) -> [u8; 32] {
    let digest = ring::digest::digest(&ring::digest::SHA256, &[seed, 0x5A]);
    digest.as_ref().try_into().unwrap()
}

fn arena(backing: Backing) -> Arena {
    Arena::new(Options {
        backing,
        ..Options::new(1 << 20)
    })
    .unwrap()
}

fn seal_with(key: &LessSafeKey) {
    let mut message = *b"some of a file";
    let nonce = Nonce::assume_unique_for_key([7; 12]);
    let tag = key.seal_in_place_separate_tag(nonce, Aad::empty(), &mut message);
    black_box(tag.is_ok());
}

/// A buffer with the marker in it, and no copy of it elsewhere.
fn filled(arena: &Arena, seed: u8) -> Buffer {
    let mut buffer = arena.allocate(32, "marked").unwrap();
    let mut view = buffer.view_mut().unwrap();
    wiped_stack(|| view.copy_from_slice(&marker(seed))).unwrap();
    drop(view);
    buffer
}

extern "C" fn pause_at_exit() {
    pause("exiting");
}

#[test]
#[ignore = "the child of the other tests"]
fn does() {
    let what = std::env::var("TRACES").unwrap();
    match what.as_str() {
        "plain key" => {
            // Neither is the marker itself left anywhere by this: the schedule is what counts.
            let mut key = marker(1);
            seal_with(&LessSafeKey::new(
                UnboundKey::new(&AES_256_GCM, &key).unwrap(),
            ));
            black_box(&mut key).fill(0);
            pause("dropped");
        }
        "guarded key" => {
            let arena = arena(Backing::Locked);
            let key = SecretKey::new(&arena, "key", |room| {
                wiped_stack(|| *room = marker(1)).map(drop)
            })
            .unwrap();
            let schedule = Guarded::new(&arena, "schedule", || {
                let key = key.expose().unwrap();
                LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &key).unwrap())
            })
            .unwrap();
            wiped_stack(|| seal_with(schedule.get().unwrap())).unwrap();
            pause("used");
            drop((key, schedule));
            pause("dropped");
        }
        "buffer" => {
            let arena = arena(Backing::Locked);
            let buffer = filled(&arena, 2);
            pause("held");
            drop(buffer);
            pause("freed");
        }
        "secret buffer" | "locked buffer" => {
            let arena = arena(if what == "secret buffer" {
                Backing::Secret
            } else {
                Backing::Locked
            });
            let buffer = filled(&arena, 2);
            let control = wiped_stack(|| Box::new(marker(3))).unwrap();
            pause("held");
            drop((buffer, control));
        }
        "panic" => {
            let arena = arena(Backing::Locked);
            let panicked = std::panic::catch_unwind(|| {
                let _buffer = filled(&arena, 2);
                pause("held");
                panic!("meant");
            });
            assert!(panicked.is_err());
            pause("freed");
        }
        "exit" => {
            // Handlers run in the opposite order: this one after the arena's.
            // SAFETY: the function stays where it is.
            assert_eq!(unsafe { libc::atexit(pause_at_exit) }, 0);
            let arena = arena(Backing::Locked);
            std::mem::forget(filled(&arena, 2));
            pause("held");
            std::process::exit(0);
        }
        "core" => {
            rustix::process::setrlimit(
                rustix::process::Resource::Core,
                rustix::process::Rlimit {
                    current: Some(1 << 30),
                    maximum: Some(1 << 30),
                },
            )
            .unwrap();
            let arena = arena(Backing::Locked);
            let buffer = filled(&arena, 2);
            let control = wiped_stack(|| Box::new(marker(3))).unwrap();
            black_box((&buffer, &control));
            std::process::abort();
        }
        other => panic!("{other}"),
    }
}

/// Parts of the expanded key: the round keys as FIPS 197 defines them, 16 bytes each.
fn schedule(key: [u8; 32]) -> Vec<[u8; 16]> {
    // The S-box by its definition: the inverse in GF(2^8), then an affine map.
    fn times(a: u8, b: u8) -> u8 {
        let mut product = 0;
        let mut a = a;
        for bit in 0..8 {
            if b >> bit & 1 == 1 {
                product ^= a;
            }
            a = a << 1 ^ if a & 0x80 == 0 { 0 } else { 0x1B };
        }
        product
    }
    let substitute = |byte: u8| {
        let inverse = (1..=255)
            .find(|other| times(byte, *other) == 1)
            .unwrap_or(0_u8);
        (0..5).fold(0x63, |sum, turn| sum ^ inverse.rotate_left(turn))
    };
    let mut words: Vec<[u8; 4]> = key.as_chunks().0.to_vec();
    let mut constant = 1;
    for index in 8..60 {
        let mut word = words[index - 1];
        if index % 8 == 0 {
            word.rotate_left(1);
            word = word.map(substitute);
            word[0] ^= constant;
            constant = times(constant, 2);
        } else if index % 8 == 4 {
            word = word.map(substitute);
        }
        let before = words[index - 8];
        words.push(std::array::from_fn(|byte| word[byte] ^ before[byte]));
    }
    words
        .as_chunks::<4>()
        .0
        .iter()
        .map(|words| words.as_flattened().try_into().unwrap())
        .collect()
}

#[test]
fn the_schedule_is_that_of_fips_197() {
    let key = [
        0x60, 0x3d, 0xeb, 0x10, 0x15, 0xca, 0x71, 0xbe, 0x2b, 0x73, 0xae, 0xf0, 0x85, 0x7d, 0x77,
        0x81, 0x1f, 0x35, 0x2c, 0x07, 0x3b, 0x61, 0x08, 0xd7, 0x2d, 0x98, 0x10, 0xa3, 0x09, 0x14,
        0xdf, 0xf4,
    ];
    let last = [
        0xfe, 0x48, 0x90, 0xd1, 0xe6, 0x18, 0x8d, 0x0b, 0x04, 0x6d, 0xf3, 0x44, 0x70, 0x6c, 0x63,
        0x1e,
    ];
    assert_eq!(schedule(key).last(), Some(&last));
}

/// How many round keys, the first two of which are the key, are left: as bytes, and as ring may hold
/// them, with the bytes of each word turned round.
fn traces(child: &Paused) -> usize {
    let memory = child.memory();
    let rounds = schedule(marker(1));
    let turned = rounds.iter().map(|round| {
        let mut turned = *round;
        turned.chunks_exact_mut(4).for_each(<[u8]>::reverse);
        turned
    });
    let all = rounds.iter().copied().chain(turned);
    all.map(|round| memory.count(&round)).sum()
}

#[test]
fn a_key_of_ring_leaves_copies_on_an_ordinary_stack() {
    let mut child = Paused::start("plain key");
    child.until("dropped");
    let found = traces(&child);
    assert!(found > 0, "the control found nothing");
    println!("{found} round keys");
    child.end();
}

#[test]
fn a_guarded_key_leaves_none() {
    let mut child = Paused::start("guarded key");
    child.until("used");
    // In the arena, which is locked memory here, so that the scan can read it: the control.
    let used = traces(&child);
    child.go_on();
    child.until("dropped");
    assert!(used >= 15, "the control found {used}");
    assert_eq!(traces(&child), 0);
    child.end();
}

#[test]
fn what_was_freed_is_gone() {
    for (what, end) in [("buffer", "freed"), ("panic", "freed"), ("exit", "exiting")] {
        let mut child = Paused::start(what);
        child.until("held");
        assert_eq!(child.memory().count(&marker(2)), 1, "{what}: the control");
        child.go_on();
        child.until(end);
        assert_eq!(child.memory().count(&marker(2)), 0, "{what}");
        child.end();
    }
}

#[test]
fn the_kernel_itself_can_not_read_secret_memory() {
    let mut child = Paused::start("secret buffer");
    child.until("held");
    let memory = child.memory();
    assert!(memory.count(&marker(3)) > 0, "the control");
    assert_eq!(memory.count(&marker(2)), 0);
    child.end();
}

#[test]
#[ignore = "needs gdb: make memcheck"]
fn a_debuggers_dump_is_without_it() {
    for what in ["secret buffer", "locked buffer"] {
        let mut child = Paused::start(what);
        child.until("held");
        let folder = tempfile::tempdir().unwrap();
        let output = Command::new("gcore")
            .arg("-o")
            .arg(folder.path().join("core"))
            .arg(child.child.id().to_string())
            .output()
            .unwrap();
        let core = folder.path().join(format!("core.{}", child.child.id()));
        let core = std::fs::read(core)
            .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
        let count = |seed| memchr::memmem::find_iter(&core, &marker(seed)).count();
        assert!(count(3) > 0, "{what}: the control");
        assert_eq!(count(2), 0, "{what}");
        child.end();
    }
}

/// By the kernel's own dump.
#[test]
fn a_core_dump_is_without_it() {
    let pattern = std::fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
    if pattern.starts_with(['|', '/']) {
        // What is in force is asserted by `faults.rs` on every machine.
        eprintln!(
            "not tested: this machine's core dumps go to {}",
            pattern.trim()
        );
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let status = child("core").current_dir(folder.path()).status().unwrap();
    assert!(status.core_dumped(), "{status}");
    let core = std::fs::read_dir(folder.path())
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    let core = std::fs::read(core.path()).unwrap();
    let count = |seed| memchr::memmem::find_iter(&core, &marker(seed)).count();
    assert!(count(3) > 0, "the control");
    assert_eq!(count(2), 0);
}
