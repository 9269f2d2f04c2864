//! Bytes that are read from any place, by several threads at once.

use std::{
    fs::File,
    io::IoSliceMut,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::{
    fs::{Advice, FileType},
    io::{Errno, pread, preadv},
};

use crate::SealError;

/// Bytes that are read from any place.
pub trait ReadAt: Sync {
    /// How many there are.
    ///
    /// # Errors
    /// [`SealError`]: `io`.
    fn size(&self) -> Result<u64, SealError>;

    /// Says that bytes will be read soon: a disk may begin to.
    fn expect(&self, offset: u64, length: u64) {
        let _ = (offset, length);
    }

    /// Fills `buffer` with what lies at `offset`.
    ///
    /// # Errors
    /// [`SealError`]: `changed` where there is less, `io`.
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), SealError>;

    /// Fills three buffers with what lies at `offset`, one after the other.
    ///
    /// # Errors
    /// As [`read_exact_at`](Self::read_exact_at).
    fn read_parts_at(&self, offset: u64, parts: [&mut [u8]; 3]) -> Result<(), SealError> {
        let mut position = offset;
        for part in parts {
            self.read_exact_at(position, part)?;
            position += part.len() as u64;
        }
        Ok(())
    }
}

impl ReadAt for OwnedFd {
    fn expect(&self, offset: u64, length: u64) {
        expect(self.as_fd(), offset, length);
    }

    fn size(&self) -> Result<u64, SealError> {
        size(self.as_fd())
    }

    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), SealError> {
        read_exact_at(self.as_fd(), offset, buffer)
    }

    fn read_parts_at(&self, offset: u64, parts: [&mut [u8]; 3]) -> Result<(), SealError> {
        read_parts_at(self.as_fd(), offset, parts)
    }
}

impl ReadAt for File {
    fn expect(&self, offset: u64, length: u64) {
        expect(self.as_fd(), offset, length);
    }

    fn size(&self) -> Result<u64, SealError> {
        size(self.as_fd())
    }

    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), SealError> {
        read_exact_at(self.as_fd(), offset, buffer)
    }

    fn read_parts_at(&self, offset: u64, parts: [&mut [u8]; 3]) -> Result<(), SealError> {
        read_parts_at(self.as_fd(), offset, parts)
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

/// A hint, which may be refused.
fn expect(file: BorrowedFd<'_>, offset: u64, length: u64) {
    let _ = rustix::fs::fadvise(
        file,
        offset,
        std::num::NonZero::new(length),
        Advice::WillNeed,
    );
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

/// In one call where the kernel gives all of it at once, as it does for files that it has in memory.
fn read_parts_at(
    file: BorrowedFd<'_>,
    offset: u64,
    mut parts: [&mut [u8]; 3],
) -> Result<(), SealError> {
    let mut done = match preadv(
        file,
        &mut parts.each_mut().map(|part| IoSliceMut::new(part)),
        offset,
    ) {
        Ok(done) => done,
        Err(Errno::INTR) => 0,
        Err(errno) => return Err(SealError::io("read it", errno)),
    };
    let mut position = offset;
    for part in parts {
        let already = done.min(part.len());
        done -= already;
        read_exact_at(file, position + already as u64, &mut part[already..])?;
        position += part.len() as u64;
    }
    Ok(())
}
