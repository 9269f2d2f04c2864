//! Redirects, addresses and certificates: who is asked, and who answers.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::{
    io::{Read, Write},
    path::Path,
    sync::{Arc, Mutex},
};

use rcgen::date_time_ymd;
use rustls::{ServerConfig, pki_types::PrivateKeyDer};
use strongroom_fetch::{Network, Origin, Pins, Policy, Proof, Roots};
use support::{Authority, HOST, Names, Server, World, digest, redirect, self_signed, sound, whole};

fn proof() -> Proof<'static> {
    Proof::Digest(digest(b"hello"))
}

#[test]
fn redirects_are_followed_where_the_policy_allows() {
    let mut world = World::new();
    world.limits.redirects = 3;
    let server = world.serve(|_, head, stream| {
        let path = head.split(' ').nth(1).unwrap();
        match path {
            "/0" => redirect(stream, "/1?x=%2F#part"),
            "/1?x=%2F" => redirect(stream, "2"),
            "/2" => redirect(stream, "3"),
            "/3" => whole(stream, b"hello", ""),
            // A circle.
            _ => redirect(stream, path),
        }
    });
    let policy = world.policy(&server);
    assert_eq!(
        world
            .fetch(&policy, &server.url("/0"), proof())
            .unwrap()
            .size,
        5
    );
    assert_eq!(server.requests().len(), 4);
    let other = World::new();
    let url = server.url("/loop?key=SECRET");
    let policy = Policy::deny(
        server.origin(),
        Roots::Own(vec![world.authority.certificate.clone()]),
    )
    .allow_host(server.origin())
    .danger_allow_addresses(server.origin(), "127.0.0.1/32".parse().unwrap());
    let mut other = World {
        authority: world.authority,
        ..other
    };
    other.limits.redirects = 3;
    assert_eq!(other.refused(&policy, &url, proof()), "fetch.redirect");
    assert_eq!(server.requests().len(), 4 + 4);
}

#[test]
fn a_redirect_is_held_to_the_rules_of_the_reference() {
    let world = World::new();
    let target = Arc::new(Mutex::new(String::new()));
    let to = Arc::clone(&target);
    let server = world.serve(move |_, _, stream| redirect(stream, &to.lock().unwrap()));
    let policy = world.policy(&server);
    let port = server.port;
    for (target_url, code) in [
        ("http://models.test/m".to_owned(), "fetch.redirect"),
        (format!("http://models.test:{port}/m"), "fetch.redirect"),
        ("https://evil.test/m?token=SECRET".to_owned(), "fetch.host"),
        ("//evil.test/m".to_owned(), "fetch.host"),
        ("https://models.test/m".to_owned(), "fetch.host"),
        (format!("https://models.test:{}/m", port ^ 1), "fetch.host"),
        (
            format!("https://models.test.evil.test:{port}/m"),
            "fetch.host",
        ),
        (format!("https://sub.models.test:{port}/m"), "fetch.host"),
        (format!("https://models.test.:{port}/m"), "fetch.redirect"),
        (
            format!("https://models.test:{port}@evil.test/m"),
            "fetch.redirect",
        ),
        (
            format!("https://u:SECRET@models.test:{port}/m"),
            "fetch.redirect",
        ),
        (format!("//u:SECRET@models.test:{port}/m"), "fetch.redirect"),
        (
            "https://169.254.169.254/latest/meta-data".to_owned(),
            "fetch.host",
        ),
        (
            "https://[fd00:ec2::254]/latest/meta-data".to_owned(),
            "fetch.host",
        ),
        (format!("https://127.0.0.1:{port}/m"), "fetch.host"),
        ("https://0x7f.1/m".to_owned(), "fetch.redirect"),
        ("//2130706433/m".to_owned(), "fetch.host"),
        ("https:///models.test/m".to_owned(), "fetch.redirect"),
        ("https:models.test/m".to_owned(), "fetch.redirect"),
        ("\\\\evil.test/m".to_owned(), "fetch.redirect"),
        ("/a%2fb".to_owned(), "fetch.redirect"),
        ("/a/../b".to_owned(), "fetch.redirect"),
        ("/a/%2e%2e/b".to_owned(), "fetch.redirect"),
        ("file:///etc/passwd".to_owned(), "fetch.redirect"),
        ("hf://org/repo/file".to_owned(), "fetch.redirect"),
        ("javascript:alert(1)".to_owned(), "fetch.redirect"),
        ("data:,hello".to_owned(), "fetch.redirect"),
        (
            format!("https://models.test:{port}/{}", "x".repeat(9000)),
            "fetch.redirect",
        ),
        ("https://models.test:0/".to_owned(), "fetch.redirect"),
        ("https://[::1".to_owned(), "fetch.redirect"),
    ] {
        target.lock().unwrap().clone_from(&target_url);
        let before = server.requests().len();
        let found = world.refused(&policy, &server.url("/m"), proof());
        assert_eq!(found, code, "{target_url}");
        // It was not followed for a single step.
        assert_eq!(server.requests().len(), before + 1, "{target_url}");
    }
    // Nobody else's name was ever looked up.
    assert!(
        world
            .names
            .asked
            .lock()
            .unwrap()
            .iter()
            .all(|name| name == HOST)
    );
}

