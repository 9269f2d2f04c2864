//! Raw system calls.

use std::ffi::CStr;
use std::io;

/// What can stand as an argument of a system call.
pub(crate) trait Argument {
    /// The register's value.
    fn word(self) -> usize;
}

macro_rules! integers {
    ($($type:ty)*) => {$(
        impl Argument for $type {
            fn word(self) -> usize { self as usize }
        }
    )*};
}
integers!(i32 u32 i64 u64 usize);

impl Argument for &CStr {
    fn word(self) -> usize {
        self.as_ptr() as usize
    }
}

impl Argument for &[u8] {
    fn word(self) -> usize {
        self.as_ptr() as usize
    }
}

impl Argument for &mut [u8] {
    fn word(self) -> usize {
        self.as_mut_ptr() as usize
    }
}

impl<T> Argument for *const T {
    fn word(self) -> usize {
        self as usize
    }
}

/// `call!(number, argument, …)`: the result, or the errno.
macro_rules! call {
    ($number:expr $(, $argument:expr)* $(,)?) => {
        $crate::kernel::enter($number, &[$($crate::kernel::Argument::word($argument)),*])
    };
}
pub(crate) use call;

/// Makes system call `number`; arguments that are not given are 0.
pub(crate) fn enter(number: i64, arguments: &[usize]) -> Result<usize, i32> {
    let argument = |index: usize| arguments.get(index).copied().unwrap_or(0);
    // SAFETY: whatever the kernel is told to write to is a buffer that the attack borrowed for the
    // call, or memory that it mapped for the purpose. Beyond that this program exists to
    // misbehave, and is started by the tests alone.
    let result = unsafe {
        libc::syscall(
            number,
            argument(0),
            argument(1),
            argument(2),
            argument(3),
            argument(4),
            argument(5),
        )
    };
    if result == -1 {
        Err(errno())
    } else {
        Ok(result as usize)
    }
}

/// The errno of the call before.
pub(crate) fn errno() -> i32 {
    io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

/// The process that started this one.
pub(crate) fn parent() -> i32 {
    call!(libc::SYS_getppid).unwrap_or(0) as i32
}

/// "yes" if the call succeeded.
pub(crate) fn yes(result: Result<usize, i32>) -> crate::Outcome {
    result.map(|_| "yes".to_owned())
}

/// Waits for `child`, which has to leave with 42.
pub(crate) fn reap(child: usize) -> crate::Outcome {
    let mut status = [0; 4];
    call!(libc::SYS_wait4, child, &mut status[..], 0, 0)?;
    let status = i32::from_ne_bytes(status);
    if libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 42 {
        Ok("yes".to_owned())
    } else {
        Err(libc::ECHILD)
    }
}
