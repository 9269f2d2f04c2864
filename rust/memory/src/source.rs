//! A model's file, opened once.

use std::{
    ffi::OsString,
    io,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStringExt,
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{FileType, Mode, OFlags, Stat},
    io::Errno,
};

use crate::SourceError;

/// An open regular file that is not empty. Its path is kept for messages and never opened again.
#[derive(Debug)]
pub struct Source {
    file: OwnedFd,
    path: PathBuf,
    opened: Stat,
    size: u64,
    read: u64,
}

impl Source {
    /// Opens `path`; symbolic links are followed.
    ///
    /// # Errors
    /// [`SourceError`]: `missing`, `unreadable`, `directory`, `special`, `empty`, `io`.
    pub fn open(path: &Path) -> Result<Self, SourceError> {
        // Without NONBLOCK the opening of a FIFO would wait for a writer.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| {
            let path = path.to_owned();
            match errno {
                Errno::NOENT | Errno::NOTDIR => SourceError::Missing { path },
                Errno::ACCESS | Errno::PERM => SourceError::Unreadable { path },
                // A socket, or a device without a driver.
                Errno::NXIO | Errno::NODEV => SourceError::Special { path },
                errno => io_error("open", path, errno),
            }
        })?;
        Self::of(file, path)
    }

    /// Takes a file that is open, and is to be read from where its offset is: its beginning. `path`
    /// is for messages.
    ///
    /// # Errors
    /// [`SourceError`]: `directory`, `special`, `empty`, `io`.
    pub fn of(file: OwnedFd, path: &Path) -> Result<Self, SourceError> {
        let path = path.to_owned();
        let opened = match rustix::fs::fstat(&file) {
            Ok(stat) => stat,
            Err(errno) => return Err(io_error("examine", path, errno)),
        };
        match FileType::from_raw_mode(opened.st_mode) {
            FileType::RegularFile => {}
            FileType::Directory => return Err(SourceError::Directory { path }),
            _ => return Err(SourceError::Special { path }),
        }
        // The kernel keeps sizes of files in 0..=i64::MAX.
        let size = opened.st_size.unsigned_abs();
        if size == 0 {
            return Err(SourceError::Empty { path });
        }
        Ok(Self {
            file,
            path,
            opened,
            size,
            read: 0,
        })
    }

    /// All bytes of a file that is expected to be small, or the first `most` + 1 of one that isn't.
    ///
    /// # Errors
    /// [`SourceError`]: what [`open`](Self::open) and [`fill`](Self::fill) answer.
    pub fn read_small(path: &Path, most: usize) -> Result<Vec<u8>, SourceError> {
        let mut source = Self::open(path)?;
        let length = usize::try_from(source.size()).unwrap_or(usize::MAX);
        // Of its full length from the start: a vector that grows leaves copies behind.
        let mut bytes = vec![0; length.min(most.saturating_add(1))];
        source.fill(&mut bytes)?;
        Ok(bytes)
    }

    /// Bytes that the file had when it was opened.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The path that was opened, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the open file is now, as the kernel knows it: absolute, and no part of it a symbolic
    /// link. Of the very file that is read, whatever becomes of the path that was opened; none where
    /// the file has no name left, or `/proc` is not mounted.
    pub fn real_path(&self) -> Option<PathBuf> {
        let link = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        let target = rustix::fs::readlink(link, Vec::new()).ok()?;
        // The kernel writes " (deleted)" behind the name of a file that was removed.
        let now = rustix::fs::lstat(target.as_c_str()).ok()?;
        ((now.st_dev, now.st_ino) == (self.opened.st_dev, self.opened.st_ino))
            .then(|| PathBuf::from(OsString::from_vec(target.into_bytes())))
    }

    /// Bytes that [`fill`](Self::fill) has not given yet.
    pub const fn remaining(&self) -> u64 {
        self.size - self.read
    }

    /// Fills `buffer` with the next bytes, all of it or up to the end; 0 is the end.
    ///
    /// # Errors
    /// [`SourceError`]: `changed` where the file ends before its size, `io`.
    pub fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, SourceError> {
        let wanted = usize::try_from(self.remaining())
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let mut filled = 0;
        while filled < wanted {
            match rustix::io::read(&self.file, &mut buffer[filled..wanted]) {
                Ok(0) => return Err(self.changed("it was truncated")),
                Ok(n) => filled += n,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(io_error("read", self.path.clone(), errno)),
            }
        }
        self.read += filled as u64;
        Ok(filled)
    }

    /// Whether the file is still the one that was opened, as far as its size and its time of
    /// modification can tell. What was read is in any case held to its digest.
    ///
    /// # Errors
    /// [`SourceError`]: `changed`, `io`.
    pub fn unchanged(&self) -> Result<(), SourceError> {
        let now = rustix::fs::fstat(&self.file)
            .map_err(|errno| io_error("examine", self.path.clone(), errno))?;
        if now.st_size > self.opened.st_size {
            return Err(self.changed("it grew"));
        }
        if now.st_size < self.opened.st_size {
            return Err(self.changed("it was truncated"));
        }
        if (now.st_mtime, now.st_mtime_nsec) != (self.opened.st_mtime, self.opened.st_mtime_nsec) {
            return Err(self.changed("it was written to"));
        }
        Ok(())
    }

    fn changed(&self, reason: &'static str) -> SourceError {
        SourceError::Changed {
            path: self.path.clone(),
            reason,
        }
    }
}

/// For whoever reads from several places at once; what [`Source::fill`] reads is not to be mixed
/// with reads that move the descriptor's own position.
impl AsFd for Source {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// The kernel's refusal of `action`.
pub(crate) fn io_error(
    action: &'static str,
    path: PathBuf,
    error: impl Into<io::Error>,
) -> SourceError {
    SourceError::Io {
        action,
        path,
        error: error.into(),
    }
}