#[test]
fn a_host_that_the_policy_names_is_still_not_allowed_in_here() {
    let mut world = World::new();
    for address in [
        "127.0.0.1",
        "::1",
        "10.0.0.1",
        "169.254.169.254",
        "fd00:ec2::254",
        "100.64.0.1",
        "::ffff:127.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "0.0.0.0",
        "::",
        "224.0.0.1",
    ] {
        world.names = Arc::new(Names::default().with(HOST, &[&[address]]));
        let server = world.serve(|_, _, stream| whole(stream, b"hello", ""));
        let code = world.refused(&world.closed(&server), &server.url("/m"), proof());
        assert_eq!(code, "fetch.address", "{address}");
        assert_eq!(server.requests().len(), 0);
    }
    // Also where it is the host's very name.
    let server = world.serve(|_, _, stream| whole(stream, b"hello", ""));
    for host in ["127.0.0.1", "[::1]"] {
        let origin = server.origin_of(host);
        let policy = world.closed(&server).allow_host(origin.clone());
        let code = world.refused(&policy, &format!("{origin}/m"), proof());
        assert_eq!(code, "fetch.address");
    }
}

#[test]
fn one_forbidden_address_among_allowed_ones_condemns_the_host() {
    let mut world = World::new();
    world.names = Arc::new(Names::default().with(HOST, &[&["127.0.0.1", "10.0.0.1"]]));
    let server = world.serve(|_, _, stream| whole(stream, b"hello", ""));
    let code = world.refused(&world.policy(&server), &server.url("/m"), proof());
    assert_eq!(code, "fetch.address");
    assert_eq!(server.requests().len(), 0);
}

#[test]
fn an_answer_of_the_resolver_that_changes_is_judged_each_time() {
    let mut world = World::new();
    for second in ["169.254.169.254", "127.0.0.2", "10.0.0.1"] {
        world.names = Arc::new(Names::default().with(HOST, &[&["127.0.0.1"], &[second]]));
        let server = world.serve(|_, _, stream| redirect(stream, "/next"));
        let only: Network = "127.0.0.1/32".parse().unwrap();
        let policy = world
            .closed(&server)
            .danger_allow_addresses(server.origin(), only);
        let code = world.refused(&policy, &server.url("/m"), proof());
        assert_eq!(code, "fetch.address", "{second}");
        assert_eq!(server.requests().len(), 1);
        // Once for each connection: what was judged is what was connected to.
        assert_eq!(world.names.asked.lock().unwrap().len(), 2);
    }
}

#[test]
fn names_without_an_address_and_hosts_that_do_not_answer() {
    let mut world = World::new();
    let server = world.serve(|_, _, stream| whole(stream, b"hello", ""));
    world.names = Arc::new(Names::default().with(HOST, &[&[]]));
    let code = world.refused(&world.policy(&server), &server.url("/m"), proof());
    assert_eq!(code, "fetch.resolve");
    world.names = Arc::default();
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = Server::raw(|_| {});
    let port = gone.local_addr().unwrap().port();
    drop(gone);
    let origin: Origin = format!("https://{HOST}:{port}").parse().unwrap();
    let policy = world
        .closed(&closed)
        .allow_host(origin.clone())
        .danger_allow_addresses(origin.clone(), "127.0.0.0/8".parse().unwrap());
    let code = world.refused(&policy, &format!("{origin}/m"), proof());
    assert_eq!(code, "fetch.connect");
}

