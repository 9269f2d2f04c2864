//! Reaching files by their names.

use std::ffi::CStr;

use strongroom_protocol::descriptor::IMAGE;

use crate::kernel::{call, yes};
use crate::{Attack, Outcome, Situation};

/// A file that everyone may read.
const PUBLIC: &CStr = c"/etc/passwd";

pub(crate) const ATTACKS: &[(&str, Attack)] = &[
    ("open", open),
    ("open_legacy", |_| {
        yes(call!(libc::SYS_open, PUBLIC, libc::O_RDONLY))
    }),
    ("openat2", openat2),
    ("create", create),
    ("stat", |_| stat(libc::AT_FDCWD, 0)),
    // An absolute path wins over the descriptor, whatever the flag suggests.
    ("stat_past_descriptor", |_| stat(IMAGE, libc::AT_EMPTY_PATH)),
    ("stat_legacy", |_| {
        yes(call!(libc::SYS_stat, PUBLIC, &mut [0; 144][..]))
    }),
    ("statx", |_| {
        yes(call!(
            libc::SYS_statx,
            libc::AT_FDCWD,
            PUBLIC,
            0,
            0xfff,
            &mut [0; 256][..]
        ))
    }),
    ("access", |_| {
        yes(call!(libc::SYS_access, PUBLIC, libc::R_OK))
    }),
    ("readlink", |_| {
        yes(call!(
            libc::SYS_readlink,
            c"/proc/self/exe",
            &mut [0; 256][..],
            256
        ))
    }),
    ("chdir", |_| yes(call!(libc::SYS_chdir, c"/"))),
    ("inotify", |_| yes(call!(libc::SYS_inotify_init1, 0))),
];

fn open(_: &Situation) -> Outcome {
    yes(call!(
        libc::SYS_openat,
        libc::AT_FDCWD,
        PUBLIC,
        libc::O_RDONLY
    ))
}

fn openat2(_: &Situation) -> Outcome {
    // struct open_how: flags, mode and resolve, all 0.
    yes(call!(
        libc::SYS_openat2,
        libc::AT_FDCWD,
        PUBLIC,
        &[0; 24][..],
        24
    ))
}

fn create(_: &Situation) -> Outcome {
    let name = format!("/tmp/strongroom-hostile-{}\0", std::process::id());
    let name = CStr::from_bytes_with_nul(name.as_bytes()).map_err(|_| libc::EINVAL)?;
    let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL;
    let created = call!(libc::SYS_openat, libc::AT_FDCWD, name, flags, 0o600)?;
    let _ = call!(libc::SYS_close, created);
    yes(call!(libc::SYS_unlink, name))
}

fn stat(directory: i32, flags: i32) -> Outcome {
    yes(call!(
        libc::SYS_newfstatat,
        directory,
        PUBLIC,
        &mut [0; 144][..],
        flags
    ))
}
