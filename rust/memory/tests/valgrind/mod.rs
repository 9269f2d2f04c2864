//! Talking to valgrind's memcheck, under which `make memcheck` runs these tests.
//!
//! A client request is a sequence of instructions that changes nothing on a processor and that valgrind
//! knows: `valgrind/valgrind.h`, "amd64-linux", whose authors invite other languages to write it
//! themselves. The crate that wraps it (`crabgrind`) compiles valgrind's headers, which would make
//! valgrind something that every build of the tests needs.

use std::arch::asm;

/// `VG_USERREQ__RUNNING_ON_VALGRIND`.
const RUNNING: u64 = 0x1001;
/// `VG_USERREQ__MAKE_MEM_UNDEFINED` of memcheck: `('M' << 24 | 'C' << 16) + 1`.
const MAKE_UNDEFINED: u64 = 0x4D43_0001;
/// `VG_USERREQ__MAKE_MEM_DEFINED`.
const MAKE_DEFINED: u64 = 0x4D43_0002;

/// The answer of valgrind; 0 without it.
fn request(number: u64, first: u64, second: u64) -> u64 {
    let arguments = [number, first, second, 0, 0, 0];
    let mut answer = 0;
    // SAFETY: `rdi` is rotated by 128 bits in all, so not at all; `rbx` is exchanged with itself.
    // Valgrind reads the six numbers and writes `rdx`; what it changes of its own is no memory of ours.
    unsafe {
        asm!(
            "rol rdi, 3",
            "rol rdi, 13",
            "rol rdi, 61",
            "rol rdi, 51",
            "xchg rbx, rbx",
            in("rax") arguments.as_ptr(),
            inout("rdx") answer,
            options(nostack)
        );
    }
    answer
}

/// Whether valgrind runs this process.
pub(crate) fn running() -> bool {
    request(RUNNING, 0, 0) != 0
}

/// From here on, branching on these bytes, or using them as an address, is an error to memcheck, and
/// so it is for all that is computed of them.
#[allow(dead_code)] // Each file of tests is compiled with its own copy of this module.
pub(crate) fn taint(bytes: &[u8]) {
    request(MAKE_UNDEFINED, bytes.as_ptr() as u64, bytes.len() as u64);
}

/// They may be known from here on.
#[allow(dead_code)] // As above.
pub(crate) fn publish(bytes: &[u8]) {
    request(MAKE_DEFINED, bytes.as_ptr() as u64, bytes.len() as u64);
}
