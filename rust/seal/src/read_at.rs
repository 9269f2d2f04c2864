//! Bytes that are read from any place, by several threads at once.

use std::{
    fs::File,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::{
    fs::FileType,
    io::{Errno, pread},
};

use crate::SealError;

/// Bytes that are read from any place.
pub trait ReadAt: Sync {
    /// How many there are.
    ///
    /// # Errors
    /// [`SealError`]: `io`.
    fn size(&self) -> Result<u64, SealError>;

    /// Fills `buffer` with what lies at `offset`.
    ///
    /// # Errors
    /// [`SealError`]: `changed` where there is less, `io`.
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), SealError>;
}

impl ReadAt for OwnedFd {
    fn size(&self) -> Result<u64, SealError> {
        size(self.as_fd())
    }

    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), SealError> {
        read_exact_at(self.as_fd(), offset, buffer)
    }
}

impl ReadAt for File {
    fn size(&self) -> Result<u64, SealError> {
        size(self.as_fd())
    }

    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), SealError> {
        read_exact_at(self.as_fd(), offset, buffer)
    }
}

impl ReadAt for &[u8] {
    fn size(&self) -> Result<u64, SealError> {
        Ok(self.len() as u64)
    }

    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), SealError> {
        let found = usize::try_from(offset)
            .ok()
            .and_then(|start| self.get(start..start.checked_add(buffer.len())?))
            .ok_or(SealError::Changed)?;
        buffer.copy_from_slice(found);
        Ok(())
    }
}

fn size(file: BorrowedFd<'_>) -> Result<u64, SealError> {
    let stat = rustix::fs::fstat(file).map_err(|errno| SealError::io("examine it", errno))?;
    // A device doesn't tell its size, and what a pipe gave is gone.
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(SealError::io("read it", Errno::SPIPE));
    }
    Ok(stat.st_size.unsigned_abs())
}

fn read_exact_at(file: BorrowedFd<'_>, offset: u64, buffer: &mut [u8]) -> Result<(), SealError> {
    let mut done = 0;
    while done < buffer.len() {
        match pread(file, &mut buffer[done..], offset + done as u64) {
            Ok(0) => return Err(SealError::Changed),
            Ok(n) => done += n,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(SealError::io("read it", errno)),
        }
    }
    Ok(())
}
