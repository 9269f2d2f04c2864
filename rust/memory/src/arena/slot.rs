//! A slot: the buffer at its end, against a guard page, and a canary in all that lies before.
//!
//! An overrun faults at its first byte. An underrun meets the canary, and is found when the slot is
//! freed; a write after that is found when the slot, which was left as zeros, is taken again.

use std::{process, ptr::NonNull, slice};

use super::{
    Backing, pages,
    process::{exiting, wipe_everything},
};

/// Bytes of the pattern. At least one lies before every buffer.
pub(crate) const CANARY: usize = 16;

/// Whole pages between guard pages, which whoever holds the slot may use.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slot {
    pub(crate) start: NonNull<u8>,
    pub(crate) bytes: usize,
    pub(crate) backing: Backing,
    /// The mapping that it lies in.
    pub(crate) slab: u64,
    /// The pool's shelf that it goes back to; none is unmapped when it is freed.
    pub(crate) class: Option<usize>,
}

// SAFETY: it is an address; the pool hands it to one holder at a time.
unsafe impl Send for Slot {}
// SAFETY: as for Send; no method of a shared reference changes its bytes without a holder's promise.
unsafe impl Sync for Slot {}

impl Slot {
    /// Where a buffer of `length` bytes begins.
    pub(crate) fn buffer(&self, length: usize) -> NonNull<u8> {
        debug_assert!(length + CANARY <= self.bytes);
        // SAFETY: the pool gives slots that `length` and a canary fit into.
        unsafe { self.start.add(self.bytes - length) }
    }

    /// Sets the canary before a buffer of `length` bytes, which is zeros.
    ///
    /// # Safety
    /// The slot is mapped, and the caller its only holder.
    pub(crate) unsafe fn take(&self, length: usize, canary: &[u8; CANARY], purpose: &str) {
        // SAFETY: the caller's promise; the reference ends here.
        let bytes = unsafe { slice::from_raw_parts_mut(self.start.as_ptr(), self.bytes) };
        if !is_zero(bytes) {
            violated(
                "memory of a buffer that was freed was written to, found",
                purpose,
            );
        }
        let (slack, _) = bytes.split_at_mut(self.bytes - length);
        let (whole, rest) = slack.as_chunks_mut::<CANARY>();
        whole.fill(*canary);
        rest.copy_from_slice(&canary[..rest.len()]);
    }

    /// Checks the canary, and leaves zeros.
    ///
    /// # Safety
    /// As for [`take`](Self::take), with the same length and canary.
    pub(crate) unsafe fn give_back(&self, length: usize, canary: &[u8; CANARY], purpose: &str) {
        // SAFETY: the caller's promise; the reference ends before the bytes are wiped.
        let slack = unsafe { slice::from_raw_parts(self.start.as_ptr(), self.bytes - length) };
        let (whole, rest) = slack.as_chunks::<CANARY>();
        let intact = whole.iter().all(|pattern| pattern == canary) && rest == &canary[..rest.len()];
        // At exit another thread may have wiped it already.
        if !intact && !exiting() {
            violated("memory before a buffer was written to, found", purpose);
        }
        // SAFETY: the caller's promise.
        unsafe { pages::wipe(self.start.as_ptr(), self.bytes) };
    }
}

fn is_zero(bytes: &[u8]) -> bool {
    let (blocks, rest) = bytes.as_chunks::<64>();
    blocks
        .iter()
        .all(|block| block.iter().fold(0, |all, byte| all | byte) == 0)
        && rest.iter().all(|&byte| byte == 0)
}

/// Ends the process by SIGABRT: something writes where it must not, and what else it wrote to isn't
/// known. Everything secret is wiped before.
#[cold]
fn violated(what: &str, purpose: &str) -> ! {
    wipe_everything();
    eprintln!("strongroom: {what} with the buffer for {purpose:?}; aborting");
    process::abort()
}
