//! A model's directory, or its one file.
//!
//! It is opened once. Everything in it is opened relative to that descriptor, by a call that can't
//! leave it: no `..`, no absolute link, no link at all unless links are allowed (`openat2` with
//! `RESOLVE_BENEATH`), so nothing that is swapped meanwhile leads elsewhere.

use std::{
    collections::BTreeSet,
    io,
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, Stat},
    io::Errno,
};

use super::{ManifestError, name};

/// Most entries and levels of a model's directory.
const MOST_ENTRIES: usize = 1 << 20;
const DEEPEST: usize = 64;

/// A tree that was opened.
#[derive(Debug)]
pub(super) struct Tree {
    root: OwnedFd,
    path: PathBuf,
    directory: bool,
}

/// An open regular file of it.
#[derive(Debug)]
pub(super) struct File {
    descriptor: OwnedFd,
    opened: Stat,
}

impl Tree {
    /// Opens a directory or a regular file. Links on the way there are followed: the caller named it.
    pub(super) fn open(path: &Path) -> Result<Self, ManifestError> {
        let root = rustix::fs::open(path, reading(), Mode::empty())
            .map_err(|errno| refused("open", path, errno))?;
        let stat = rustix::fs::fstat(&root).map_err(|errno| refused("examine", path, errno))?;
        let directory = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => true,
            FileType::RegularFile => false,
            _ => {
                return Err(ManifestError::FileSpecial {
                    name: name::shown(path.as_os_str().as_encoded_bytes()),
                });
            }
        };
        Ok(Self {
            root,
            path: path.to_owned(),
            directory,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) const fn is_directory(&self) -> bool {
        self.directory
    }

    /// Opens a regular file that a manifest lists; of links only one in its own place is followed.
    pub(super) fn file(&self, path: &str, follow: bool) -> Result<File, ManifestError> {
        let name = || name::shown(path.as_bytes());
        let explain = |errno| match errno {
            Errno::NOENT | Errno::NOTDIR => ManifestError::FileMissing { name: name() },
            Errno::LOOP => ManifestError::Symlink { name: name() },
            Errno::XDEV => ManifestError::SymlinkOutside { name: name() },
            Errno::NXIO | Errno::NODEV => ManifestError::FileSpecial { name: name() },
            errno => refused("open", &self.path.join(path), errno),
        };
        if follow && let Some((above, _)) = path.rsplit_once('/') {
            self.beneath(above.as_bytes(), OFlags::PATH | OFlags::CLOEXEC, false)
                .map_err(|errno| match errno {
                    Errno::LOOP => ManifestError::SymlinkDirectory { name: name() },
                    errno => explain(errno),
                })?;
        }
        let descriptor = if self.directory {
            self.beneath(path.as_bytes(), reading(), follow)
        } else {
            rustix::io::fcntl_dupfd_cloexec(&self.root, 0)
        }
        .map_err(explain)?;
        let opened = rustix::fs::fstat(&descriptor)
            .map_err(|errno| refused("examine", &self.path.join(path), errno))?;
        if FileType::from_raw_mode(opened.st_mode) != FileType::RegularFile {
            return Err(ManifestError::FileSpecial { name: name() });
        }
        Ok(File { descriptor, opened })
    }

    /// The names of all regular files that aren't ignored, in order; no file is opened.
    pub(super) fn files(
        &self,
        ignored: &BTreeSet<Vec<u8>>,
        follow: bool,
    ) -> Result<Vec<Vec<u8>>, ManifestError> {
        let mut files = Vec::new();
        let mut seen = 0;
        let mut directories: Vec<(Vec<u8>, usize)> = vec![(Vec::new(), 0)];
        while let Some((directory, depth)) = directories.pop() {
            if depth > DEEPEST {
                return Err(self.too_large(DEEPEST, "levels of directories"));
            }
            let io = |errno| refused("list", &self.path.join(shown_path(&directory)), errno);
            let opened = if directory.is_empty() {
                self.beneath(b".", listing(), false)
            } else {
                self.beneath(&directory, listing(), false)
            }
            .map_err(io)?;
            let entries = Dir::read_from(&opened).map_err(io)?;
            for entry in entries {
                let entry = entry.map_err(io)?;
                let own = entry.file_name().to_bytes();
                if matches!(own, b"." | b"..") {
                    continue;
                }
                seen += 1;
                if seen > MOST_ENTRIES {
                    return Err(self.too_large(MOST_ENTRIES, "entries"));
                }
                let mut path = directory.clone();
                if !path.is_empty() {
                    path.push(b'/');
                }
                path.extend_from_slice(own);
                if ignored.contains(&path) {
                    continue;
                }
                let kind = match entry.file_type() {
                    FileType::Unknown => {
                        let stat = rustix::fs::statat(
                            opened.as_fd(),
                            entry.file_name(),
                            AtFlags::SYMLINK_NOFOLLOW,
                        )
                        .map_err(io)?;
                        FileType::from_raw_mode(stat.st_mode)
                    }
                    kind => kind,
                };
                match kind {
                    FileType::Directory => directories.push((path, depth + 1)),
                    FileType::RegularFile => files.push(path),
                    FileType::Symlink => files.push(self.link(path, follow)?),
                    _ => {
                        return Err(ManifestError::FileSpecial {
                            name: name::shown(&path),
                        });
                    }
                }
            }
        }
        files.sort_unstable();
        Ok(files)
    }

    /// A link: the file that it stands for. One to a directory would bring in all that is there,
    /// also what is ignored where it is, under names that nobody listed.
    fn link(&self, path: Vec<u8>, follow: bool) -> Result<Vec<u8>, ManifestError> {
        let name = || name::shown(&path);
        if !follow {
            return Err(ManifestError::Symlink { name: name() });
        }
        let target = self
            .beneath(&path, OFlags::PATH | OFlags::CLOEXEC, true)
            .map_err(|_| ManifestError::SymlinkOutside { name: name() })?;
        let stat = rustix::fs::fstat(&target)
            .map_err(|errno| refused("examine", &self.path.join(shown_path(&path)), errno))?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Ok(path),
            FileType::Directory => Err(ManifestError::SymlinkDirectory { name: name() }),
            _ => Err(ManifestError::FileSpecial { name: name() }),
        }
    }

