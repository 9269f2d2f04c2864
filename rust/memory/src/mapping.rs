//! The bytes of a sealed image, readable.

use std::{
    ffi::c_void,
    io,
    ops::Deref,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    ptr,
    ptr::NonNull,
    slice,
};

use rustix::{
    fs::SealFlags,
    mm::{Advice, MapFlags, ProtFlags},
};

/// The seals without which bytes can't be lent as a slice.
pub(crate) const IMMUTABLE: SealFlags = SealFlags::SEAL
    .union(SealFlags::SHRINK)
    .union(SealFlags::GROW)
    .union(SealFlags::WRITE);

/// Keeps a mapping from children that are forked meanwhile: memory can't be sealed as long as one of
/// them maps it. Where the kernel refuses, that is told when it is sealed.
///
/// # Safety
/// The `length` bytes from `start` are a mapping of the caller's, and no child uses or unmaps it.
pub(crate) unsafe fn keep_from_children(start: *mut c_void, length: usize) {
    // SAFETY: the caller's mapping; its contents stay what they are in this process.
    let _ = unsafe { rustix::mm::madvise(start, length, Advice::LinuxDontFork) };
}

/// A read-only mapping of a sealed image.
pub struct Mapping {
    start: NonNull<c_void>,
    length: usize,
}

impl Mapping {
    /// Maps the first `length` bytes of `memory`; refuses memory that isn't sealed.
    pub(crate) fn new(memory: BorrowedFd<'_>, length: usize) -> io::Result<Self> {
        let sealed = rustix::fs::fcntl_get_seals(memory)?.contains(IMMUTABLE);
        let size = rustix::fs::fstat(memory)?.st_size;
        if !sealed || u64::try_from(size) != Ok(length as u64) {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        }
        Self::map(memory, length)
    }

    /// Lends the first `length` bytes of `memory` to `read` before it is sealed: it is borrowed
    /// exclusively, and there is no other descriptor of it.
    pub(crate) fn lend<T>(
        memory: &mut OwnedFd,
        length: usize,
        read: impl FnOnce(&[u8]) -> T,
    ) -> io::Result<T> {
        if u64::try_from(rustix::fs::fstat(&*memory)?.st_size) != Ok(length as u64) {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        }
        let bytes = Self::map(memory.as_fd(), length)?;
        // SAFETY: the mapping that was just made. A child that another thread forks never comes to the
        // end of this function, and `read`, which this thread runs, forks none.
        unsafe { keep_from_children(bytes.start.as_ptr(), length) };
        Ok(read(&bytes))
    }

    fn map(memory: BorrowedFd<'_>, length: usize) -> io::Result<Self> {
        // SAFETY: a new mapping at an address that the kernel chooses overlaps nothing of ours; a
        // length of 0 is an error.
        let start = unsafe {
            rustix::mm::mmap(
                ptr::null_mut(),
                length,
                ProtFlags::READ,
                MapFlags::SHARED,
                memory,
                0,
            )
        }?;
        let start = NonNull::new(start).ok_or(io::ErrorKind::InvalidInput)?;
        Ok(Self { start, length })
    }
}

impl Deref for Mapping {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: `length` bytes are mapped from `start` until `self` is dropped, and the lifetime
        // of the slice is that of the borrow of `self`. Nobody can change them: `new` saw the seals
        // WRITE (the kernel grants it only while no writable mapping exists, and none after), and
        // SEAL, so it stays. Reading never faults: SHRINK keeps every byte inside the file. Without
        // seals, in `lend`, the one descriptor that could change bytes or size is borrowed meanwhile.
        unsafe { slice::from_raw_parts(self.start.as_ptr().cast_const().cast(), self.length) }
    }
}

// SAFETY: the mapping belongs to the process, not to a thread, and its bytes are immutable.
unsafe impl Send for Mapping {}
// SAFETY: as for Send: there is nothing in it that could be changed through a shared reference.
unsafe impl Sync for Mapping {}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: exactly what `new` mapped, once; slices of it can't outlive `self`. An error
        // would leave the mapping in place, which harms nothing.
        let _ = unsafe { rustix::mm::munmap(self.start.as_ptr(), self.length) };
    }
}

impl std::fmt::Debug for Mapping {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mapping(<{} bytes>)", self.length)
    }
}
