//! Whole downloads, and bodies that lie about themselves.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::{fs, io::Write, ops::ControlFlow, os::unix::fs::PermissionsExt, sync::Arc};

use strongroom_fetch::{Fetcher, Proof, Recheck, Resolve, Step, Unproved};
use strongroom_verify::Algorithm;
use support::{World, bytes, digest, header, names, remote, sound, whole};

fn proved(body: &[u8]) -> Proof<'static> {
    Proof::Digest(digest(body))
}

#[test]
fn a_file_appears_under_its_digest_and_is_found_again() {
    let world = World::new();
    let body = bytes(3 << 20);
    let sent = body.clone();
    let server = world.serve(move |_, _, stream| whole(stream, &sent, ""));
    let policy = world.policy(&server);
    let url = server.url("/a/model.gguf?token=SECRET");
    let mut steps = Vec::new();
    let fetched = world
        .watched(&policy, &url, proved(&body), &mut |step| {
            steps.push(step);
            ControlFlow::Continue(())
        })
        .unwrap();
    assert!(!fetched.cached);
    assert_eq!(fetched.size, body.len() as u64);
    assert_eq!(fs::read(&fetched.path).unwrap(), body);
    let name = fetched.path.file_name().unwrap().to_str().unwrap();
    assert_eq!(format!("sha256:{name}"), digest(&body).to_string());
    let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(fetched.path.clone()), 0o400);
    assert_eq!(mode(world.directory.path().join("cache")), 0o700);
    assert_eq!(steps.first(), Some(&Step::Connecting));
    let size = Some(body.len() as u64);
    assert_eq!(
        steps.last(),
        Some(&Step::Receiving(body.len() as u64, size))
    );

    // The request names its host, asks for no encoding and carries nothing else.
    let head = &server.requests()[0];
    assert!(
        head.starts_with("GET /a/model.gguf?token=SECRET HTTP/1.1\r\n"),
        "{head}"
    );
    assert_eq!(
        header(head, "host"),
        Some(format!("models.test:{}", server.port).as_str())
    );
    assert_eq!(header(head, "accept-encoding"), Some("identity"));
    for absent in ["cookie", "authorization", "range", "referer"] {
        assert_eq!(header(head, absent), None);
    }
    // Nothing in the cache tells the query.
    for folder in ["partial", "index", "sha256"] {
        for name in names(&world.directory.path().join("cache").join(folder)) {
            assert!(!name.contains("SECRET"));
        }
    }

    assert!(world.fetch(&policy, &url, proved(&body)).unwrap().cached);
    // Also by an algorithm under which it isn't filed.
    let mut hasher = strongroom_verify::Hasher::new(Algorithm::Sha512);
    hasher.update(&body);
    let again = world.fetch(&policy, &url, Proof::Digest(hasher.finish()));
    assert!(again.unwrap().cached);
    assert_eq!(server.requests().len(), 1);

    // Damaged where it lies, it is fetched anew.
    fs::remove_file(&fetched.path).unwrap();
    fs::write(&fetched.path, b"other").unwrap();
    assert!(!world.fetch(&policy, &url, proved(&body)).unwrap().cached);
    assert_eq!(fs::read(&fetched.path).unwrap(), body);
    assert_eq!(server.requests().len(), 2);
    // And refused where the policy no longer allows it, though it is there.
    let closed = world.policy(&world.serve(|_, _, _| Ok(())));
    let error = world.fetch(&closed, &url, proved(&body)).unwrap_err();
    sound(&error);
    assert_eq!(error.code(), "fetch.host");
}

#[test]
fn what_the_cache_has_from_elsewhere_is_asked_for() {
    let world = World::new();
    let body = b"hello";
    let first = world.serve(|_, _, stream| whole(stream, b"hello", ""));
    let policy = world.policy(&first);
    let fetched = world.fetch(&policy, &first.url("/m"), proved(body));
    let path = fetched.unwrap().path;
    // The same bytes, of which another source never sent one; nor another file of the same host.
    let none = world.serve(|_, _, stream| {
        stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
    });
    for recheck in [Recheck::Now, Recheck::WhenLoaded] {
        let policy = world.policy(&none);
        let error = Fetcher::new(&world.cache(), &policy)
            .resolver(Arc::clone(&world.names) as Arc<dyn Resolve>)
            .fetch(
                &remote(&none.url("/m")).unwrap(),
                proved(body),
                recheck,
                &mut |_| ControlFlow::Continue(()),
            )
            .unwrap_err();
        sound(&error);
        assert_eq!(error.code(), "fetch.status");
    }
    assert_eq!(none.requests().len(), 2);
    // It stays what the first source had, and is found for that one alone until another sends it.
    let second = world.serve(|_, _, stream| whole(stream, b"hello", ""));
    let other = world.policy(&second);
    for cached in [false, true] {
        let again = world.fetch(&other, &second.url("/m"), proved(body));
        let again = again.unwrap();
        assert_eq!((again.cached, &again.path), (cached, &path));
    }
    assert!(
        world
            .fetch(&policy, &first.url("/m"), proved(body))
            .unwrap()
            .cached
    );
    assert_eq!((first.requests().len(), second.requests().len()), (1, 1));
    assert_eq!(fs::read(path).unwrap(), body);
}

#[test]
fn another_digest_leaves_nothing() {
    let world = World::new();
    let server = world.serve(|_, _, stream| whole(stream, b"evil", "ETag: \"1\"\r\n"));
    let policy = world.policy(&server);
    let code = world.refused(&policy, &server.url("/m"), proved(b"good"));
    assert_eq!(code, "checksum.mismatch");
    let left = names(&world.directory.path().join("cache/partial"));
    assert!(left.iter().all(|name| name.contains(".lock")), "{left:?}");
}