#[test]
fn certificates_that_prove_nothing() {
    let world = World::new();
    let stranger = Authority::new("an authority");
    let authority = &world.authority;
    for (what, identity) in [
        ("another name", authority.issue("evil.test", |_| {})),
        ("a wildcard above", authority.issue("*.test.models", |_| {})),
        (
            "expired",
            authority.issue(HOST, |params| {
                params.not_before = date_time_ymd(2001, 1, 1);
                params.not_after = date_time_ymd(2002, 1, 1);
            }),
        ),
        (
            "not valid yet",
            authority.issue(HOST, |params| {
                params.not_before = date_time_ymd(2400, 1, 1);
                params.not_after = date_time_ymd(2401, 1, 1);
            }),
        ),
        (
            "for clients",
            authority.issue(HOST, |params| {
                params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
            }),
        ),
        ("signed by itself", self_signed(HOST)),
        (
            "of another authority of the same name",
            stranger.issue(HOST, |_| {}),
        ),
    ] {
        let server = Server::tls(&identity, |_, _, stream| whole(stream, b"hello", ""));
        let code = world.refused(&world.policy(&server), &server.url("/m"), proof());
        assert_eq!(code, "fetch.tls", "{what}");
        assert_eq!(server.requests().len(), 0, "{what}");
    }
    // A public host's authorities are no authorities here, and this one is none of theirs.
    let server = world.serve(|_, _, stream| whole(stream, b"hello", ""));
    let policy = Policy::deny(server.origin(), Roots::Mozilla)
        .allow_host(server.origin())
        .danger_allow_addresses(server.origin(), "127.0.0.0/8".parse().unwrap());
    assert_eq!(
        world.refused(&policy, &server.url("/m"), proof()),
        "fetch.tls"
    );
}

#[test]
fn a_key_of_the_validated_chain_must_be_pinned() {
    let world = World::new();
    let stranger = Authority::new("another");
    let mut identity = world.authority.issue(HOST, |_| {});
    // Sent along, though no part of the chain that is validated.
    identity.chain.push(stranger.certificate.clone());
    let server = Server::tls(&identity, |_, _, stream| whole(stream, b"hello", ""));
    let spare = digest(b"a key in a safe");
    let pinned = |pins: &[strongroom_verify::Digest]| {
        world
            .policy(&server)
            .pin(Pins::new(server.origin(), pins).unwrap())
    };
    let url = server.url("/m");
    for away in [[digest(b"another key"), spare], [stranger.pin, spare]] {
        assert_eq!(world.refused(&pinned(&away), &url, proof()), "fetch.pin");
    }
    assert_eq!(server.requests().len(), 0);
    for held in [[spare, identity.pin], [world.authority.pin, spare]] {
        world.fetch(&pinned(&held), &url, proof()).unwrap();
    }
    // On top of validation, not in its place.
    let own = self_signed(HOST);
    let server = Server::tls(&own, |_, _, stream| whole(stream, b"hello", ""));
    let fresh = World {
        authority: stranger,
        ..World::new()
    };
    let policy = fresh
        .policy(&server)
        .pin(Pins::new(server.origin(), &[own.pin, spare]).unwrap());
    assert_eq!(
        fresh.refused(&policy, &server.url("/m"), proof()),
        "fetch.tls"
    );
}

#[test]
fn a_pin_without_a_reserve_is_refused() {
    let origin: Origin = "https://models.test".parse().unwrap();
    let one = digest(b"one");
    let long = "sha384:".to_owned() + &"0".repeat(96);
    for pins in [&[][..], &[one], &[one, one], &[one, long.parse().unwrap()]] {
        let error = Pins::new(origin.clone(), pins).unwrap_err();
        sound(&error);
        assert_eq!(error.code(), "fetch.policy");
    }
}

#[test]
fn certificates_of_ones_own_are_read_from_a_file() {
    let directory = tempfile::TempDir::new().unwrap();
    let path = directory.path().join("ca.pem");
    for text in [
        "",
        "no PEM",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n",
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
    ] {
        std::fs::write(&path, text).unwrap();
        let error = Roots::from_file(&path).unwrap_err();
        sound(&error);
        assert_eq!(error.code(), "fetch.ca_file", "{text}");
    }
    for path in [directory.path(), &directory.path().join("none")] {
        assert_eq!(Roots::from_file(path).unwrap_err().code(), "fetch.ca_file");
    }
    // Nobody ever writes to it: who waits for that waits for ever.
    let fifo = directory.path().join("fifo");
    rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RWXU).unwrap();
    for path in [&fifo, Path::new("/dev/zero")] {
        let error = Roots::from_file(path).unwrap_err();
        assert_eq!(error.code(), "fetch.ca_file");
        assert!(error.to_string().contains("not a regular file"), "{error}");
    }
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    std::fs::write(&path, params.self_signed(&key).unwrap().pem()).unwrap();
    assert!(matches!(Roots::from_file(&path).unwrap(), Roots::Own(own) if own.len() == 1));
}

