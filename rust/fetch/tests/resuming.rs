//! Interrupted downloads: gone on with where the host allows it, begun anew where it doesn't.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::{
    fs::{self, OpenOptions},
    io::Write,
    ops::ControlFlow,
    path::PathBuf,
};

use strongroom_fetch::{Proof, Step};
use support::{Stream, World, bytes, cut, digest, names, offset, rest, sound, whole};

const SIZE: usize = 1 << 20;
const SENT: usize = SIZE / 2;

/// A host that hangs up in the middle of the first answer, and then answers as `second` does.
fn interrupted(
    world: &World,
    second: impl Fn(&str, &mut Stream) -> std::io::Result<()> + Send + Sync + 'static,
) -> support::Server {
    world.serve(move |number, head, stream| match number {
        0 => cut(stream, &bytes(SIZE), SENT, "\"v1\""),
        _ => second(head, stream),
    })
}

fn proof() -> Proof<'static> {
    Proof::Digest(digest(&bytes(SIZE)))
}

fn part(world: &World) -> Option<PathBuf> {
    let partial = world.directory.path().join("cache/partial");
    let name = names(&partial)
        .into_iter()
        .find(|name| name.contains(".part"));
    name.map(|name| partial.join(name))
}

/// Interrupts, does `harm`, and fetches again: the offsets that were asked for, in order.
fn resumed(
    second: impl Fn(&str, &mut Stream) -> std::io::Result<()> + Send + Sync + 'static,
    harm: impl FnOnce(&World),
) -> Vec<Option<usize>> {
    let world = World::new();
    let server = interrupted(&world, second);
    let policy = world.policy(&server);
    let url = server.url("/m");
    assert_eq!(world.refused(&policy, &url, proof()), "fetch.incomplete");
    assert_eq!(
        fs::metadata(part(&world).unwrap()).unwrap().len(),
        SENT as u64
    );
    harm(&world);
    let fetched = world.fetch(&policy, &url, proof()).unwrap();
    assert_eq!(fs::read(fetched.path).unwrap(), bytes(SIZE));
    assert_eq!(part(&world), None);
    server.requests().iter().map(|head| offset(head)).collect()
}

#[test]
fn what_is_missing_is_asked_for() {
    let asked = resumed(
        |head, stream| rest(stream, head, &bytes(SIZE), "\"v1\""),
        |_| {},
    );
    assert_eq!(asked, [None, Some(SENT)]);
}

#[test]
fn a_host_that_ignores_the_range_sends_everything() {
    let asked = resumed(
        |_, stream| whole(stream, &bytes(SIZE), "ETag: \"v1\"\r\n"),
        |_| {},
    );
    assert_eq!(asked, [None, Some(SENT)]);
}

#[test]
fn parts_that_were_not_asked_for_are_not_taken() {
    for range in [
        format!("Content-Range: bytes {}-{}/{SIZE}", SENT + 1, SIZE - 1),
        format!("Content-Range: bytes {}-{}/{SIZE}", SENT - 1, SIZE - 1),
        format!("Content-Range: bytes {SENT}-{}/{SIZE}", SIZE - 2),
        format!("Content-Range: bytes {SENT}-{}/{}", SIZE, SIZE + 1),
        format!("Content-Range: bytes {SENT}-{}/*", SIZE - 1),
        "Content-Range: nonsense".to_owned(),
        "X: none at all".to_owned(),
    ] {
        for (etag, status) in [("\"v1\"", "206 Partial Content"), ("\"v1\"", "416 No")] {
            let range = range.clone();
            let asked = resumed(
                move |head, stream| match offset(head) {
                    Some(_) => {
                        let length = SIZE - SENT;
                        let text = format!(
                            "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nETag: {etag}\r\n{range}\r\n\r\n"
                        );
                        stream.write_all(text.as_bytes())?;
                        stream.write_all(&bytes(SIZE)[SENT..])
                    }
                    None => whole(stream, &bytes(SIZE), ""),
                },
                |_| {},
            );
            assert_eq!(asked, [None, Some(SENT), None]);
        }
    }
}

#[test]
fn another_version_in_the_second_part_is_not_taken() {
    for etag in ["ETag: \"v2\"", "ETag: W/\"v1\"", "ETag: v1", "X: none"] {
        let asked = resumed(
            move |head, stream| match offset(head) {
                Some(start) => {
                    let text = format!(
                        "HTTP/1.1 206 Partial Content\r\nContent-Length: {}\r\n{etag}\r\n\
                         Content-Range: bytes {start}-{}/{SIZE}\r\n\r\n",
                        SIZE - start,
                        SIZE - 1
                    );
                    stream.write_all(text.as_bytes())?;
                    stream.write_all(&vec![0; SIZE - start])
                }
                None => whole(stream, &bytes(SIZE), ""),
            },
            |_| {},
        );
        assert_eq!(asked, [None, Some(SENT), None], "{etag}");
    }
}

