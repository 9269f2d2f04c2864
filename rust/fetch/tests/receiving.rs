//! Downloads that go to no file: with the checks of every other one, and refused by where they go.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::{io::Write, ops::ControlFlow, sync::Arc};

use strongroom_fetch::{FetchError, Policy, Resolve, Sink, receive};
use support::{World, redirect, remote, whole};

/// What came, and what was said before; more than `room` bytes are refused.
#[derive(Debug)]
struct Kept {
    bytes: Vec<u8>,
    lengths: Vec<Option<u64>>,
    room: usize,
}

#[derive(Debug)]
enum Refusal {
    Fetch(FetchError),
    NoRoom,
}

impl From<FetchError> for Refusal {
    fn from(error: FetchError) -> Self {
        Self::Fetch(error)
    }
}

impl Refusal {
    fn code(&self) -> &'static str {
        match self {
            Self::Fetch(error) => error.code(),
            Self::NoRoom => "no room",
        }
    }
}

impl Sink for Kept {
    type Error = Refusal;

    fn received(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn expect(&mut self, length: Option<u64>) -> Result<(), Refusal> {
        self.lengths.push(length);
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        if self.bytes.len() + bytes.len() > self.room {
            return Err(Refusal::NoRoom);
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }
}

fn kept(world: &World, policy: &Policy, url: &str, room: usize) -> (Kept, Result<(), Refusal>) {
    let resolver = Arc::clone(&world.names) as Arc<dyn Resolve>;
    let mut kept = Kept {
        bytes: Vec::new(),
        lengths: Vec::new(),
        room,
    };
    let go_on = &mut |_| ControlFlow::Continue(());
    let remote = remote(url).unwrap();
    let received = receive(&remote, policy, &world.limits, &resolver, &mut kept, go_on);
    (kept, received)
}

#[test]
fn its_length_is_said_before_its_bytes_where_the_host_says_it() {
    let world = World::new();
    let server = world.serve(|_, head, stream| {
        if head.starts_with("GET /declared ") {
            return whole(stream, b"a model", "");
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        stream.write_all(b"3\r\na m\r\n4\r\nodel\r\n0\r\n\r\n")
    });
    let policy = world.policy(&server);
    for (path, length) in [("/declared", Some(7)), ("/chunked", None)] {
        let (kept, received) = kept(&world, &policy, &server.url(path), 7);
        received.unwrap();
        assert_eq!(kept.bytes, b"a model");
        assert_eq!(kept.lengths, [length], "{path}");
    }
    let left = std::fs::read_dir(world.directory.path()).unwrap().count();
    assert_eq!(left, 0);
}

#[test]
fn what_is_refused_by_where_it_goes_or_by_the_checks_of_every_download() {
    let world = World::new();
    let other = world.serve(|_, _, stream| whole(stream, b"evil", ""));
    let elsewhere = other.url("/m");
    let server = world.serve(move |_, head, stream| {
        if head.starts_with("GET /away ") {
            return redirect(stream, &elsewhere);
        }
        if head.starts_with("GET /cut ") {
            return stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\na mod");
        }
        whole(stream, b"a model", "")
    });
    let policy = world.policy(&server);
    let code = |policy: &Policy, path: &str, room| {
        let (_, received) = kept(&world, policy, &server.url(path), room);
        received.unwrap_err().code()
    };
    assert_eq!(code(&policy, "/m", 6), "no room");
    assert_eq!(code(&policy, "/away", 100), "fetch.host");
    assert_eq!(code(&policy, "/cut", 100), "fetch.incomplete");
    assert_eq!(code(&world.closed(&server), "/m", 100), "fetch.address");
    assert_eq!(other.requests().len(), 0);
}

#[test]
fn a_size_that_is_not_permitted_is_refused_before_there_is_room_for_it() {
    let mut world = World::new();
    world.limits.size = 6;
    let server = world.serve(|_, _, stream| whole(stream, b"a model", ""));
    let policy = world.policy(&server);
    let (kept, received) = kept(&world, &policy, &server.url("/m"), 100);
    assert_eq!(received.unwrap_err().code(), "fetch.too_large");
    assert_eq!(kept.lengths, []);
}