#[test]
fn what_is_no_tls_that_is_safe() {
    let world = World::new();
    // A ServerHello of TLS 1.0, 1.1, and of SSL 3.0, without extensions; and what isn't TLS at all.
    let hello = |minor: u8| {
        let mut hello = vec![0x16, 3, minor, 0, 42, 2, 0, 0, 38, 3, minor];
        hello.extend([7; 32]);
        hello.extend([0, 0xc0, 0x13, 0]);
        hello
    };
    for (what, answer) in [
        ("TLS 1.0", hello(1)),
        ("TLS 1.1", hello(2)),
        ("SSL 3.0", hello(0)),
        ("protocol_version alert", vec![0x15, 3, 1, 0, 2, 2, 70]),
        (
            "plain HTTP",
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello".to_vec(),
        ),
        ("nothing", Vec::new()),
    ] {
        let server = Server::raw(move |mut tcp| {
            let mut hello = [0; 4096];
            let _ = tcp.read(&mut hello);
            let _ = tcp.write_all(&answer);
            let _ = tcp.shutdown(std::net::Shutdown::Write);
            let _ = tcp.read(&mut hello);
        });
        let code = world.refused(&world.policy(&server), &server.url("/m"), proof());
        assert_eq!(code, "fetch.tls", "{what}");
    }
}

#[test]
fn tls_1_2_and_1_3_are_spoken() {
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let authority = Authority::new("of its own");
        let identity = authority.issue(HOST, |_| {});
        let config =
            ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_protocol_versions(&[version])
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(
                    identity.chain.clone(),
                    PrivateKeyDer::try_from(identity.key()).unwrap(),
                )
                .unwrap();
        let server = Server::with(Arc::new(config), |_, _, stream| whole(stream, b"hello", ""));
        let own = World {
            authority,
            ..World::new()
        };
        assert_eq!(
            own.fetch(&own.policy(&server), &server.url("/m"), proof())
                .unwrap()
                .size,
            5
        );
    }
}

#[test]
fn hf_is_its_endpoint_for_the_organisations_that_are_named() {
    let world = World::new();
    let server = world.serve(|_, head, stream| match head.split(' ').nth(1).unwrap() {
        "/org/repo/resolve/v1/a/m%20x.gguf" | "/org/new/resolve/main/x" => {
            whole(stream, b"hello", "")
        }
        "/org/repo/resolve/main/other" => redirect(stream, "/evil/repo/m"),
        "/org/repo/resolve/main/renamed" => redirect(stream, "/org/new/resolve/main/x"),
        "/org/repo/resolve/main/cdn" => redirect(stream, "https://cdn.test/m"),
        path => panic!("{path}"),
    });
    let roots = Roots::Own(vec![world.authority.certificate.clone()]);
    let policy = Policy::deny(server.origin(), roots)
        .danger_allow_addresses(server.origin(), "127.0.0.0/8".parse().unwrap())
        .allow_organisation("org")
        .unwrap();
    let fetch = |url: &str| world.fetch(&policy, url, Proof::DangerNone);
    assert_eq!(fetch("hf://org/repo/a/m x.gguf@v1").unwrap().size, 5);
    assert_eq!(fetch("hf://org/repo/renamed").unwrap().size, 5);
    for (url, code) in [
        ("hf://evil/repo/m", "fetch.organisation"),
        ("hf://Org/repo/m", "fetch.organisation"),
        ("hf://org/repo/other", "fetch.host"),
        ("hf://org/repo/cdn", "fetch.host"),
    ] {
        let error = fetch(url).unwrap_err();
        sound(&error);
        assert_eq!(error.code(), code, "{url}");
    }
    // The organisation opens its part of the endpoint, not the endpoint.
    assert_eq!(
        fetch(&server.url("/evil/repo/m")).unwrap_err().code(),
        "fetch.host"
    );
    assert!(policy.clone().allow_organisation("a/b").is_err());
}
