//! What an arena gives, counts and takes back.
#![allow(clippy::unwrap_used, unsafe_code)]

mod valgrind;

use std::{thread, time::Duration};

use strongroom_memory::{
    Arena, ArenaError, Guarded, Secret, SecretKey,
    arena::{Backing, Options},
};

/// Bytes of a page: of every x86-64.
const PAGE: usize = 4096;

/// What the arenas of these tests are of: valgrind 3.19, under which `make memcheck` runs them, has no
/// `memfd_secret`.
fn backing() -> Backing {
    if valgrind::running() {
        Backing::Locked
    } else {
        Backing::Secret
    }
}

fn arena(max_bytes: usize) -> Arena {
    Arena::new(Options {
        backing: backing(),
        ..Options::new(max_bytes)
    })
    .unwrap()
}

fn locked(max_bytes: usize, max_age: Option<Duration>) -> Arena {
    Arena::new(Options {
        max_age,
        backing: Backing::Locked,
        ..Options::new(max_bytes)
    })
    .unwrap()
}

#[test]
fn buffers_are_zeros_of_the_size_asked_for() {
    for arena in [arena(1 << 20), locked(1 << 20, None)] {
        for size in [
            1, 15, 16, 17, 64, 4080, 4081, 16_368, 16_369, 65_520, 65_521, 200_000,
        ] {
            for _ in 0..2 {
                let mut buffer = arena.allocate(size, "test").unwrap();
                assert_eq!(buffer.len(), size);
                assert_eq!(*buffer.view().unwrap(), vec![0; size]);
                buffer.view_mut().unwrap().fill(0xA5);
                assert_eq!(*buffer.view().unwrap(), vec![0xA5; size]);
            }
        }
    }
}

#[test]
fn the_end_lies_against_a_guard_page() {
    let arena = arena(1 << 20);
    for size in [1, 64, 5000, 100_000] {
        let buffer = arena.allocate(size, "test").unwrap();
        let view = buffer.view().unwrap();
        assert_eq!(view.as_ptr_range().end as usize % PAGE, 0);
    }
}

#[test]
fn usage_says_who_holds_what() {
    let arena = arena(1000);
    let key = arena.allocate(32, "session key").unwrap();
    let _prompt = arena.allocate(100, "prompt").unwrap();
    let usage = arena.usage();
    assert_eq!((usage.bytes, usage.max_bytes), (132, 1000));
    let seen: Vec<_> = usage
        .buffers
        .iter()
        .map(|buffer| {
            (
                buffer.purpose.as_str(),
                buffer.bytes,
                buffer.views,
                buffer.backing,
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            ("session key", 32, 0, backing()),
            ("prompt", 100, 0, backing()),
        ]
    );
    assert!(usage.mapped.contains(&(backing(), 16 * PAGE)));
    assert!(usage.fallbacks.is_empty());
    let view = key.view().unwrap();
    assert_eq!(arena.usage().buffers[0].views, 1);
    drop(view);
    drop(key);
    assert_eq!(arena.usage().bytes, 100);
    assert_eq!(arena.usage().buffers.len(), 1);
}

#[test]
fn the_limit_holds_across_threads() {
    let arena = arena(64 * 10);
    let allocated = || {
        let mut held = Vec::new();
        for _ in 0..10 {
            match arena.allocate(64, "race") {
                Ok(buffer) => held.push(buffer),
                Err(error) => assert_eq!(error.code(), "arena.over_limit"),
            }
        }
        held
    };
    let held: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(allocated)).collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    });
    assert_eq!(held.len(), 10);
    assert_eq!(arena.usage().bytes, 640);
    drop(held);
    assert_eq!(arena.usage().bytes, 0);
}

#[test]
fn what_can_not_be_is_refused() {
    let small = arena(10);
    assert_eq!(
        small.allocate(11, "big").unwrap_err().code(),
        "arena.over_limit"
    );
    assert_eq!(
        small.allocate(usize::MAX, "big").unwrap_err().code(),
        "arena.over_limit"
    );
    for (size, purpose) in [(0, "none"), (1, ""), (1, &*"x".repeat(129))] {
        assert_eq!(
            small.allocate(size, purpose).unwrap_err().code(),
            "arena.invalid"
        );
    }
    for options in [
        Options::new(0),
        Options::new(usize::MAX),
        Options {
            max_age: Some(Duration::ZERO),
            ..Options::new(1)
        },
        Options {
            backing: Backing::Swappable,
            ..Options::new(1)
        },
    ] {
        assert_eq!(Arena::new(options).unwrap_err().code(), "arena.invalid");
    }
}

