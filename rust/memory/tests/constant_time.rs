//! The comparison of secrets takes a time that depends on their lengths alone.
//!
//! Not by a clock: memcheck follows each secret bit through the instructions of the compiled function, and
//! reports a branch or an address that depends on one. The method is Adam Langley's `ctgrind`
//! (2010). The children are this very executable under valgrind, each has its control, and `make
//! memcheck` compiles them as what is shipped is compiled: `subtle` asserts things in a debug build,
//! which are branches.
#![allow(clippy::print_stdout, clippy::unwrap_used, unsafe_code)]

mod valgrind;

use std::{
    hint::black_box,
    process::{Command, Output},
};

use strongroom_memory::{
    Arena, Secret, SecretKey,
    arena::{Backing, Options},
    equal,
};

/// Longest bytes compared: two lines of the cache, and a few of the next.
const LONGEST: usize = 130;
/// Places that bytes begin at, from a multiple of 64.
const ALIGNMENTS: [usize; 5] = [0, 1, 7, 16, 63];

/// Compares tainted bytes by `compare`; the answer alone is published.
fn answer(compare: impl FnOnce() -> bool) -> bool {
    // Stored as a byte: a branch on it before it is published would be reported too.
    let answer = black_box([u8::from(black_box(compare()))]);
    valgrind::publish(&answer);
    answer[0] == 1
}

/// Bytes that begin `alignment` bytes after a multiple of 64.
struct Aligned {
    bytes: Vec<u8>,
    start: usize,
}

impl Aligned {
    fn new(alignment: usize) -> Self {
        let bytes = vec![0; LONGEST + 128];
        let start = bytes.as_ptr().align_offset(64) + alignment;
        Self { bytes, start }
    }

    fn get(&mut self, length: usize) -> &mut [u8] {
        &mut self.bytes[self.start..self.start + length]
    }
}

/// Every length, every common prefix, several alignments of either side.
fn compare_all(compare: fn(&[u8], &[u8]) -> bool) -> usize {
    let mut compared = 0;
    for (left_at, right_at) in ALIGNMENTS.into_iter().zip(ALIGNMENTS.into_iter().rev()) {
        let (mut left, mut right) = (Aligned::new(left_at), Aligned::new(right_at));
        for length in 0..=LONGEST {
            let (left, right) = (left.get(length), right.get(length));
            for prefix in 0..=length {
                // The last prefix is all there is: they are equal.
                left.fill(0xA5);
                right.fill(0xA5);
                if let Some(byte) = right.get_mut(prefix) {
                    *byte ^= 1;
                }
                valgrind::taint(left);
                valgrind::taint(right);
                assert_eq!(answer(|| compare(left, right)), prefix == length);
                valgrind::publish(left);
                valgrind::publish(right);
                compared += 1;
            }
        }
    }
    compared
}

/// What is in an arena, a key against a key and a secret against bytes.
fn compare_secrets() -> usize {
    // Valgrind 3.19 has no `memfd_secret`.
    let arena = Arena::new(Options {
        backing: Backing::Locked,
        ..Options::new(1 << 20)
    })
    .unwrap();
    let mut compared = 0;
    for prefix in 0..=SecretKey::LENGTH {
        let make = |bytes: [u8; SecretKey::LENGTH]| {
            SecretKey::new(&arena, "key", |room| {
                *room = bytes;
                valgrind::taint(room);
                Ok::<_, strongroom_memory::ArenaError>(())
            })
            .unwrap()
        };
        let mut bytes = [0xA5; SecretKey::LENGTH];
        let key = make(bytes);
        if let Some(byte) = bytes.get_mut(prefix) {
            *byte ^= 1;
        }
        let other = make(bytes);
        assert_eq!(
            answer(|| key.is(&other).unwrap()),
            prefix == SecretKey::LENGTH
        );
        let token = Secret::new(&arena, bytes.len(), "token", |room| {
            room.fill(0xA5);
            valgrind::taint(room);
            Ok::<_, strongroom_memory::ArenaError>(())
        })
        .unwrap();
        // What is sent to be compared is no secret to the sender.
        assert_eq!(
            answer(|| token.is(&bytes).unwrap()),
            prefix == SecretKey::LENGTH
        );
        compared += 2;
    }
    compared
}

/// The control: as a comparison is written that stops where it knows.
fn equal_until_they_differ(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len() && left.iter().zip(right).all(|(left, right)| left == right)
}

#[test]
#[ignore = "the child of the other tests"]
fn compares() {
    assert!(valgrind::running());
    let compared = match std::env::var("COMPARES").unwrap().as_str() {
        "equal" => compare_all(equal),
        "secrets" => compare_secrets(),
        "early exit" => compare_all(equal_until_they_differ),
        "standard library" => compare_all(|left, right| black_box(left) == black_box(right)),
        other => panic!("{other}"),
    };
    println!("{compared} comparisons");
}

const REPORT: &str = "Conditional jump or move depends on uninitialised value(s)";

fn child(what: &str) -> Output {
    Command::new("valgrind")
        .args(["--quiet", "--error-exitcode=9", "--error-limit=no"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "compares", "--ignored", "--nocapture"])
        .env("COMPARES", what)
        .output()
        .unwrap()
}

fn passes(what: &str, comparisons: usize) {
    let output = child(what);
    let (said, reported) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert_eq!(output.status.code(), Some(0), "{said}\n{reported}");
    assert!(!reported.contains(REPORT), "{reported}");
    assert!(
        said.contains(&format!("{comparisons} comparisons")),
        "{said}"
    );
}

#[test]
#[ignore = "needs valgrind and a release build: make memcheck"]
fn no_branch_of_equal_depends_on_what_is_compared() {
    // A pair for each prefix of each length, at each alignment.
    let pairs = (0..=LONGEST).map(|length| length + 1).sum::<usize>();
    passes("equal", ALIGNMENTS.len() * pairs);
}

#[test]
#[ignore = "needs valgrind and a release build: make memcheck"]
fn no_branch_of_secrets_depends_on_what_is_compared() {
    passes("secrets", 2 * (SecretKey::LENGTH + 1));
}

#[test]
#[ignore = "needs valgrind and a release build: make memcheck"]
fn an_ordinary_comparison_is_reported() {
    for what in ["early exit", "standard library"] {
        let output = child(what);
        assert_eq!(output.status.code(), Some(9), "{what}: the control");
        let reported = String::from_utf8_lossy(&output.stderr);
        assert!(reported.contains(REPORT), "{what}: {reported}");
    }
}
