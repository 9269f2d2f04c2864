//! Anonymous memory while an image is written into it.
//!
//! Where the kernel can, the memory is made of huge pages of 2 MiB: they are filled in two thirds of
//! the time, and a decoding worker walks its page tables 512 times less. A memfd gets none by itself
//! (`shmem_enabled` is `never` on most machines), but `MADV_COLLAPSE` (Linux 6.1) makes one of a range
//! with a single page in it. It is asked for before the range is written, so that nothing is copied.

use std::{
    ffi::c_void,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    ptr,
    time::{Duration, Instant},
};

use rustix::{
    fs::{MemfdFlags, Mode, OFlags},
    io::Errno,
    mm::{MapFlags, ProtFlags},
};

use crate::mapping::IMMUTABLE;

/// A huge page of x86-64, and the alignment of its address.
const HUGE: usize = 2 << 20;

/// Bytes that are made huge at once: each call waits until every core has looked up from its work.
const BATCH: usize = 32 * HUGE;

/// Huge pages are given up once they take more than this part of the time of filling: in fragmented
/// memory the kernel moves other pages away for each.
const MOST_OF_THE_TIME: u32 = 4;

/// Time that huge pages may take before the part counts.
const LEAST: Duration = Duration::from_millis(20);

/// Anonymous memory while an image is written into it.
#[derive(Debug)]
pub(crate) struct Filling {
    memory: OwnedFd,
    size: usize,
    written: usize,
    began: Instant,
    huge: Option<Huge>,
}

impl Filling {
    /// Of `size` bytes, which are to be written, no more and no fewer.
    pub(crate) fn new(size: usize) -> Result<Self, Errno> {
        let memory = create()?;
        rustix::fs::ftruncate(&memory, size as u64)?;
        Ok(Self {
            huge: Huge::new(memory.as_fd(), size),
            memory,
            size,
            written: 0,
            began: Instant::now(),
        })
    }

    /// Writes the next bytes.
    pub(crate) fn write(&mut self, mut bytes: &[u8]) -> Result<(), Errno> {
        while !bytes.is_empty() {
            let into_batch = self.written % BATCH;
            if into_batch == 0 {
                self.make_huge();
            }
            let (now, later) = bytes.split_at(bytes.len().min(BATCH - into_batch));
            write_all(self.memory.as_fd(), now)?;
            self.written += now.len();
            bytes = later;
        }
        Ok(())
    }

    /// Seals what was written; from here on there is no descriptor that could write. Kernels before
    /// 6.7 also refuse to map sealed memory through one.
    pub(crate) fn seal(self) -> Result<OwnedFd, Errno> {
        drop(self.huge);
        rustix::fs::fcntl_add_seals(&self.memory, IMMUTABLE)?;
        reopen(self.memory.as_fd())
    }

    /// Asks for huge pages where the next bytes come; no answer keeps them from coming.
    fn make_huge(&mut self) {
        let Some(huge) = &mut self.huge else { return };
        let pages = (self.size - self.written).min(BATCH) / HUGE;
        let made = pages > 0 && huge.make(self.memory.as_fd(), self.written, pages);
        let dear = huge.spent > LEAST && huge.spent * MOST_OF_THE_TIME > self.began.elapsed();
        if !made || dear {
            self.huge = None;
        }
    }
}

/// A mapping through which the kernel is asked for huge pages; nothing is read or written there.
#[derive(Debug)]
struct Huge {
    /// What is reserved: the mapping, and what aligns it.
    reserved: *mut c_void,
    length: usize,
    /// The mapping, aligned.
    start: *mut c_void,
    spent: Duration,
}

impl Huge {
    /// `None` for memory that is too small, and where the kernel refuses.
    fn new(memory: BorrowedFd<'_>, size: usize) -> Option<Self> {
        if size < HUGE {
            return None;
        }
        let length = size.checked_add(HUGE)?;
        // SAFETY: a new mapping at an address that the kernel chooses overlaps nothing of ours.
        let reserved = unsafe {
            rustix::mm::mmap_anonymous(
                ptr::null_mut(),
                length,
                ProtFlags::empty(),
                MapFlags::PRIVATE | MapFlags::NORESERVE,
            )
        }
        .ok()?;
        let start = reserved.map_addr(|address| address.next_multiple_of(HUGE));
        let huge = Self {
            reserved,
            length,
            start,
            spent: Duration::ZERO,
        };
        // SAFETY: `start` and `size` bytes from it lie inside what was just reserved, which nobody
        // else knows of.
        let mapped = unsafe {
            rustix::mm::mmap(
                start,
                size,
                ProtFlags::READ,
                MapFlags::SHARED | MapFlags::FIXED,
                memory,
                0,
            )
        };
        mapped.is_ok().then_some(huge)
    }

    /// Makes `pages` huge pages from `offset` on, a multiple of their size. Says whether they are.
    fn make(&mut self, memory: BorrowedFd<'_>, offset: usize, pages: usize) -> bool {
        let began = Instant::now();
        for page in 0..pages {
            // A range without any page is not made into a huge one.
            let start = (offset + page * HUGE) as u64;
            if rustix::io::pwrite(memory, &[0], start) != Ok(1) {
                return false;
            }
        }
        // SAFETY: the range is inside the mapping; its contents stay what they are.
        let answer = unsafe {
            libc::madvise(
                self.start.wrapping_byte_add(offset),
                pages * HUGE,
                libc::MADV_COLLAPSE,
            )
        };
        self.spent += began.elapsed();
        answer == 0
    }
}

impl Drop for Huge {
    fn drop(&mut self) {
        // SAFETY: exactly what `new` reserved, the mapping in it included; no reference into it was
        // ever made. An error would leave it in place, which harms nothing.
        let _ = unsafe { rustix::mm::munmap(self.reserved, self.length) };
    }
}

/// Anonymous memory that can be sealed and, where the kernel knows the flag, never executed.
fn create() -> Result<OwnedFd, Errno> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    match rustix::fs::memfd_create(c"strongroom-image", flags | MemfdFlags::NOEXEC_SEAL) {
        // Before Linux 6.3.
        Err(Errno::INVAL) => rustix::fs::memfd_create(c"strongroom-image", flags),
        result => result,
    }
}

/// A new, read-only open file description of `memory`.
pub(crate) fn reopen(memory: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    rustix::fs::open(
        format!("/proc/self/fd/{}", memory.as_raw_fd()),
        OFlags::RDONLY | OFlags::CLOEXEC,
        Mode::empty(),
    )
}

fn write_all(memory: BorrowedFd<'_>, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match rustix::io::write(memory, bytes) {
            Ok(0) => return Err(Errno::NOSPC),
            Ok(n) => bytes = &bytes[n..],
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}