fn until(condition: impl Fn() -> bool) {
    let start = std::time::Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(30));
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn idle_buffers_are_wiped_unless_they_are_viewed() {
    let max_age = Duration::from_millis(300);
    let arena = locked(1000, Some(max_age));
    let idle = arena.allocate(10, "idle").unwrap();
    let viewed = arena.allocate(10, "viewed").unwrap();
    let pinned = arena.allocate(10, "pinned").unwrap();
    let view = viewed.view().unwrap();
    let pin = pinned.pin().unwrap();
    // The thread of the arena needs nobody to ask.
    until(|| idle.is_closed());
    assert!(matches!(idle.view(), Err(ArenaError::Expired { .. })));
    assert_eq!(arena.usage().buffers.len(), 2);
    assert_eq!(*view, [0; 10]);
    assert_eq!(pinned.close().unwrap_err().code(), "arena.in_use");
    drop(view);
    drop(pin);
    viewed.view().unwrap();
    until(|| viewed.is_closed() && pinned.is_closed());
    assert_eq!(arena.usage().bytes, 0);
}

#[test]
fn what_expired_makes_room() {
    let max_age = Duration::from_secs(3600);
    let arena = locked(10, Some(max_age));
    let _full = arena.allocate(10, "first").unwrap();
    assert_eq!(
        arena.allocate(1, "second").unwrap_err().code(),
        "arena.over_limit"
    );
    assert_eq!(arena.reclaim(), 0);
}

#[test]
fn a_pin_outlives_its_buffer() {
    let arena = arena(1000);
    let buffer = arena.allocate(10, "pinned").unwrap();
    let pin = buffer.pin().unwrap();
    drop(buffer);
    assert_eq!(arena.usage().buffers[0].views, 1);
    drop(pin);
    assert_eq!(arena.usage().bytes, 0);
}

#[test]
fn closing_twice_is_harmless_and_final() {
    let arena = arena(1000);
    let buffer = arena.allocate(10, "closed").unwrap();
    buffer.close().unwrap();
    buffer.close().unwrap();
    assert!(buffer.is_closed());
    assert_eq!(buffer.view().map(drop).unwrap_err().code(), "arena.closed");
    assert_eq!(arena.usage().bytes, 0);
    let other = arena.allocate(10, "next").unwrap();
    drop(buffer);
    assert_eq!(arena.usage().bytes, 10);
    drop(other);
}

#[test]
fn values_live_there_until_they_are_dropped() {
    struct Tells<'a>(&'a std::cell::Cell<u32>);
    impl Drop for Tells<'_> {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
        }
    }
    let arena = arena(1000);
    let drops = std::cell::Cell::new(0);
    let value = Guarded::new(&arena, "value", || Tells(&drops)).unwrap();
    assert_eq!(value.get().unwrap().0.get(), 0);
    assert_eq!(format!("{value:?}"), "Guarded(\"value\")");
    drop(value);
    assert_eq!(drops.get(), 1);
    let failed = Guarded::try_new(&arena, "value", || {
        Err::<u8, _>(ArenaError::Invalid {
            name: "test",
            reason: "fails",
        })
    });
    assert_eq!(failed.unwrap_err().code(), "arena.invalid");
    let panicked =
        std::panic::catch_unwind(|| Guarded::new(&arena, "value", || -> u8 { panic!("meant") }));
    assert!(panicked.is_err());
    assert_eq!(arena.usage().bytes, 0);
    let nothing = Guarded::new(&arena, "nothing", || ()).unwrap();
    nothing.get().unwrap();
}

#[test]
fn keys_are_taken_compared_and_not_shown() {
    let arena = arena(1000);
    let mut bytes = [0xA5; 32];
    let key = SecretKey::take(&arena, &mut bytes, "key").unwrap();
    assert_eq!(bytes, [0; 32]);
    assert_eq!(*key.expose().unwrap(), [0xA5; 32]);
    let other = SecretKey::generate(&arena, "other").unwrap();
    assert!(!key.is(&other).unwrap());
    let mut bytes = [0xA5; 32];
    assert!(
        key.is(&SecretKey::take(&arena, &mut bytes, "same").unwrap())
            .unwrap()
    );
    let secret = Secret::generate(&arena, 9, "token").unwrap();
    assert!(!secret.is(&[0; 9]).unwrap());
    assert_eq!(
        format!("{key:?} {secret:?}"),
        "SecretKey(\"key\") Secret(\"token\", 9 bytes)"
    );
}

#[test]
fn keys_never_expire() {
    let max_age = Duration::from_millis(20);
    let arena = locked(1000, Some(max_age));
    let key = SecretKey::generate(&arena, "key").unwrap();
    let value = Guarded::new(&arena, "value", || 7).unwrap();
    thread::sleep(4 * max_age);
    arena.reclaim();
    key.expose().unwrap();
    assert_eq!(value.get().unwrap(), &7);
}
