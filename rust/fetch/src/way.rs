//! The way to a directory, on which nobody else may put up a sign.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStringExt,
    path::{Component, Path, PathBuf},
};

use rustix::{
    fs::{FileType, Mode, Stat},
    io::Errno,
};

use crate::FetchError;

/// Links that are followed: as many as the kernel does.
const MOST_LINKS: usize = 40;

/// Follows `path` as the kernel would, and returns it without links. What is missing is made.
///
/// Each step is looked at before the next one is taken from it, so that nobody who is refused has
/// decided where that is.
///
/// # Errors
/// [`FetchError::CacheUnsafe`] at the first step that another user than root could change;
/// [`FetchError::Cache`].
pub(crate) fn to(path: &Path, made: Mode) -> Result<PathBuf, FetchError> {
    let failed =
        |action, here: &Path, error: std::io::Error| FetchError::io(action, here.to_owned(), error);
    let absolute = std::path::absolute(path).map_err(|error| failed("find", path, error))?;
    let mut ahead = steps(&absolute);
    let mut here = PathBuf::from("/");
    let mut links = 0;
    loop {
        let found = match rustix::fs::lstat(&here) {
            Err(Errno::NOENT) => {
                match rustix::fs::mkdir(&here, made) {
                    // Another process may have been faster.
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(errno) => return Err(failed("make", &here, errno.into())),
                }
                rustix::fs::lstat(&here)
            }
            found => found,
        };
        let found = found.map_err(|errno| failed("examine", &here, errno.into()))?;
        let is_link = FileType::from_raw_mode(found.st_mode) == FileType::Symlink;
        if let Some(reason) = anothers(&found, is_link) {
            return Err(FetchError::CacheUnsafe { path: here, reason });
        }
        if is_link {
            links += 1;
            if links > MOST_LINKS {
                return Err(failed("follow", &here, Errno::LOOP.into()));
            }
            let target = rustix::fs::readlink(&here, Vec::new())
                .map_err(|errno| failed("follow", &here, errno.into()))?;
            let target = PathBuf::from(OsString::from_vec(target.into_bytes()));
            if target.is_absolute() {
                here = PathBuf::from("/");
            } else {
                here.pop();
            }
            ahead.extend(steps(&target));
        }
        loop {
            match ahead.pop() {
                None => return Ok(here),
                Some(step) if step == OsStr::new("..") => {
                    here.pop();
                }
                Some(step) => {
                    here.push(step);
                    break;
                }
            }
        }
    }
}

/// The parts of a path, the first of them last.
fn steps(path: &Path) -> Vec<OsString> {
    path.components()
        .rev()
        .filter_map(|component| match component {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some(OsString::from("..")),
            _ => None,
        })
        .collect()
}

/// Why another user than root could put something else in the place of what is in it.
fn anothers(stat: &Stat, is_link: bool) -> Option<&'static str> {
    let sticky = stat.st_mode & Mode::SVTX.as_raw_mode() != 0;
    if ![0, rustix::process::geteuid().as_raw()].contains(&stat.st_uid) {
        Some("it belongs to another user")
    } else if stat.st_mode & 0o022 != 0 && !sticky && !is_link {
        Some("other users may write to it")
    } else {
        None
    }
}
