//! New files, whole or not at all.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Seek as _, Write as _},
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

/// Writes a file that isn't there yet, as [`create_with`].
pub(crate) fn create(path: &Path, content: &[u8], mode: u32) -> Result<(), Error> {
    create_with(path, mode, |mut file| {
        file.write_all(content)
            .map_err(|error| Error::unwritable(path, &error))
    })
}

/// Makes a file that isn't there yet, of what `write` writes into it, from any place and in any
/// order. It appears under its name when all of it is on the disk; where that fails, or this process
/// is killed, nothing is left. On a file system that has no files without a name, what a kill leaves
/// is a hidden one beside it.
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
    let fresh = Fresh::new(path, mode).map_err(unwritable)?;
    let value = write(&fresh.file)?;
    fresh.name(path, mode).map_err(unwritable)?;
    sync(directory_of(path)).map_err(|error| {
        let _ = fs::remove_file(path);
        unwritable(error)
    })?;
    Ok(value)
}

/// A file that is being written: without a name where the system has such, else beside what it will
/// be. Dropped before it has its name, it is gone.
struct Fresh {
    file: File,
    beside: Option<PathBuf>,
}

impl Fresh {
    fn new(path: &Path, mode: u32) -> io::Result<Self> {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        match rustix::fs::open(directory_of(path), flags, Mode::from_raw_mode(mode)) {
            Ok(file) => Ok(Self {
                file: File::from(file),
                beside: None,
            }),
            // The last is what kernels say that don't know the flag.
            Err(Errno::OPNOTSUPP | Errno::INVAL | Errno::ISDIR) => Self::beside(path, mode),
            Err(errno) => Err(errno.into()),
        }
    }

    /// A new file beside `path`, under a name that nobody has.
    fn beside(path: &Path, mode: u32) -> io::Result<Self> {
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
                opened => {
                    return opened.map(|file| Self {
                        file,
                        beside: Some(beside),
                    });
                }
            }
        }
        Err(io::ErrorKind::ResourceBusy.into())
    }

    /// Gives it its name, where nothing has that.
    fn name(mut self, path: &Path, mode: u32) -> io::Result<()> {
        self.file.sync_all()?;
        if let Some(beside) = &self.beside {
            rustix::fs::renameat_with(CWD, beside, CWD, path, RenameFlags::NOREPLACE)?;
            // Its name is the file's now.
            self.beside = None;
            return Ok(());
        }
        let link = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        match rustix::fs::linkat(CWD, link, CWD, path, AtFlags::SYMLINK_FOLLOW) {
            Ok(()) => Ok(()),
            Err(Errno::EXIST) => Err(Errno::EXIST.into()),
            // No /proc, or no hard links: if it is the path, that is said next.
            Err(_) => {
                let mut copy = Self::beside(path, mode)?;
                self.file.rewind()?;
                io::copy(&mut self.file, &mut copy.file)?;
                copy.name(path, mode)
            }
        }
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        if let Some(beside) = &self.beside {
            // Under its own name: it is ours. What can't be removed is said by the error already.
            let _ = fs::remove_file(beside);
        }
    }
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
