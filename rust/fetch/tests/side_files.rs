//! Small files that stand beside a model: bounded, from the same hosts, and kept nowhere.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::{io::Write, ops::ControlFlow, sync::Arc};

use strongroom_fetch::{FetchError, Policy, Resolve, read_side_file};
use support::{World, header, redirect, remote, sound, whole};

fn read(world: &World, policy: &Policy, url: &str, most: u64) -> Result<Vec<u8>, FetchError> {
    let resolver = Arc::clone(&world.names) as Arc<dyn Resolve>;
    let go_on = &mut |_| ControlFlow::Continue(());
    read_side_file(&remote(url)?, most, policy, &world.limits, &resolver, go_on)
}

fn refused(world: &World, policy: &Policy, url: &str, most: u64) -> &'static str {
    let error = read(world, policy, url, most).unwrap_err();
    sound(&error);
    error.code()
}

#[test]
fn its_bytes_are_returned_and_nothing_is_kept() {
    let world = World::new();
    let server = world.serve(|_, _, stream| whole(stream, b"a signature", ""));
    let policy = world.policy(&server);
    let url = server.url("/m.sig?token=SECRET");
    assert_eq!(read(&world, &policy, &url, 11).unwrap(), b"a signature");
    assert_eq!(header(&server.requests()[0], "range"), None);
    assert_eq!(
        std::fs::read_dir(world.directory.path()).unwrap().count(),
        0
    );
}

#[test]
fn one_byte_more_than_such_a_file_has() {
    let world = World::new();
    let server = world.serve(|_, head, stream| {
        if head.starts_with("GET /declared ") {
            return whole(stream, b"a signature", "");
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        // Without end.
        loop {
            stream.write_all(b"a\r\n0123456789\r\n")?;
        }
    });
    let policy = world.policy(&server);
    for path in ["/declared", "/endless"] {
        let code = refused(&world, &policy, &server.url(path), 10);
        assert_eq!(code, "fetch.side_file", "{path}");
    }
}

#[test]
fn from_the_hosts_that_are_named_alone() {
    let world = World::new();
    let other = world.serve(|_, _, stream| whole(stream, b"evil", ""));
    let elsewhere = other.url("/m.sig");
    let server = world.serve(move |_, _, stream| redirect(stream, &elsewhere));
    let policy = world.policy(&server);
    let code = refused(&world, &policy, &other.url("/m.sig"), 10);
    assert_eq!(code, "fetch.host");
    let code = refused(&world, &policy, &server.url("/m.sig"), 10);
    assert_eq!(code, "fetch.host");
    let code = refused(&world, &world.closed(&server), &server.url("/m.sig"), 10);
    assert_eq!(code, "fetch.address");
    assert_eq!(other.requests().len(), 0);
}

#[test]
fn cut_short_or_not_there() {
    let world = World::new();
    let server = world.serve(|_, head, stream| {
        if head.starts_with("GET /cut ") {
            return stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nsign");
        }
        stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
    });
    let policy = world.policy(&server);
    let code = refused(&world, &policy, &server.url("/cut"), 10);
    assert_eq!(code, "fetch.incomplete");
    let code = refused(&world, &policy, &server.url("/none"), 10);
    assert_eq!(code, "fetch.status");
}
