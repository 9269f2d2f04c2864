//! The descriptors: exactly those of the protocol, each of the right kind.

use std::io;
use std::os::fd::BorrowedFd;

use rustix::fs::{FileType, OFlags, SealFlags, fcntl_get_seals, fcntl_getfl, fstat, major, minor};
use rustix::net::sockopt::{socket_domain, socket_type};
use rustix::net::{AddressFamily, SocketType};
use strongroom_protocol::{Layer, LayerName, descriptor};

use crate::SandboxError;
use crate::error::refused;
use crate::process::in_force;

/// How many descriptors a worker has.
pub(crate) const COUNT: u32 = descriptor::IMAGE as u32 + 1;

/// Closes everything that the host didn't mean to give, and checks what it did.
pub(crate) fn close_others() -> Result<Layer, SandboxError> {
    // SAFETY: no file of this process is open from here upwards but what was inherited: callers
    // of `enter` are told that it closes them, whoever owns them.
    if unsafe { libc::close_range(COUNT, u32::MAX, 0) } != 0 {
        return Err(refused(LayerName::Descriptors, "close_range")(
            io::Error::last_os_error(),
        ));
    }
    for number in descriptor::NULL {
        check(number, "/dev/null", is_null)?;
    }
    check(descriptor::LOG, "the writing end of a pipe", is_pipe)?;
    check(descriptor::SOCKET, "a Unix stream socket", is_socket)?;
    check(
        descriptor::IMAGE,
        "a sealed image, opened read-only",
        is_sealed,
    )?;
    Ok(in_force(
        LayerName::Descriptors,
        "0-4: null, null, log, socket, image (read-only, sealed)",
    ))
}

fn check(
    number: i32,
    expected: &'static str,
    holds: fn(BorrowedFd<'_>) -> rustix::io::Result<bool>,
) -> Result<(), SandboxError> {
    // SAFETY: borrowed for the call only. If nothing is open under the number, the calls made with
    // it answer EBADF, which is a failed check.
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    if holds(borrowed).unwrap_or(false) {
        Ok(())
    } else {
        Err(SandboxError::Descriptor {
            descriptor: number,
            expected,
        })
    }
}

fn is_null(fd: BorrowedFd<'_>) -> rustix::io::Result<bool> {
    let stat = fstat(fd)?;
    // The numbers of /dev/null, from the kernel's list of devices.
    Ok(
        FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice
            && (major(stat.st_rdev), minor(stat.st_rdev)) == (1, 3),
    )
}

fn is_pipe(fd: BorrowedFd<'_>) -> rustix::io::Result<bool> {
    Ok(
        FileType::from_raw_mode(fstat(fd)?.st_mode) == FileType::Fifo
            && access(fd)? == OFlags::WRONLY,
    )
}

fn is_socket(fd: BorrowedFd<'_>) -> rustix::io::Result<bool> {
    Ok(socket_domain(fd)? == AddressFamily::UNIX && socket_type(fd)? == SocketType::STREAM)
}

fn is_sealed(fd: BorrowedFd<'_>) -> rustix::io::Result<bool> {
    let needed = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    Ok(access(fd)? == OFlags::RDONLY && fcntl_get_seals(fd)?.contains(needed))
}

fn access(fd: BorrowedFd<'_>) -> rustix::io::Result<OFlags> {
    Ok(fcntl_getfl(fd)? & OFlags::ACCMODE)
}