#[test]
fn content_that_was_swapped_under_the_same_version_is_begun_anew() {
    let asked = resumed(
        |head, stream| match offset(head) {
            Some(_) => rest(stream, head, &vec![0; SIZE], "\"v1\""),
            None => whole(stream, &bytes(SIZE), ""),
        },
        |_| {},
    );
    assert_eq!(asked, [None, Some(SENT), None]);
    // And refused where the host keeps at it.
    let world = World::new();
    let server = interrupted(&world, |head, stream| {
        rest(stream, head, &vec![0; SIZE], "\"v1\"")
    });
    let policy = world.policy(&server);
    for code in ["fetch.incomplete", "checksum.mismatch"] {
        assert_eq!(world.refused(&policy, &server.url("/m"), proof()), code);
    }
    assert_eq!(server.requests().len(), 3);
    assert_eq!(part(&world), None);
}

#[test]
fn what_lies_in_the_cache_is_not_believed() {
    let again = |head: &str, stream: &mut Stream| rest(stream, head, &bytes(SIZE), "\"v1\"");
    let file = |world: &World| {
        OpenOptions::new()
            .write(true)
            .open(part(world).unwrap())
            .unwrap()
    };
    // Bytes that changed: the digest tells.
    let asked = resumed(again, |world| file(world).write_all(&[9; 100]).unwrap());
    assert_eq!(asked, [None, Some(SENT), None]);
    // Fewer bytes, and none.
    let asked = resumed(again, |world| file(world).set_len(1000).unwrap());
    assert_eq!(asked, [None, Some(1000)]);
    let asked = resumed(again, |world| file(world).set_len(0).unwrap());
    assert_eq!(asked, [None, None]);
    // More than there can be.
    let asked = resumed(again, |world| file(world).set_len(SIZE as u64 + 1).unwrap());
    assert_eq!(asked, [None, None]);
    // All, of which the second half are zeros: no request is needed to see that it's wrong.
    let asked = resumed(again, |world| file(world).set_len(SIZE as u64).unwrap());
    assert_eq!(asked, [None, None]);
    for text in [
        "",
        "nonsense",
        "strongroom-partial 2\n1048576\n\"v1\"\n",
        "strongroom-partial 1\n1048576\n",
        "strongroom-partial 1\n-1\n\"v1\"\n",
        "strongroom-partial 1\n1048576\nW/\"v1\"\n",
        "strongroom-partial 1\n1048576\n\"v\r\nX: y\"\n",
    ] {
        let asked = resumed(again, |world| {
            let meta = part(world).unwrap().with_extension("meta");
            fs::write(meta, text).unwrap();
        });
        assert_eq!(asked, [None, None], "{text:?}");
    }
}

#[test]
fn a_complete_file_that_only_lacked_its_name_is_not_downloaded_again() {
    let world = World::new();
    let server = interrupted(&world, |_, _| Ok(()));
    let policy = world.policy(&server);
    let url = server.url("/m");
    assert_eq!(world.refused(&policy, &url, proof()), "fetch.incomplete");
    fs::write(part(&world).unwrap(), bytes(SIZE)).unwrap();
    assert_eq!(
        world.fetch(&policy, &url, proof()).unwrap().size,
        SIZE as u64
    );
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn without_a_strong_version_every_byte_is_asked_for_again() {
    for etag in ["W/\"v1\"", "v1", "\"\u{7f}\"", "\"a\"b\""] {
        let world = World::new();
        let server = world.serve(move |number, _, stream| match number {
            0 => cut(stream, &bytes(SIZE), SENT, etag),
            _ => whole(stream, &bytes(SIZE), ""),
        });
        let policy = world.policy(&server);
        let first = world
            .fetch(&policy, &server.url("/m"), proof())
            .unwrap_err();
        sound(&first);
        world.fetch(&policy, &server.url("/m"), proof()).unwrap();
        assert!(
            server.requests().iter().all(|head| offset(head).is_none()),
            "{etag}"
        );
    }
}

#[test]
fn cancelled_in_the_middle_it_goes_on_from_there() {
    let world = World::new();
    let server = world.serve(|number, head, stream| {
        if number > 0 {
            return rest(stream, head, &bytes(SIZE), "\"v1\"");
        }
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\nETag: \"v1\"\r\n\r\n");
        stream.write_all(head.as_bytes())?;
        stream.write_all(&bytes(SIZE)[..SENT])?;
        loop {
            std::thread::park();
        }
    });
    let policy = world.policy(&server);
    let url = server.url("/m");
    let error = world
        .watched(&policy, &url, proof(), &mut |step| match step {
            Step::Receiving(done, _) if done == SENT as u64 => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        })
        .unwrap_err();
    assert_eq!(error.code(), "fetch.cancelled");
    let mut first = None;
    world
        .watched(&policy, &url, proof(), &mut |step| {
            if let Step::Receiving(done, _) = step {
                first.get_or_insert(done);
            }
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(first, Some(SENT as u64));
    assert_eq!(offset(&server.requests()[1]), Some(SENT));
}
