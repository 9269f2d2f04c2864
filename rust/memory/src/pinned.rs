//! Pages that never go to a swap device.

use std::{ffi::c_void, os::fd::BorrowedFd, ptr};

use rustix::{
    io::Errno,
    mm::{MapFlags, ProtFlags},
};

use crate::mapping::keep_from_children;

/// A mapping that holds the pages of a memfd in memory; nothing is read or written through it.
#[derive(Debug)]
pub(crate) struct Pinned {
    start: *mut c_void,
    length: usize,
}

// SAFETY: the mapping belongs to the process, not to a thread; nothing is accessed through it.
unsafe impl Send for Pinned {}
// SAFETY: as for Send.
unsafe impl Sync for Pinned {}

impl Pinned {
    /// Refused with `PERM`, `NOMEM` or `AGAIN` where the limit on locked memory is too low.
    pub(crate) fn new(memory: BorrowedFd<'_>, length: usize) -> Result<Self, Errno> {
        // SAFETY: a new mapping at an address that the kernel chooses overlaps nothing of ours.
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
        let pinned = Self { start, length };
        // SAFETY: exactly the mapping that was just made; a child knows nothing of it.
        unsafe { keep_from_children(start, length) };
        // SAFETY: exactly the mapping that was just made.
        unsafe { rustix::mm::mlock(start, length) }?;
        Ok(pinned)
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // SAFETY: exactly what `new` mapped, once; no reference into it was ever made.
        let _ = unsafe { rustix::mm::munmap(self.start, self.length) };
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::fd::AsFd;

    use rustix::fs::{MemfdFlags, ftruncate, memfd_create};

    use super::*;

    #[test]
    fn a_child_that_is_forked_has_no_mapping_that_would_keep_it_from_being_sealed() {
        let memory = memfd_create("test", MemfdFlags::CLOEXEC).unwrap();
        ftruncate(&memory, 4096).unwrap();
        let pinned = Pinned::new(memory.as_fd(), 4096).unwrap();
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let (_, mine) = maps
            .split_once(&format!("{:x}-", pinned.start.addr()))
            .unwrap();
        let flags = mine
            .lines()
            .find(|line| line.starts_with("VmFlags:"))
            .unwrap();
        assert!(flags.split_whitespace().any(|flag| flag == "dc"), "{flags}");
        assert!(flags.split_whitespace().any(|flag| flag == "lo"), "{flags}");
    }
}