#[test]
fn a_check_of_the_caller_decides_before_the_file_has_its_name() {
    let world = World::new();
    let server = world.serve(|_, _, stream| whole(stream, b"signed", ""));
    let policy = world.policy(&server);
    let content = world.directory.path().join("cache/sha256");
    let check = |accept: bool| Proof::Check {
        algorithms: vec![Algorithm::Sha512, Algorithm::Sha256],
        check: Box::new({
            let content = content.clone();
            move |digests, file| {
                assert_eq!(digests.len(), 2);
                assert_eq!(digests[0].algorithm(), Algorithm::Sha512);
                assert_eq!(digests[1], digest(b"signed"));
                assert_eq!(file.metadata().unwrap().len(), 6);
                assert_eq!(names(&content), [""; 0]);
                if accept {
                    return Ok(());
                }
                Err(Unproved {
                    code: "signature.example",
                    message: "the signature is another's".to_owned(),
                    next_step: "ask its signer".to_owned(),
                    kept: false,
                })
            }
        }),
    };
    let url = server.url("/m");
    assert_eq!(
        world.refused(&policy, &url, check(false)),
        "signature.example"
    );
    assert_eq!(world.fetch(&policy, &url, check(true)).unwrap().size, 6);
}

#[test]
fn chunks_are_taken_up_to_the_permitted_size() {
    let mut world = World::new();
    world.limits.size = 1000;
    let server = world.serve(|number, _, stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        if number == 0 {
            return stream.write_all(b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n");
        }
        // Without end.
        loop {
            stream.write_all(b"a\r\n0123456789\r\n")?;
        }
    });
    let policy = world.policy(&server);
    let fetched = world.fetch(&policy, &server.url("/m"), proved(b"hello world"));
    assert_eq!(fetched.unwrap().size, 11);
    let error = world
        .fetch(&policy, &server.url("/endless"), Proof::DangerNone)
        .unwrap_err();
    sound(&error);
    assert_eq!(error.code(), "fetch.too_large");
}

/// What the answer's head and body lead to.
fn answered(answer: &'static [u8]) -> &'static str {
    let mut world = World::new();
    world.limits.size = 1000;
    let server = world.serve(move |_, _, stream| stream.write_all(answer));
    world.refused(
        &world.policy(&server),
        &server.url("/m?key=SECRET"),
        proved(b"hello"),
    )
}

#[test]
fn bodies_that_are_not_as_long_as_they_say() {
    for (answer, code) in [
        (
            &b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello"[..],
            "fetch.incomplete",
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello, and more",
            "fetch.overlong",
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\nhello",
            "fetch.too_large",
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775807\r\n\r\nhello",
            "fetch.too_large",
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
            "fetch.incomplete",
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nhello\r\n",
            "fetch.incomplete",
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nhello\r\n",
            "fetch.incomplete",
        ),
    ] {
        assert_eq!(
            answered(answer),
            code,
            "{}",
            String::from_utf8_lossy(answer)
        );
    }
}

#[test]
fn heads_that_are_nonsense() {
    for (answer, code) in [
        (&b"HTTP/1.1 200 OK\r\n\r\nhello"[..], "fetch.protocol"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", "fetch.protocol"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nhello", "fetch.protocol"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello", "fetch.protocol"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nhello", "fetch.protocol"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Encoding: gzip\r\n\r\nhello", "fetch.encoding"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "fetch.encoding"),
        (b"HTTP/1.1 206 Partial Content\r\nContent-Length: 5\r\nContent-Range: bytes 0-4/5\r\n\r\nhello", "fetch.protocol"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "fetch.status"),
        (b"HTTP/1.1 416 Range Not Satisfiable\r\nContent-Length: 0\r\n\r\n", "fetch.status"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", "fetch.status"),
        (b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n", "fetch.redirect"),
        (b"HTTP/2.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", "fetch.protocol"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "fetch.protocol"),
        (b"", "fetch.protocol"),
        (b"hello", "fetch.protocol"),
    ] {
        assert_eq!(answered(answer), code, "{}", String::from_utf8_lossy(answer));
    }
}

#[test]
fn heads_without_end() {
    let world = World::new();
    let server = world.serve(|_, head, stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\n")?;
        if head.starts_with("GET /one ") {
            stream.write_all(b"X: ")?;
            loop {
                stream.write_all(&[b'x'; 1000])?;
            }
        }
        loop {
            stream.write_all(b"X: y\r\n")?;
        }
    });
    let policy = world.policy(&server);
    for path in ["/one", "/many"] {
        let code = world.refused(&policy, &server.url(path), Proof::DangerNone);
        assert_eq!(code, "fetch.protocol", "{path}");
    }
}

#[test]
fn cancelled_at_every_report() {
    let world = World::new();
    let body = bytes(100_000);
    let sent = body.clone();
    let server = world.serve(move |_, _, stream| whole(stream, &sent, ""));
    let policy = world.policy(&server);
    // Told at the connection, at the start and at the end of the body, whatever the time.
    for last in 1..=3 {
        let mut seen = 0;
        let error = world
            .watched(&policy, &server.url("/m"), proved(&body), &mut |_| {
                seen += 1;
                if seen == last {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            })
            .unwrap_err();
        sound(&error);
        assert_eq!(error.code(), "fetch.cancelled");
        assert_eq!(seen, last);
        assert_eq!(names(&world.directory.path().join("cache/sha256")), [""; 0]);
    }
}