    fn beneath(&self, path: &[u8], flags: OFlags, follow: bool) -> Result<OwnedFd, Errno> {
        /// Renamings in the tree make the kernel ask for another try.
        const TRIES: usize = 16;
        let mut resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        if !follow {
            resolve |= ResolveFlags::NO_SYMLINKS;
        }
        let mut result = Err(Errno::AGAIN);
        for _ in 0..TRIES {
            result = rustix::fs::openat2(&self.root, path, flags, Mode::empty(), resolve);
            if !matches!(result, Err(Errno::AGAIN | Errno::INTR)) {
                break;
            }
        }
        result
    }

    fn too_large(&self, limit: usize, what: &'static str) -> ManifestError {
        ManifestError::TreeTooLarge {
            path: self.path.clone(),
            limit,
            what,
        }
    }
}

impl File {
    /// Bytes that it had when it was opened.
    pub(super) const fn size(&self) -> u64 {
        self.opened.st_size.unsigned_abs()
    }

    /// Reads at `offset`; 0 bytes are the end.
    pub(super) fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, Errno> {
        loop {
            match rustix::io::pread(&self.descriptor, &mut *buffer, offset) {
                Err(Errno::INTR) => {}
                result => return result,
            }
        }
    }

    /// Whether its size and its time of modification are still the same.
    pub(super) fn unchanged(&self) -> Result<bool, Errno> {
        let now = rustix::fs::fstat(&self.descriptor)?;
        let seen = |stat: &Stat| (stat.st_size, stat.st_mtime, stat.st_mtime_nsec);
        Ok(seen(&now) == seen(&self.opened))
    }
}

/// Where `file` is inside the directory `root`, by their real paths.
pub(super) fn inside(root: &Path, file: &Path) -> Option<Vec<u8>> {
    let root = root.canonicalize().ok()?;
    // The file's own name is kept: its directory entry is what a walk meets.
    let directory = match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.canonicalize().ok()?,
        _ => Path::new(".").canonicalize().ok()?,
    };
    let real = directory.join(file.file_name()?);
    let relative = real.strip_prefix(&root).ok()?;
    Some(relative.as_os_str().as_encoded_bytes().to_vec())
}

// Without NONBLOCK the opening of a FIFO would wait for a writer.
fn reading() -> OFlags {
    OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY
}

fn listing() -> OFlags {
    OFlags::RDONLY | OFlags::CLOEXEC | OFlags::DIRECTORY
}

fn shown_path(path: &[u8]) -> PathBuf {
    PathBuf::from(String::from_utf8_lossy(path).into_owned())
}

/// The kernel's refusal of `action`.
pub(super) fn refused(action: &'static str, path: &Path, errno: Errno) -> ManifestError {
    let path = path.to_owned();
    match errno {
        Errno::ACCESS | Errno::PERM => ManifestError::Unreadable { path },
        errno => ManifestError::Io {
            action,
            path,
            error: io::Error::from(errno),
        },
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_that_was_written_to_is_not_the_one_that_was_opened() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        fs::write(&path, b"abc").unwrap();
        let tree = Tree::open(directory.path()).unwrap();
        let file = tree.file("a", false).unwrap();
        assert!(file.unchanged().unwrap());
        fs::write(&path, b"abcd").unwrap();
        assert!(!file.unchanged().unwrap());
        let refused = ManifestError::FileChanged {
            name: "a".into(),
            reason: "it grew",
        };
        assert_eq!(refused.code(), "manifest.file_changed");
        // Under its name there may be another one: what was opened stays what it is.
        fs::write(&path, b"abc").unwrap();
        let file = tree.file("a", false).unwrap();
        fs::rename(&path, directory.path().join("b")).unwrap();
        fs::write(&path, b"other").unwrap();
        let mut buffer = [0; 8];
        assert_eq!(file.read_at(&mut buffer, 0).unwrap(), 3);
        assert!(file.unchanged().unwrap());
    }

    #[test]
    fn what_may_not_be_read_is_said_so() {
        for errno in [Errno::ACCESS, Errno::PERM] {
            let error = refused("open", Path::new("a"), errno);
            assert_eq!(error.code(), "manifest.unreadable");
        }
        assert_eq!(
            refused("open", Path::new("a"), Errno::MFILE).code(),
            "manifest.io"
        );
    }
}
