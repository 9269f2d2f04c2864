//! Files of the cache by the names that make them the parts of one model.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::{fs, os::unix::fs::symlink};

use strongroom_fetch::Proof;
use support::{World, digest, names, sound, whole};

#[test]
fn parts_lie_beside_each_other_under_their_names() {
    let world = World::new();
    let server = world.serve(|_, head, stream| {
        let body: &[u8] = if head.contains("/1 ") { b"one" } else { b"two" };
        whole(stream, body, "")
    });
    let policy = world.policy(&server);
    for (path, body) in [("/1", b"one"), ("/2", b"two")] {
        let fetched = world.fetch(&policy, &server.url(path), Proof::Digest(digest(body)));
        assert!(!fetched.unwrap().cached);
    }
    let cache = world.cache();
    let files = [
        ("m-00001-of-00002.gguf", digest(b"one")),
        ("m-00002-of-00002.gguf", digest(b"two")),
    ];
    let first = cache.assemble(&files).unwrap();
    let second = first.with_file_name(files[1].0);
    assert_eq!(fs::read(&first).unwrap(), b"one");
    assert_eq!(fs::read(&second).unwrap(), b"two");
    assert_eq!(names(first.parent().unwrap()).len(), 2);
    assert_eq!(cache.assemble(&files).unwrap(), first);
    // What was put in the place of one gives way.
    fs::remove_file(&second).unwrap();
    symlink("/dev/null", &second).unwrap();
    assert_eq!(cache.assemble(&files).unwrap(), first);
    assert_eq!(fs::read(&second).unwrap(), b"two");
    fs::remove_file(&second).unwrap();
    fs::write(&second, b"other").unwrap();
    assert_eq!(cache.assemble(&files).unwrap(), first);
    assert_eq!(fs::read(&second).unwrap(), b"two");
    // Other digests, and other names, are other models.
    let swapped = [(files[0].0, files[1].1), (files[1].0, files[0].1)];
    let other = cache.assemble(&swapped).unwrap();
    assert_ne!(other, first);
    assert_eq!(fs::read(&other).unwrap(), b"two");
    assert_eq!(fs::read(&first).unwrap(), b"one");
}

#[test]
fn names_that_lead_elsewhere() {
    let world = World::new();
    let cache = world.cache();
    for name in ["", ".", "..", "a/b", "/a", "a/", "a\nb", "a\0b"] {
        let error = cache.assemble(&[(name, digest(b"one"))]).unwrap_err();
        sound(&error);
        assert_eq!(error.code(), "fetch.cache", "{name:?}");
    }
    assert_eq!(names(&world.directory.path().join("cache/parts")), [""; 0]);
}
