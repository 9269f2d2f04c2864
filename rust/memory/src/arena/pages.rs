//! Pages from the kernel: slots between pages that nobody may touch.

use std::{
    arch::asm,
    io,
    ptr::{self, NonNull},
    sync::OnceLock,
};

use super::{ArenaError, Backing};

/// Bytes of a page.
pub(crate) fn page_size() -> usize {
    static SIZE: OnceLock<usize> = OnceLock::new();
    *SIZE.get_or_init(|| {
        // SAFETY: asks for a number. (rustix looks for it where valgrind has no memory.)
        let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        usize::try_from(size).unwrap_or(4096)
    })
}

/// Slots of whole pages, each between two guard pages; neighbours share one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Bytes of a slot.
    pub(crate) slot: usize,
    /// How many.
    pub(crate) slots: usize,
}

impl Layout {
    /// Where a slot begins, from the start of the mapping.
    pub(crate) fn offset(&self, index: usize) -> usize {
        page_size() + index * (self.slot + page_size())
    }

    /// Bytes of address space.
    fn reserved(&self) -> usize {
        self.offset(self.slots)
    }

    /// Bytes of memory.
    pub(crate) fn bytes(&self) -> usize {
        self.slot * self.slots
    }
}

/// A mapping of slots. It must be unmapped by [`unmap`](Self::unmap): only its owner knows when the
/// last slot was given back, and that this is no forked child.
#[derive(Debug)]
pub(crate) struct Mapped {
    pub(crate) start: NonNull<u8>,
    pub(crate) layout: Layout,
    pub(crate) backing: Backing,
}

// SAFETY: it is an address; who may use the bytes is said by the pool that owns it.
unsafe impl Send for Mapped {}

impl Mapped {
    /// Maps slots of zeros, readable and writable, absent from core dumps and from forked children.
    pub(crate) fn new(layout: Layout, backing: Backing) -> Result<Self, ArenaError> {
        // SAFETY: a new mapping at an address that the kernel chooses.
        let start = unsafe {
            libc::mmap(
                ptr::null_mut(),
                layout.reserved(),
                libc::PROT_NONE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        let start = match NonNull::new(start.cast::<u8>()) {
            Some(start) if start.as_ptr().cast() != libc::MAP_FAILED => start,
            _ => return Err(refused("reserve addresses")),
        };
        let mapped = Self {
            start,
            layout,
            backing,
        };
        match mapped.fill() {
            Ok(()) => Ok(mapped),
            Err(error) => {
                mapped.unmap();
                Err(error)
            }
        }
    }

    fn fill(&self) -> Result<(), ArenaError> {
        match self.backing {
            Backing::Secret => self.fill_secret()?,
            Backing::Locked | Backing::Swappable => self.fill_anonymous()?,
        }
        let start = self.start.as_ptr().cast();
        for (advice, action) in [
            (libc::MADV_DONTFORK, "keep memory from forked children"),
            (libc::MADV_DONTDUMP, "keep memory from core dumps"),
        ] {
            // SAFETY: exactly the mapping of `new`; the advice changes no byte of it.
            if unsafe { libc::madvise(start, self.layout.reserved(), advice) } != 0 {
                return Err(refused(action));
            }
        }
        Ok(())
    }

    fn slots(&self) -> impl Iterator<Item = *mut u8> {
        let start = self.start.as_ptr();
        let layout = self.layout;
        // The offsets lie inside the mapping.
        (0..layout.slots).map(move |index| start.wrapping_add(layout.offset(index)))
    }

    fn fill_secret(&self) -> Result<(), ArenaError> {
        let bytes = self.layout.bytes();
        let not_secret = |error| ArenaError::NotSecret { bytes, error };
        let memory = secret(bytes).map_err(not_secret)?;
        for (index, slot) in self.slots().enumerate() {
            let offset = libc::off_t::try_from(index * self.layout.slot)
                .map_err(|_| not_secret(io::Error::from(io::ErrorKind::InvalidInput)))?;
            // SAFETY: replaces pages of our own reservation, which nobody uses yet.
            let mapped = unsafe {
                libc::mmap(
                    slot.cast(),
                    self.layout.slot,
                    libc::PROT_READ | libc::PROT_WRITE,
                    libc::MAP_SHARED | libc::MAP_FIXED,
                    std::os::fd::AsRawFd::as_raw_fd(&memory),
                    offset,
                )
            };
            if mapped == libc::MAP_FAILED {
                return Err(not_secret(io::Error::last_os_error()));
            }
        }
        Ok(())
    }

    fn fill_anonymous(&self) -> Result<(), ArenaError> {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        for slot in self.slots() {
            // SAFETY: pages of our own reservation, which nobody uses yet.
            if unsafe { libc::mprotect(slot.cast(), self.layout.slot, access) } != 0 {
                return Err(refused("make memory writable"));
            }
            if self.backing == Backing::Swappable {
                continue;
            }
            // SAFETY: as above; locking changes no byte.
            if unsafe { libc::mlock(slot.cast(), self.layout.slot) } != 0 {
                return Err(ArenaError::NotLocked {
                    bytes: self.layout.bytes(),
                    error: io::Error::last_os_error(),
                });
            }
        }
        Ok(())
    }

    /// Unmaps it; whoever still had a pointer into it faults.
    pub(crate) fn unmap(self) {
        // SAFETY: exactly what `new` mapped, once, as `self` is consumed. An error would leave it in
        // place, which harms nothing.
        let _ = unsafe { libc::munmap(self.start.as_ptr().cast(), self.layout.reserved()) };
    }
}

/// A file of `memfd_secret`, of that length.
fn secret(bytes: usize) -> io::Result<std::fs::File> {
    use std::os::fd::{FromRawFd, RawFd};

    // SAFETY: makes a descriptor, or answers an error.
    let fd = unsafe { libc::syscall(libc::SYS_memfd_secret, libc::O_CLOEXEC) };
    let fd = RawFd::try_from(fd).map_err(io::Error::other)?;
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a new descriptor, which nobody else owns.
    let file = unsafe { std::fs::File::from_raw_fd(fd) };
    file.set_len(bytes as u64)?;
    Ok(file)
}

/// A page of zeros that stays, and is zeros again in a forked child.
pub(crate) fn wiped_on_fork() -> io::Result<NonNull<u8>> {
    // SAFETY: a new mapping at an address that the kernel chooses.
    let page = unsafe {
        libc::mmap(
            ptr::null_mut(),
            page_size(),
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    if page == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: exactly that mapping.
    if unsafe { libc::madvise(page, page_size(), libc::MADV_WIPEONFORK) } != 0 {
        return Err(io::Error::last_os_error());
    }
    NonNull::new(page.cast()).ok_or_else(|| io::Error::from(io::ErrorKind::OutOfMemory))
}

/// Writes zeros that the compiler can't leave out.
///
/// # Safety
/// The bytes are mapped and writable, and nobody relies on what is in them.
#[inline]
pub(crate) unsafe fn wipe(start: *mut u8, length: usize) {
    // SAFETY: the caller's promise.
    unsafe { ptr::write_bytes(start, 0, length) };
    // SAFETY: no instruction; it may read any memory as far as the compiler knows, so that the zeros
    // must be there before.
    unsafe { asm!("/* {0} */", in(reg) start, options(nostack, preserves_flags, readonly)) };
}

fn refused(action: &'static str) -> ArenaError {
    ArenaError::Refused {
        action,
        error: io::Error::last_os_error(),
    }
}
