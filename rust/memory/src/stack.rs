//! A stack that is wiped after use.
//!
//! Cryptographic code leaves copies of keys in stack frames that nobody overwrites: making and dropping
//! one AES key of ring leaves several copies of its schedule. What handles keys runs on a stack of its
//! own, which is all zeros again before anything else goes on, as the vector registers are.

use std::{
    cell::Cell,
    panic::{self, AssertUnwindSafe},
    thread,
};

use crate::{
    arena::{ArenaError, Backing, Layout, Mapped, Process, wipe},
    registers::wipe_registers,
};

/// Bytes of the stack: what ring needs several times over, and a panic with its backtrace.
const SIZE: usize = 128 << 10;

thread_local! {
    static IDLE: Cell<Option<Stack>> = const { Cell::new(None) };
}

/// Pages between guard pages; all zeros while idle.
struct Stack {
    // Taken by drop alone.
    mapped: Option<Mapped>,
    process: &'static Process,
}

impl Stack {
    fn new() -> Result<Self, ArenaError> {
        let process = Process::current()?;
        let layout = Layout {
            slot: SIZE,
            slots: 1,
        };
        let mapped = match Mapped::new(layout, Backing::Locked) {
            Err(ArenaError::NotLocked { .. }) => Mapped::new(layout, Backing::Swappable),
            mapped => mapped,
        }?;
        Ok(Self {
            mapped: Some(mapped),
            process,
        })
    }

    /// This thread's, or a new one: inside another closure on it, or in a forked child, which has none.
    fn take() -> Result<Self, ArenaError> {
        match IDLE.try_with(Cell::take).ok().flatten() {
            Some(stack) if stack.process.runs() => Ok(stack),
            _ => Self::new(),
        }
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        if let Some(mapped) = self.mapped.take()
            && self.process.runs()
        {
            mapped.unmap();
        }
    }
}

/// What holds the pages of this thread's wiped stack: [`Backing::Locked`], or [`Backing::Swappable`]
/// where the kernel locks no more memory. It is guarded and absent from core dumps either way.
///
/// # Errors
/// As [`wiped_stack`].
pub fn wiped_stack_backing() -> Result<Backing, ArenaError> {
    let stack = Stack::take()?;
    let backing = stack.mapped.as_ref().map(|mapped| mapped.backing);
    IDLE.try_with(|idle| idle.set(Some(stack))).ok();
    Ok(backing.unwrap_or(Backing::Swappable))
}

/// Runs `work` on a stack of 128 KiB that is wiped before this returns, or before a panic of `work`
/// goes on. A thread keeps its stack for the next time.
///
/// What `work` returns or panics with is handed on: nothing secret belongs into it. It must not fork; the
/// child would have no stack.
///
/// # Errors
/// [`ArenaError::Refused`] where there is no memory for the stack; `work` hasn't run then.
pub fn wiped_stack<R>(work: impl FnOnce() -> R) -> Result<R, ArenaError> {
    let stack = Stack::take()?;
    let Some(mapped) = &stack.mapped else {
        unreachable!("a stack is emptied by its drop alone");
    };
    let start = mapped.start.as_ptr().wrapping_add(mapped.layout.offset(0));
    let done = {
        let work = || {
            let done = panic::catch_unwind(AssertUnwindSafe(work));
            wipe_registers();
            done
        };
        // SAFETY: `SIZE` bytes are mapped from `start`, whole pages, between pages that fault; nobody
        // else runs on them, as `stack` was taken; no panic leaves the closure.
        unsafe { psm::on_stack(start, SIZE, work) }
    };
    // SAFETY: nothing runs on it any more, and it holds nothing that anybody refers to.
    unsafe { wipe(start, SIZE) };
    // Where the thread is ending it is unmapped instead.
    IDLE.try_with(|idle| idle.set(Some(stack))).ok();
    Ok(done.unwrap_or_else(|panic| panic::resume_unwind(panic)))
}

/// [`wiped_stack`], for what can't fail: where there is no stack, `work` doesn't run.
pub(crate) fn if_possible(work: impl FnOnce()) {
    // A panic while another is going on would end the process, which is what a destructor's does.
    if wiped_stack(work).is_err() && !thread::panicking() {
        eprintln!("strongroom: no memory for a stack; a secret was wiped without its destructor");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::hint::black_box;

    use super::*;

    fn on(address: usize) -> bool {
        let stack = Stack::take().unwrap();
        let mapped = stack.mapped.as_ref().unwrap();
        let start = mapped.start.as_ptr() as usize + mapped.layout.offset(0);
        IDLE.set(Some(stack));
        (start..start + SIZE).contains(&address)
    }

    fn bytes_left() -> usize {
        let stack = Stack::take().unwrap();
        let mapped = stack.mapped.as_ref().unwrap();
        let start = mapped.start.as_ptr().wrapping_add(mapped.layout.offset(0));
        // SAFETY: nobody runs on it, as it was taken.
        let bytes = unsafe { std::slice::from_raw_parts(start, SIZE) };
        let left = bytes.iter().filter(|byte| **byte != 0).count();
        IDLE.set(Some(stack));
        left
    }

    #[test]
    fn work_runs_there_and_leaves_nothing() {
        let address = wiped_stack(|| {
            let local = black_box([0xA5_u8; 4096]);
            local.as_ptr() as usize
        })
        .unwrap();
        assert!(on(address));
        assert_eq!(bytes_left(), 0);
    }

    #[test]
    fn a_panic_crosses_and_leaves_nothing() {
        let caught = panic::catch_unwind(|| {
            wiped_stack(|| {
                black_box([0xA5_u8; 4096]);
                panic!("meant");
            })
        });
        assert_eq!(*caught.unwrap_err().downcast::<&str>().unwrap(), "meant");
        assert_eq!(bytes_left(), 0);
    }

    #[test]
    fn it_nests() {
        let (outer, inner) = wiped_stack(|| {
            let local = black_box(1_u8);
            let inner = wiped_stack(|| {
                let local = black_box(2_u8);
                &raw const local as usize
            });
            (&raw const local as usize, inner.unwrap())
        })
        .unwrap();
        assert!(outer.abs_diff(inner) > 4096);
    }
}
