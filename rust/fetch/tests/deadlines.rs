//! Hosts that keep one waiting, at every stage of a download.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    ops::ControlFlow,
    time::Duration,
};

use strongroom_fetch::{Policy, Proof, Roots};
use support::{HOST, Server, World, sound};

#[test]
fn a_connection_that_is_never_taken_is_not_waited_for() {
    let mut world = World::new();
    world.limits.connect = Duration::from_millis(200);
    // Nobody accepts, and the queue of one holds no more: what follows is not answered.
    let listener = rustix::net::socket_with(
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::STREAM,
        rustix::net::SocketFlags::CLOEXEC,
        None,
    )
    .unwrap();
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    rustix::net::bind(&listener, &any).unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let listener = TcpListener::from(listener);
    let address = listener.local_addr().unwrap();
    let patience = Duration::from_millis(200);
    let mut queue = Vec::new();
    while let Ok(tcp) = TcpStream::connect_timeout(&address, patience) {
        queue.push(tcp);
        assert!(queue.len() < 100, "the queue has no end");
    }
    let origin = format!("https://{HOST}:{}", address.port());
    let policy = Policy::deny(
        "https://hf.test".parse().unwrap(),
        Roots::Own(vec![world.authority.certificate.clone()]),
    )
    .allow_host(origin.parse().unwrap())
    .danger_allow_addresses(origin.parse().unwrap(), "127.0.0.0/8".parse().unwrap());
    let error = world
        .fetch(&policy, &format!("{origin}/m"), Proof::DangerNone)
        .unwrap_err();
    sound(&error);
    assert_eq!(error.code(), "fetch.timeout");
    assert!(error.to_string().ends_with("200ms to connect"), "{error}");
}

#[test]
fn a_handshake_that_is_never_answered_is_not_waited_for() {
    let mut world = World::new();
    world.limits.handshake = Duration::from_millis(200);
    let (heard, hello) = std::sync::mpsc::channel();
    // Reads the ClientHello, and all that follows, and says nothing.
    let server = Server::raw(move |mut tcp| {
        let mut first = [0];
        let _ = tcp.read_exact(&mut first);
        let _ = heard.send(first[0]);
        let _ = std::io::copy(&mut tcp, &mut std::io::sink());
    });
    let policy = world.policy(&server);
    let error = world
        .fetch(&policy, &server.url("/m"), Proof::DangerNone)
        .unwrap_err();
    sound(&error);
    assert_eq!(error.code(), "fetch.timeout");
    assert!(
        error.to_string().ends_with("200ms to agree on TLS"),
        "{error}"
    );
    // A record of a handshake: it had the whole of its deadline.
    assert_eq!(hello.recv().unwrap(), 22);
}

#[test]
fn who_never_answers_is_not_waited_for() {
    let mut world = World::new();
    world.limits.head = Duration::from_millis(200);
    // Interim answers without end are no answer.
    let server = world.serve(|_, head, stream| {
        loop {
            if head.starts_with("GET /busy ") {
                stream.write_all(b"HTTP/1.1 102 Processing\r\n\r\n")?;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    let policy = world.policy(&server);
    for path in ["/silent", "/busy"] {
        let code = world.refused(&policy, &server.url(path), Proof::DangerNone);
        assert_eq!(code, "fetch.timeout", "{path}");
    }
}

#[test]
fn a_body_that_stops_or_drips_is_not_waited_for() {
    let mut world = World::new();
    world.limits.idle = Duration::from_millis(300);
    world.limits.window = Duration::from_millis(300);
    let server = world.serve(|_, head, stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")?;
        loop {
            if head.starts_with("GET /drip ") {
                stream.write_all(b"x")?;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    let policy = world.policy(&server);
    let code = world.refused(&policy, &server.url("/stop"), Proof::DangerNone);
    assert_eq!(code, "fetch.timeout");
    // However busy this machine: a drip never ends otherwise.
    world.limits.idle = Duration::from_secs(60);
    let code = world.refused(&policy, &server.url("/drip"), Proof::DangerNone);
    assert_eq!(code, "fetch.too_slow");
    world.limits.least = 0;
    world.limits.total = Duration::from_secs(1);
    let code = world.refused(&policy, &server.url("/drip"), Proof::DangerNone);
    assert_eq!(code, "fetch.timeout");
}

#[test]
fn cancelled_while_the_host_is_silent() {
    let world = World::new();
    let server = world.serve(|_, _, _| {
        loop {
            std::thread::park();
        }
    });
    let mut seen = 0;
    let error = world
        .watched(
            &world.policy(&server),
            &server.url("/m"),
            Proof::DangerNone,
            &mut |_| {
                seen += 1;
                if seen < 3 {
                    ControlFlow::Continue(())
                } else {
                    ControlFlow::Break(())
                }
            },
        )
        .unwrap_err();
    assert_eq!(error.code(), "fetch.cancelled");
}
