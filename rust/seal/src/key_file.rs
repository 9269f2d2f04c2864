//! A key in a file of its own.

use std::{io::ErrorKind, os::fd::OwnedFd, path::Path};

use rustix::{
    fs::{FileType, Mode, OFlags},
    io::Errno,
    process::geteuid,
};
use zeroize::Zeroizing;

use crate::{SealError, Secret, secret::KEY_LENGTH};

/// Bytes of a key in hexadecimal digits, with the end of the line.
const LONGEST: usize = 2 * KEY_LENGTH + 1;

/// Reads the key in the file at `path`: 32 bytes, or 64 hexadecimal digits, which may end in a
/// newline. The file is a regular one, of this user or root, and nobody else may read or write it.
///
/// # Errors
/// [`SealError`]: `key_file`, `key_permissions`, `key_malformed`.
pub fn read(path: &Path) -> Result<Secret, SealError> {
    let refused = |reason: String| SealError::KeyFile {
        path: path.to_owned(),
        reason,
    };
    // Without NONBLOCK the opening of a FIFO would wait for a writer.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file =
        rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| refused(described(errno)))?;
    let stat = rustix::fs::fstat(&file).map_err(|errno| refused(described(errno)))?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => {}
        FileType::Directory => return Err(refused("it is a directory".to_owned())),
        _ => return Err(refused("it is not a regular file".to_owned())),
    }
    let shared = |reason: String| SealError::KeyPermissions {
        path: path.to_owned(),
        reason,
    };
    if stat.st_uid != 0 && stat.st_uid != geteuid().as_raw() {
        return Err(shared(format!("it belongs to the user {}", stat.st_uid)));
    }
    let mode = stat.st_mode & 0o777;
    if mode & 0o077 != 0 {
        return Err(shared(format!(
            "its mode is {mode:04o}: not this user alone can read or write it"
        )));
    }
    let mut bytes = Zeroizing::new([0; LONGEST + 1]);
    let length = fill(&file, &mut *bytes).map_err(|errno| refused(described(errno)))?;
    key(&bytes[..length], path)
}

// Paths are shown escaped: a name may hold anything.
#[allow(clippy::unnecessary_debug_formatting)]
fn key(bytes: &[u8], path: &Path) -> Result<Secret, SealError> {
    let what = format!("{path:?}");
    let malformed = |reason| {
        Err(SealError::KeyMalformed {
            what: what.clone(),
            reason,
        })
    };
    if bytes.len() == KEY_LENGTH {
        return Secret::filled(|key| {
            key.copy_from_slice(bytes);
            Ok(())
        });
    }
    if bytes.starts_with(b"-----BEGIN") {
        return malformed("it is PEM, as other kinds of keys are");
    }
    match bytes.strip_suffix(b"\n").unwrap_or(bytes) {
        digits if digits.len() == 2 * KEY_LENGTH => Secret::from_hex(digits, &what),
        [] => malformed("it is empty"),
        fewer if fewer.len() < 2 * KEY_LENGTH => {
            malformed("it is neither 32 bytes nor 64 hexadecimal digits, but something shorter")
        }
        _ => malformed("it is longer than 64 hexadecimal digits"),
    }
}

fn described(errno: Errno) -> String {
    let error = std::io::Error::from(errno);
    match error.kind() {
        ErrorKind::NotFound => "it does not exist".to_owned(),
        ErrorKind::PermissionDenied => "this user may not read it".to_owned(),
        _ => error.to_string(),
    }
}

fn fill(file: &OwnedFd, buffer: &mut [u8]) -> Result<usize, Errno> {
    let mut filled = 0;
    while filled < buffer.len() {
        match rustix::io::read(file, &mut buffer[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(filled)
}
