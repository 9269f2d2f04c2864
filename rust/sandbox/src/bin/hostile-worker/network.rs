//! Reaching other machines, and other processes through sockets.

use strongroom_protocol::descriptor::SOCKET;

use crate::kernel::{call, yes};
use crate::{Attack, Outcome, Situation};

pub(crate) const ATTACKS: &[(&str, Attack)] = &[
    ("socket_unix", |_| socket(libc::AF_UNIX, libc::SOCK_STREAM)),
    ("socket_inet", |_| socket(libc::AF_INET, libc::SOCK_STREAM)),
    ("socket_inet6", |_| {
        socket(libc::AF_INET6, libc::SOCK_STREAM)
    }),
    ("socket_netlink", |_| {
        socket(libc::AF_NETLINK, libc::SOCK_RAW)
    }),
    ("socket_packet", |_| socket(libc::AF_PACKET, libc::SOCK_RAW)),
    ("socket_vsock", |_| {
        socket(libc::AF_VSOCK, libc::SOCK_STREAM)
    }),
    ("socket_alg", |_| socket(libc::AF_ALG, libc::SOCK_SEQPACKET)),
    ("socketpair", |_| {
        yes(call!(
            libc::SYS_socketpair,
            libc::AF_UNIX,
            libc::SOCK_STREAM,
            0,
            &mut [0; 8][..]
        ))
    }),
    ("tcp_connect", |situation| {
        tcp(libc::SYS_connect, situation.number()?)
    }),
    ("tcp_bind", |_| tcp(libc::SYS_bind, 0)),
    ("udp_send", udp_send),
    ("abstract_connect", abstract_connect),
    // The one socket that is open, through calls that do more than write.
    ("sendto_host", |_| {
        yes(call!(libc::SYS_sendto, SOCKET, &b"\n"[..], 1, 0, 0, 0))
    }),
    ("sendmsg_host", sendmsg_host),
    ("shutdown_host", |_| {
        yes(call!(libc::SYS_shutdown, SOCKET, libc::SHUT_RD))
    }),
];

fn socket(family: i32, kind: i32) -> Outcome {
    yes(call!(libc::SYS_socket, family, kind, 0))
}

/// A port of 127.0.0.1.
fn local(port: u16) -> [u8; 16] {
    let mut address = [0; 16];
    address[..2].copy_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
    address[2..4].copy_from_slice(&port.to_be_bytes());
    address[4..8].copy_from_slice(&[127, 0, 0, 1]);
    address
}

fn tcp(number: i64, port: u16) -> Outcome {
    let socket = call!(libc::SYS_socket, libc::AF_INET, libc::SOCK_STREAM, 0)?;
    yes(call!(number, socket, &local(port)[..], 16))
}

fn udp_send(situation: &Situation) -> Outcome {
    let socket = call!(libc::SYS_socket, libc::AF_INET, libc::SOCK_DGRAM, 0)?;
    let port = situation.number()?;
    yes(call!(
        libc::SYS_sendto,
        socket,
        &b"secret"[..],
        6,
        0,
        &local(port)[..],
        16
    ))
}

fn abstract_connect(situation: &Situation) -> Outcome {
    let socket = call!(libc::SYS_socket, libc::AF_UNIX, libc::SOCK_STREAM, 0)?;
    let mut address = Vec::from((libc::AF_UNIX as u16).to_ne_bytes());
    address.push(0);
    address.extend(situation.argument.as_bytes());
    yes(call!(
        libc::SYS_connect,
        socket,
        &address[..],
        address.len()
    ))
}

fn sendmsg_host(_: &Situation) -> Outcome {
    let line = *b"\n";
    let part = libc::iovec {
        iov_base: line.as_ptr().cast_mut().cast(),
        iov_len: 1,
    };
    // SAFETY: all zeros is a message of nothing.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = (&raw const part).cast_mut();
    message.msg_iovlen = 1;
    yes(call!(libc::SYS_sendmsg, SOCKET, &raw const message, 0))
}
