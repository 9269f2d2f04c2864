//! New files, whole or not at all.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{CWD, RenameFlags},
    io::Errno,
};

use crate::errors::Error;

/// What only its owner may read.
pub(crate) const SECRET: u32 = 0o600;
/// What everybody may read.
pub(crate) const PUBLIC: u32 = 0o644;

/// Writes a file that isn't there yet. It appears under its name when all of it is on the disk; where
/// that fails nothing is left.
pub(crate) fn create(path: &Path, content: &[u8], mode: u32) -> Result<(), Error> {
    if path.symlink_metadata().is_ok() {
        return Err(Error::exists(path));
    }
    let unwritable = |error: &io::Error| Error::unwritable(path, error);
    let (partial, mut file) = partial(path, mode).map_err(|error| unwritable(&error))?;
    let written = file
        .write_all(content)
        .and_then(|()| file.sync_all())
        .map_err(|error| unwritable(&error))
        .and_then(|()| {
            rustix::fs::renameat_with(CWD, &partial, CWD, path, RenameFlags::NOREPLACE).map_err(
                |errno| match errno {
                    Errno::EXIST => Error::exists(path),
                    errno => unwritable(&errno.into()),
                },
            )
        });
    if written.is_err() {
        // Under its own name: it is ours. What can't be removed is said by the error already.
        let _ = fs::remove_file(&partial);
    }
    written
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
    Err(io::ErrorKind::AlreadyExists.into())
}
