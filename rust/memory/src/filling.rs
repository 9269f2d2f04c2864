//! Anonymous memory while an image is written into it.
//!
//! Where the kernel can, the memory is made of huge pages of 2 MiB: they are filled in two thirds of
//! the time, and a decoding worker walks its page tables 512 times less. A memfd gets none by itself
//! (`shmem_enabled` is `never` on most machines), but `MADV_COLLAPSE` (Linux 6.1) makes one of a range
//! with a single page in it. It is asked for before the range is written, so that nothing is copied.

use std::{
    ffi::c_void,
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    ptr,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use rustix::{
    fs::{MemfdFlags, Mode, OFlags},
    io::Errno,
    mm::{MapFlags, ProtFlags},
};

use crate::{
    mapping::{IMMUTABLE, Mapping, keep_from_children},
    pinned::Pinned,
};

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
    /// Bytes from the start for which huge pages were asked.
    asked: AtomicUsize,
    huge: Mutex<Option<Huge>>,
    pinned: Option<Pinned>,
}

impl Filling {
    /// Of `size` bytes, which are to be written, no more and no fewer.
    pub(crate) fn new(size: usize) -> Result<Self, Errno> {
        let memory = create()?;
        rustix::fs::ftruncate(&memory, size as u64)?;
        Ok(Self {
            huge: Mutex::new(Huge::new(memory.as_fd(), size)),
            asked: AtomicUsize::new(0),
            memory,
            size,
            written: 0,
            began: Instant::now(),
            pinned: None,
        })
    }

    /// Makes it `size` bytes long; what is beyond what it was made with gets no huge pages.
    pub(crate) fn resize(&mut self, size: usize) -> Result<(), Errno> {
        rustix::fs::ftruncate(&self.memory, size as u64)?;
        self.size = size;
        Ok(())
    }

    /// Keeps every page from a swap device, from before it is written.
    pub(crate) fn pin(&mut self) -> Result<(), Errno> {
        self.pinned = Some(Pinned::new(self.memory.as_fd(), self.size)?);
        Ok(())
    }

    /// Writes the next bytes.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), Errno> {
        self.write_at(self.written, bytes)?;
        self.written += bytes.len();
        Ok(())
    }

    /// Writes bytes where they belong; several threads may, each its own.
    pub(crate) fn write_at(&self, mut offset: usize, mut bytes: &[u8]) -> Result<(), Errno> {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(BATCH - offset % BATCH));
            self.make_huge(offset + now.len());
            write_all_at(self.memory.as_fd(), offset, now)?;
            offset += now.len();
            bytes = later;
        }
        Ok(())
    }

    /// Lends what was written to `read`.
    pub(crate) fn lend<T>(&mut self, read: impl FnOnce(&[u8]) -> T) -> io::Result<T> {
        Mapping::lend(&mut self.memory, self.size, read)
    }

    /// Overwrites whatever was written: pages are given back as they are, and their next owner gets
    /// them cleared, but until then they hold what they held.
    pub(crate) fn wipe(&self) {
        static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
        let mut offset = 0;
        while offset < self.size {
            let length = ZEROS.len().min(self.size - offset);
            // Where nothing was written nothing has to be.
            let data = rustix::fs::seek(&self.memory, rustix::fs::SeekFrom::Data(offset as u64));
            offset = match data.map(usize::try_from) {
                Ok(Ok(data)) if data > offset => data,
                Ok(Ok(_))
                    if write_all_at(self.memory.as_fd(), offset, &ZEROS[..length]).is_ok() =>
                {
                    offset + length
                }
                _ => return,
            };
        }
    }

    /// Seals what was written; from here on there is no descriptor that could write. Kernels before
    /// 6.7 also refuse to map sealed memory through one.
    pub(crate) fn seal(&mut self) -> Result<OwnedFd, Errno> {
        self.pinned = None;
        *self.huge.get_mut().unwrap_or_else(PoisonError::into_inner) = None;
        rustix::fs::fcntl_add_seals(&self.memory, IMMUTABLE)?;
        reopen(self.memory.as_fd())
    }

    /// A second descriptor of the memory.
    #[cfg(test)]
    #[allow(clippy::unwrap_used)]
    pub(crate) fn duplicate(&self) -> OwnedFd {
        self.memory.try_clone().unwrap()
    }

    /// Asks for huge pages up to `end`, in batches and in order, before anything is written there; no
    /// answer keeps the bytes from coming.
    fn make_huge(&self, end: usize) {
        if self.asked.load(Ordering::Acquire) >= end {
            return;
        }
        let mut huge = self.huge.lock().unwrap_or_else(PoisonError::into_inner);
        let mut asked = self.asked.load(Ordering::Acquire);
        while asked < end {
            if let Some(some) = huge.as_mut() {
                let pages = (self.size - asked).min(BATCH) / HUGE;
                let made = pages > 0 && some.make(self.memory.as_fd(), asked, pages);
                let dear =
                    some.spent > LEAST && some.spent * MOST_OF_THE_TIME > self.began.elapsed();
                if !made || dear {
                    *huge = None;
                }
            }
            asked += BATCH;
            self.asked.store(asked, Ordering::Release);
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

// SAFETY: the mapping belongs to the process, not to a thread; nothing is read or written through it.
unsafe impl Send for Huge {}

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
        mapped.ok()?;
        // SAFETY: the mapping that was just made; nothing is read through it. What fills an image is of
        // a thread that a child doesn't have, or ends with the child.
        unsafe { keep_from_children(start, size) };
        Some(huge)
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

fn write_all_at(memory: BorrowedFd<'_>, mut offset: usize, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match rustix::io::pwrite(memory, bytes, offset as u64) {
            Ok(0) => return Err(Errno::NOSPC),
            Ok(n) => {
                offset += n;
                bytes = &bytes[n..];
            }
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}
