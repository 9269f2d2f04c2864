//! Running what was written, and writing what was sealed.

use strongroom_protocol::descriptor::IMAGE;

use crate::kernel::{call, yes};
use crate::{Attack, Outcome, Situation};

const READ: i32 = libc::PROT_READ;
const WRITE: i32 = libc::PROT_WRITE;
const EXEC: i32 = libc::PROT_EXEC;
const OWN: i32 = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
const PAGE: usize = 4096;

pub(crate) const ATTACKS: &[(&str, Attack)] = &[
    ("mmap_exec", |_| run(map(READ | WRITE | EXEC, OWN, -1)?)),
    ("mprotect_exec", mprotect_exec),
    // Without asking: works where READ_IMPLIES_EXEC is set.
    ("run_readable", |_| {
        Ok(call_code(write_code(map(READ | WRITE, OWN, -1)?)))
    }),
    ("mremap_keep", |_| {
        let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_DONTUNMAP;
        yes(call!(
            libc::SYS_mremap,
            map(READ | WRITE, OWN, -1)?,
            PAGE,
            PAGE,
            flags
        ))
    }),
    ("pkey_mprotect_exec", |_| {
        let page = map(READ | WRITE, OWN, -1)?;
        yes(call!(libc::SYS_pkey_mprotect, page, PAGE, READ | EXEC, -1))
    }),
    ("mmap_model_exec", |_| {
        yes(map(READ | EXEC, libc::MAP_PRIVATE, IMAGE))
    }),
    ("mmap_model_private", |_| {
        yes(map(READ | WRITE, libc::MAP_PRIVATE, IMAGE))
    }),
    ("model_read", |_| {
        yes(call!(libc::SYS_read, IMAGE, &mut [0; 16][..], 16))
    }),
    ("model_map", |_| yes(map(READ, libc::MAP_SHARED, IMAGE))),
    // The one other file that is open.
    ("map_null", |_| yes(map(READ, libc::MAP_SHARED, 0))),
    ("model_write", |_| {
        yes(call!(libc::SYS_write, IMAGE, &b"evil"[..], 4))
    }),
    ("model_pwrite", |_| {
        yes(call!(libc::SYS_pwrite64, IMAGE, &b"evil"[..], 4, 0))
    }),
    ("model_map_writable", |_| {
        yes(map(READ | WRITE, libc::MAP_SHARED, IMAGE))
    }),
    ("model_protect_writable", |_| {
        let page = map(READ, libc::MAP_SHARED, IMAGE)?;
        yes(call!(libc::SYS_mprotect, page, PAGE, READ | WRITE))
    }),
    ("model_truncate", |_| {
        yes(call!(libc::SYS_ftruncate, IMAGE, 0))
    }),
    ("model_punch", |_| {
        let hole = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
        yes(call!(libc::SYS_fallocate, IMAGE, hole, 0, PAGE))
    }),
    ("model_remove_pages", |_| {
        let page = map(READ, libc::MAP_SHARED, IMAGE)?;
        yes(call!(libc::SYS_madvise, page, PAGE, libc::MADV_REMOVE))
    }),
    ("model_reopen", model_reopen),
    ("share_pages", |_| {
        let page = map(READ | WRITE, OWN, -1)?;
        yes(call!(libc::SYS_madvise, page, PAGE, libc::MADV_MERGEABLE))
    }),
    ("mmap_shared", |_| {
        yes(map(
            READ | WRITE,
            libc::MAP_SHARED | libc::MAP_ANONYMOUS,
            -1,
        ))
    }),
    ("memfd", |_| {
        yes(call!(libc::SYS_memfd_create, c"memory", 0))
    }),
    ("shmget", |_| {
        let segment = call!(libc::SYS_shmget, libc::IPC_PRIVATE, PAGE, 0o600)?;
        yes(call!(libc::SYS_shmctl, segment, libc::IPC_RMID, 0))
    }),
    ("userfaultfd", |_| {
        const UFFD_USER_MODE_ONLY: i32 = 1;
        yes(call!(libc::SYS_userfaultfd, UFFD_USER_MODE_ONLY))
    }),
    ("mlock", |_| {
        yes(call!(libc::SYS_mlock, map(READ | WRITE, OWN, -1)?, PAGE))
    }),
    ("allocate", |situation| yes(map_sized(situation.number()?))),
    ("grow", grow),
];

fn map(protection: i32, flags: i32, descriptor: i32) -> Result<usize, i32> {
    call!(libc::SYS_mmap, 0, PAGE, protection, flags, descriptor, 0)
}

fn map_sized(bytes: usize) -> Result<usize, i32> {
    call!(
        libc::SYS_mmap,
        0,
        bytes,
        READ | WRITE,
        OWN | libc::MAP_NORESERVE,
        -1,
        0
    )
}

/// Writes `mov eax, 42; ret` to a page, makes it executable, and calls it.
fn run(page: usize) -> Outcome {
    let page = write_code(page);
    call!(libc::SYS_mprotect, page, PAGE, READ | EXEC)?;
    Ok(call_code(page))
}

fn write_code(page: usize) -> usize {
    const CODE: [u8; 6] = [0xb8, 42, 0, 0, 0, 0xc3];
    // SAFETY: the page was mapped writable by the caller, for this.
    unsafe { std::ptr::copy_nonoverlapping(CODE.as_ptr(), page as *mut u8, CODE.len()) };
    page
}

fn call_code(page: usize) -> String {
    // SAFETY: the page holds the six bytes of a function without arguments. If it isn't executable
    // the process dies of SIGSEGV, which is what is being asked.
    let code: extern "C" fn() -> i32 = unsafe { std::mem::transmute(page) };
    code().to_string()
}

fn mprotect_exec(_: &Situation) -> Outcome {
    run(map(READ | WRITE, OWN, -1)?)
}

fn model_reopen(_: &Situation) -> Outcome {
    let path = c"/proc/self/fd/4";
    let image = call!(libc::SYS_openat, libc::AT_FDCWD, path, libc::O_RDWR)?;
    yes(call!(libc::SYS_write, image, &b"evil"[..], 4))
}

/// What allocators do all day has to go on working: map, grow, move, give back, protect.
fn grow(_: &Situation) -> Outcome {
    let page = map(READ | WRITE, OWN, -1)?;
    let more = call!(
        libc::SYS_mremap,
        page,
        PAGE,
        64 * PAGE,
        libc::MREMAP_MAYMOVE
    )?;
    call!(libc::SYS_madvise, more, 64 * PAGE, libc::MADV_DONTNEED)?;
    call!(libc::SYS_mprotect, more, PAGE, 0)?;
    call!(libc::SYS_munmap, more, 64 * PAGE)?;
    let large = vec![1_u8; 8 << 20];
    Ok(large.len().to_string())
}
