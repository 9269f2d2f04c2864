//! New files, whole or not at all.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::{fd::AsRawFd as _, unix::fs::OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{AtFlags, CWD, Mode, OFlags, RenameFlags},
    io::Errno,
};

use crate::errors::Error;

/// What only its owner may read.
pub(crate) const SECRET: u32 = 0o600;
/// What everybody may read.
pub(crate) const PUBLIC: u32 = 0o644;

/// Writes a file that isn't there yet. It appears under its name when all of it is on the disk; where
/// that fails, or this process is killed, nothing is left. On a file system that has no files without
/// a name, what a kill leaves is a hidden one beside it.
pub(crate) fn create(path: &Path, content: &[u8], mode: u32) -> Result<(), Error> {
    if path.symlink_metadata().is_ok() {
        return Err(Error::exists(path));
    }
    nameless(path, content, mode)
        .and_then(|named| {
            if !named {
                beside(path, content, mode)?;
            }
            sync(directory_of(path)).inspect_err(|_| {
                let _ = fs::remove_file(path);
            })
        })
        .map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => Error::exists(path),
            _ => Error::unwritable(path, &error),
        })
}

/// Like [`create`], for what `write` writes into the file, from any place and in any order: nobody
/// finds it before `write` is done, and nothing is left where `write` fails.
pub(crate) fn create_with<T>(
    path: &Path,
    mode: u32,
    write: impl FnOnce(&File) -> Result<T, Error>,
) -> Result<T, Error> {
    if path.symlink_metadata().is_ok() {
        return Err(Error::exists(path));
    }
    let unwritable = |error: io::Error| match error.kind() {
        io::ErrorKind::AlreadyExists => Error::exists(path),
        _ => Error::unwritable(path, &error),
    };
    let (partial, file) = partial(path, mode).map_err(unwritable)?;
    let finish = || {
        file.sync_all()?;
        rustix::fs::renameat_with(CWD, &partial, CWD, path, RenameFlags::NOREPLACE)?;
        Ok(())
    };
    let written = write(&file).and_then(|value| finish().map(|()| value).map_err(unwritable));
    if written.is_err() {
        // Under its own name: it is ours. What can't be removed is said by the error already.
        let _ = fs::remove_file(&partial);
    }
    let value = written?;
    sync(directory_of(path)).map_err(|error| {
        let _ = fs::remove_file(path);
        unwritable(error)
    })?;
    Ok(value)
}

/// Writes a file that has no name before it is whole; false where the system can't.
fn nameless(path: &Path, content: &[u8], mode: u32) -> io::Result<bool> {
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    let mut file = match rustix::fs::open(directory_of(path), flags, Mode::from_raw_mode(mode)) {
        Ok(file) => File::from(file),
        // The last is what kernels say that don't know the flag.
        Err(Errno::OPNOTSUPP | Errno::INVAL | Errno::ISDIR) => return Ok(false),
        Err(errno) => return Err(errno.into()),
    };
    file.write_all(content)?;
    file.sync_all()?;
    let link = format!("/proc/self/fd/{}", file.as_raw_fd());
    match rustix::fs::linkat(CWD, link, CWD, path, AtFlags::SYMLINK_FOLLOW) {
        Ok(()) => Ok(true),
        Err(Errno::EXIST) => Err(Errno::EXIST.into()),
        // No /proc, or no hard links: if it is the path, that is said next.
        Err(_) => Ok(false),
    }
}

/// Writes a file beside the one that it will be.
fn beside(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let (partial, mut file) = partial(path, mode)?;
    let written = file
        .write_all(content)
        .and_then(|()| file.sync_all())
        .and_then(|()| {
            rustix::fs::renameat_with(CWD, &partial, CWD, path, RenameFlags::NOREPLACE)
                .map_err(io::Error::from)
        });
    if written.is_err() {
        // Under its own name: it is ours. What can't be removed is said by the error already.
        let _ = fs::remove_file(&partial);
    }
    written
}

/// Puts the names in a directory on the disk; one that may be written to and not read can't be told to.
fn sync(directory: &Path) -> io::Result<()> {
    match File::open(directory) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        opened => opened?.sync_all(),
    }
}

fn directory_of(path: &Path) -> &Path {
    path.parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

/// A new file beside `path`, under a name that nobody has.
fn partial(path: &Path, mode: u32) -> io::Result<(PathBuf, File)> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    for number in 0..100 {
        let mut beside = OsString::from(".");
        beside.push(name);
        beside.push(format!(".{}-{number}", std::process::id()));
        let beside = path.with_file_name(beside);
        let opened = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&beside);
        match opened {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            opened => return opened.map(|file| (beside, file)),
        }
    }
    Err(io::ErrorKind::ResourceBusy.into())
}
