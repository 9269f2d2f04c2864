//! What a caller's check, a signature's for example, means for a file that the cache has.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::{
    cell::Cell,
    fs,
    io::{Read, Seek},
    ops::ControlFlow,
    sync::Arc,
};

use strongroom_fetch::{FetchError, Fetched, Fetcher, Policy, Proof, Recheck, Resolve, Unproved};
use support::{World, cut, names, remote, rest, sound, whole};

fn unproved(kept: bool) -> Unproved {
    Unproved {
        code: "signature.example",
        message: "the signature is another's".to_owned(),
        next_step: "ask its signer".to_owned(),
        kept,
    }
}

/// Accepts these bytes and no others.
fn only<'a>(accepted: &'a [u8], asked: &'a Cell<usize>) -> Proof<'a> {
    Proof::Check {
        algorithms: Vec::new(),
        check: Box::new(move |_, mut file| {
            asked.set(asked.get() + 1);
            let mut found = Vec::new();
            file.rewind().unwrap();
            file.read_to_end(&mut found).unwrap();
            (found == accepted).then_some(()).ok_or(unproved(false))
        }),
    }
}

fn fetch(
    world: &World,
    policy: &Policy,
    url: &str,
    proof: Proof<'_>,
    recheck: Recheck,
) -> Result<Fetched, FetchError> {
    Fetcher::new(&world.cache(), policy)
        .limits(world.limits.clone())
        .resolver(Arc::clone(&world.names) as Arc<dyn Resolve>)
        .fetch(&remote(url).unwrap(), proof, recheck, &mut |_| {
            ControlFlow::Continue(())
        })
}

#[test]
fn what_it_accepts_is_found_without_a_host() {
    let world = World::new();
    let server = world.serve(|_, _, stream| whole(stream, b"one", ""));
    let policy = world.policy(&server);
    let url = server.url("/m");
    let asked = Cell::new(0);
    for (recheck, cached, looks) in [
        (Recheck::Now, false, 1),
        (Recheck::Now, true, 2),
        // Whoever loads it checks it again.
        (Recheck::WhenLoaded, true, 2),
    ] {
        let fetched = fetch(&world, &policy, &url, only(b"one", &asked), recheck).unwrap();
        assert_eq!((fetched.cached, asked.get()), (cached, looks));
    }
    assert_eq!(server.requests().len(), 1);
    // Not of another source, though it has the same bytes.
    let other = fetch(
        &world,
        &policy,
        &server.url("/n"),
        only(b"one", &asked),
        Recheck::WhenLoaded,
    );
    assert!(!other.unwrap().cached);
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn another_version_is_asked_for() {
    let world = World::new();
    let server = world.serve(|number, _, stream| match number {
        0 => whole(stream, b"one", ""),
        _ => whole(stream, b"two", ""),
    });
    let policy = world.policy(&server);
    let url = server.url("/m");
    let asked = Cell::new(0);
    let get = |bytes| fetch(&world, &policy, &url, only(bytes, &asked), Recheck::Now);
    let first = get(b"one").unwrap();
    let second = get(b"two").unwrap();
    assert_eq!(
        (first.cached, second.cached, asked.get()),
        (false, false, 3)
    );
    assert_eq!(fs::read(second.path).unwrap(), b"two");
    // The host has neither; what it sends has no name, and what was there stays.
    let error = get(b"three").unwrap_err();
    sound(&error);
    assert_eq!(error.code(), "signature.example");
    assert_eq!(fs::read(first.path).unwrap(), b"one");
    let content = world.directory.path().join("cache/sha256");
    assert_eq!(names(&content).len(), 2);
}

#[test]
fn damaged_it_is_fetched_anew() {
    let world = World::new();
    let server = world.serve(|_, _, stream| whole(stream, b"one", ""));
    let policy = world.policy(&server);
    let url = server.url("/m");
    let asked = Cell::new(0);
    let get = || fetch(&world, &policy, &url, only(b"one", &asked), Recheck::Now).unwrap();
    let path = get().path;
    fs::remove_file(&path).unwrap();
    fs::write(&path, b"two").unwrap();
    assert!(!get().cached);
    assert_eq!(fs::read(path).unwrap(), b"one");
    // Only whole files are shown to it.
    assert_eq!(asked.get(), 2);
}

#[test]
fn a_check_that_could_not_be_made_costs_no_bytes() {
    let world = World::new();
    let server = world.serve(|number, head, stream| match number {
        0 => cut(stream, b"signed", 3, "\"1\""),
        _ => rest(stream, head, b"signed", "\"1\""),
    });
    let policy = world.policy(&server);
    let url = server.url("/m");
    let asked = Cell::new(0);
    let error = world
        .fetch(&policy, &url, only(b"signed", &asked))
        .unwrap_err();
    assert_eq!(error.code(), "fetch.incomplete");
    let unable = || Proof::Check {
        algorithms: Vec::new(),
        check: Box::new(|_, _| Err(unproved(true))),
    };
    assert_eq!(world.refused(&policy, &url, unable()), "signature.example");
    assert_eq!(world.refused(&policy, &url, unable()), "signature.example");
    assert!(
        !world
            .fetch(&policy, &url, only(b"signed", &asked))
            .unwrap()
            .cached
    );
    // The beginning, the rest, and nothing of it again.
    assert_eq!(server.requests().len(), 2);
    assert_eq!(asked.get(), 1);
    let error = fetch(&world, &policy, &url, unable(), Recheck::Now).unwrap_err();
    assert_eq!(error.code(), "signature.example");
    assert_eq!(server.requests().len(), 2);
}
