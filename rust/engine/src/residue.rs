//! What calls that have returned left on a thread's stack.

use std::{hint::black_box, mem::MaybeUninit, ptr};

/// Bytes below the caller's frame that are overwritten rather than given back: the pages in use are among them.
const NEAR: usize = 32 << 10;

/// The lowest address of the calling thread's stack, which [`forget_below`] needs; `None` where the C library
/// doesn't say. To be asked before system calls are forbidden.
pub(crate) fn lowest() -> Option<usize> {
    let mut attributes = MaybeUninit::<libc::pthread_attr_t>::uninit();
    // SAFETY: asking for the calling thread has no conditions.
    let this = unsafe { libc::pthread_self() };
    // SAFETY: `attributes` has the room that the call fills.
    if unsafe { libc::pthread_getattr_np(this, attributes.as_mut_ptr()) } != 0 {
        return None;
    }
    let (mut low, mut size) = (ptr::null_mut(), 0);
    // SAFETY: the attributes were filled above.
    let said =
        unsafe { libc::pthread_attr_getstack(attributes.as_ptr(), &raw mut low, &raw mut size) };
    // SAFETY: as above; they are used no more.
    unsafe { libc::pthread_attr_destroy(attributes.as_mut_ptr()) };
    (said == 0).then(|| low.addr())
}

/// Empties the stack of the calling thread, which begins at `lowest`, below the caller's frame: far below it the
/// pages go back to the kernel, which hands out empty ones.
#[inline(never)]
pub(crate) fn forget_below(lowest: Option<usize>) {
    let here = black_box(0_u8);
    let near = (ptr::from_ref(&here).addr()).saturating_sub(NEAR / 2) & !(PAGE - 1);
    if let Some(lowest) = lowest
        && let Some(length) = near.checked_sub(lowest)
    {
        // SAFETY: the range is of this thread's stack and ends well below the frame of this call: whatever lies
        // there belongs to calls that have returned.
        unsafe {
            libc::madvise(
                ptr::without_provenance_mut(lowest),
                length,
                libc::MADV_DONTNEED,
            )
        };
    }
    overwrite();
}

const PAGE: usize = 4096;

#[inline(never)]
#[allow(clippy::large_stack_arrays)] // that is its purpose
fn overwrite() {
    black_box(&mut [0_u8; NEAR]);
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const MARK: u64 = 0x5a5a_1234_c0de_7e57;

    /// Leaves marks from its frame down, `depth` frames deep.
    #[inline(never)]
    fn leave(depth: usize) -> u64 {
        let marks = black_box([MARK; 64]);
        if depth == 0 {
            marks[0]
        } else {
            leave(depth - 1) ^ black_box(marks[1])
        }
    }

    /// How many marks lie in `length` bytes below the caller's frame.
    #[inline(never)]
    fn count(length: usize) -> usize {
        let here = black_box(0_u64);
        let top = ptr::from_ref(&here).addr() & !7;
        (1..length / 8)
            .filter(|word| {
                // SAFETY: the address is of this thread's own stack, of which much more is mapped; what lies
                // there may be anything, and is only compared.
                let found =
                    unsafe { ptr::with_exposed_provenance::<u64>(top - word * 8).read_volatile() };
                found == MARK
            })
            .count()
    }

    #[test]
    fn nothing_is_left_of_calls_that_were_deep() {
        let counts = std::thread::Builder::new()
            .stack_size(8 << 20)
            .spawn(|| {
                let lowest = lowest();
                assert!(lowest.is_some());
                black_box(leave(2000));
                let before = count(1 << 20);
                black_box(leave(2000));
                forget_below(lowest);
                (before, count(1 << 20))
            })
            .unwrap()
            .join()
            .unwrap();
        assert!(counts.0 > 10_000, "the control: {counts:?}");
        assert_eq!(counts.1, 0);
    }
}
