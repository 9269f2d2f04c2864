//! The directory of what was fetched.
//!
//! `sha256/HEX` are whole and proved files under their own digest; `partial/` has what is under way,
//! by a hash of its URL: `KEY.part` the bytes, `KEY.meta` of which version of the file they are, and
//! `KEY.lock`, which whoever downloads holds; `index/KEY` names the digest that a URL had last;
//! `parts/KEY/NAME` are links to the files of a model in parts, by the names that make it one.

use std::{
    ffi::OsStr,
    fs::File,
    io::{Read, Write},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    process,
};

use rustix::{
    fs::{AtFlags, CWD, FileType, FlockOperation, Mode, OFlags, Stat},
    io::Errno,
};
use strongroom_verify::{Algorithm, Digest};

use crate::{FetchError, Location, way};

const OWN: Mode = Mode::RWXU;

/// The directory of what was fetched: of one user, whom others can't write to.
#[derive(Debug)]
pub struct Cache {
    path: PathBuf,
    pub(crate) content: Directory,
    pub(crate) partial: Directory,
    index: Directory,
    parts: Directory,
}

impl Cache {
    /// Opens the directory at `path`, and makes it where it is missing.
    ///
    /// Nobody but this user may be able to write to it, and nobody but this user and root to put
    /// another in its place: every directory on the way, by way of links too, belongs to one of them,
    /// as does each link, and others can't write there, but where the sticky bit keeps them from
    /// replacing what isn't theirs. Modes and owners are looked at, access control lists are not.
    ///
    /// # Errors
    /// [`FetchError::CacheUnsafe`] where another user could; [`FetchError::Cache`].
    pub fn open(path: &Path) -> Result<Self, FetchError> {
        let root = Directory::open(CWD, &way::to(path, OWN)?, path.to_owned())?;
        let below = |name: &str| Directory::open(&root.file, Path::new(name), path.join(name));
        Ok(Self {
            path: path.to_owned(),
            content: below("sha256")?,
            partial: below("partial")?,
            index: below("index")?,
            parts: below("parts")?,
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where a file of this digest is, or would be.
    pub(crate) fn path_of(&self, sha256: &Digest) -> PathBuf {
        self.content.path.join(name_of(sha256))
    }

    /// A whole file, if it is there.
    pub(crate) fn find(&self, sha256: &Digest) -> Result<Option<File>, FetchError> {
        self.content.open_file(&name_of(sha256))
    }

    /// Forgets a file that isn't what its name says.
    pub(crate) fn discard(&self, sha256: &Digest) -> Result<(), FetchError> {
        self.content.remove(&name_of(sha256))
    }

    /// What a URL had last, and when that was noted.
    pub(crate) fn noted(&self, key: &str) -> Result<Option<(Digest, Stamp)>, FetchError> {
        let Some(file) = self.index.open_file(key)? else {
            return Ok(None);
        };
        let stat = rustix::fs::fstat(&file)
            .map_err(|errno| FetchError::io("examine", self.index.path.join(key), errno))?;
        let mut text = String::new();
        // What can't be read is as good as not there.
        if file.take(100).read_to_string(&mut text).is_err() {
            return Ok(None);
        }
        Ok(text
            .trim_end()
            .parse::<Digest>()
            .ok()
            .filter(|digest| digest.algorithm() == Algorithm::Sha256)
            .map(|digest| (digest, Stamp::of(&stat))))
    }

    /// Gives the files of a model in parts, which the cache has, their names beside each other, and
    /// returns where the first one is. The names and digests say where: nothing else is ever there.
    ///
    /// # Errors
    /// [`FetchError::Cache`], also for what is no file's name.
    pub fn assemble(&self, files: &[(&str, Digest)]) -> Result<PathBuf, FetchError> {
        let mut listing = String::new();
        for (name, sha256) in files {
            let is_name = Path::new(name).file_name() == Some(OsStr::new(name));
            if !is_name || name.bytes().any(|byte| byte.is_ascii_control()) {
                let error = std::io::Error::from(std::io::ErrorKind::InvalidInput);
                return Err(FetchError::io("name", self.parts.path.join(name), error));
            }
            // No name holds a line's end.
            listing.extend([sha256.to_string().as_str(), " ", name, "\n"]);
        }
        let key = hash_of(&listing);
        let path = self.parts.path.join(&key);
        let folder = Directory::open(&self.parts.file, Path::new(&key), path)?;
        for (name, sha256) in files {
            folder.link(name, &format!("../../sha256/{}", name_of(sha256)))?;
        }
        folder.sync()?;
        self.parts.sync()?;
        let first = files.first().map_or("", |(name, _)| name);
        Ok(folder.path.join(first))
    }

    /// Notes what a URL had.
    pub(crate) fn note(&self, key: &str, sha256: &Digest) -> Result<(), FetchError> {
        self.index.replace(key, format!("{sha256}\n").as_bytes())?;
        self.index.sync()
    }
}

/// Tells one note from its successor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp(u64, i64, i64);

impl Stamp {
    fn of(stat: &Stat) -> Self {
        Self(
            stat.st_ino,
            stat.st_mtime,
            i64::try_from(stat.st_mtime_nsec).unwrap_or_default(),
        )
    }
}

fn name_of(sha256: &Digest) -> String {
    use std::fmt::Write as _;
    let mut name = String::new();
    for byte in sha256.as_bytes() {
        // Writing to a String can't fail.
        let _ = write!(name, "{byte:02x}");
    }
    name
}

/// The name of what is under way for a URL; its query, which may hold a token, can't be read off it.
pub(crate) fn key_of(location: &Location) -> String {
    hash_of(location.whole())
}

fn hash_of(text: &str) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    Digest::from_bytes(Algorithm::Sha256, digest.as_ref())
        .map(|digest| name_of(&digest))
        .unwrap_or_default()
}

/// A directory that is held open, so that its path plays no part any more.
#[derive(Debug)]
pub(crate) struct Directory {
    file: OwnedFd,
    pub(crate) path: PathBuf,
}

impl Directory {
    fn open(
        parent: impl std::os::fd::AsFd,
        name: &Path,
        path: PathBuf,
    ) -> Result<Self, FetchError> {
        let failed = |action, errno: Errno| FetchError::io(action, path.clone(), errno);
        match rustix::fs::mkdirat(&parent, name, OWN) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(failed("make", errno)),
        }
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&parent, name, flags, Mode::empty())
            .map_err(|errno| failed("open", errno))?;
        let stat = rustix::fs::fstat(&file).map_err(|errno| failed("examine", errno))?;
        let refuse = |reason| {
            Err(FetchError::CacheUnsafe {
                path: path.clone(),
                reason,
            })
        };
        if stat.st_uid != rustix::process::geteuid().as_raw() {
            return refuse("it belongs to another user");
        }
        if stat.st_mode & 0o022 != 0 {
            return refuse("other users may write to it");
        }
        Ok(Self { file, path })
    }

    fn failed(&self, action: &'static str, name: &str, errno: Errno) -> FetchError {
        FetchError::io(action, self.path.join(name), errno)
    }

    /// A regular file of it, to read, if it is there.
    pub(crate) fn open_file(&self, name: &str) -> Result<Option<File>, FetchError> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(&self.file, name, flags, Mode::empty()) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(self.failed("open", name, errno)),
        };
        let stat = rustix::fs::fstat(&file).map_err(|errno| self.failed("examine", name, errno))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(FetchError::CacheUnsafe {
                path: self.path.join(name),
                reason: "it is no regular file",
            });
        }
        Ok(Some(file.into()))
    }

    /// A file of it, to read and write, made where it is missing.
    pub(crate) fn make_file(&self, name: &str) -> Result<File, FetchError> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(&self.file, name, flags, Mode::RUSR | Mode::WUSR)
            .map(File::from)
            .map_err(|errno| self.failed("make", name, errno))
    }

    /// Puts a small file in place, all at once.
    pub(crate) fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), FetchError> {
        let fresh = format!("{name}.new");
        let write = |mut file: File| {
            file.set_len(0)?;
            file.write_all(bytes)?;
            file.sync_all()
        };
        write(self.make_file(&fresh)?)
            .map_err(|error| FetchError::io("write", self.path.join(&fresh), error))?;
        rustix::fs::renameat(&self.file, &fresh, &self.file, name)
            .map_err(|errno| self.failed("put in place", name, errno))
    }

    /// Makes a link of it lead to `target`.
    fn link(&self, name: &str, target: &str) -> Result<(), FetchError> {
        let failed = |errno| self.failed("link", name, errno);
        match rustix::fs::symlinkat(target, &self.file, name) {
            Ok(()) => return Ok(()),
            Err(Errno::EXIST) => {}
            Err(errno) => return Err(failed(errno)),
        }
        match rustix::fs::readlinkat(&self.file, name, Vec::new()) {
            Ok(found) if found.as_bytes() == target.as_bytes() => return Ok(()),
            Ok(_) | Err(Errno::INVAL) => {}
            Err(errno) => return Err(failed(errno)),
        }
        // Somebody of this user's put something else there.
        self.remove(name)?;
        rustix::fs::symlinkat(target, &self.file, name).map_err(failed)
    }

    /// Moves a file of it to another directory, under another name, where it can't be written to.
    pub(crate) fn move_to(&self, name: &str, other: &Self, new: &str) -> Result<(), FetchError> {
        rustix::fs::renameat(&self.file, name, &other.file, new)
            .map_err(|errno| other.failed("put in place", new, errno))?;
        other.sync()?;
        self.sync()
    }

    /// Removes a file, if it is there.
    pub(crate) fn remove(&self, name: &str) -> Result<(), FetchError> {
        match rustix::fs::unlinkat(&self.file, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(self.failed("remove", name, errno)),
        }
    }

    fn sync(&self) -> Result<(), FetchError> {
        rustix::fs::fsync(&self.file).map_err(|errno| self.failed("sync", ".", errno))
    }

    /// Bytes that this user can still write.
    pub(crate) fn room(&self) -> Result<u64, FetchError> {
        let stat =
            rustix::fs::fstatvfs(&self.file).map_err(|errno| self.failed("examine", ".", errno))?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    /// Takes the lock of that name, unless somebody has it.
    pub(crate) fn lock(&self, name: &str) -> Result<Option<Lock>, FetchError> {
        let file = self.make_file(name)?;
        let owner = process::id();
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Lock { file, owner })),
            Err(Errno::WOULDBLOCK | Errno::INTR) => Ok(None),
            Err(errno) => Err(self.failed("lock", name, errno)),
        }
    }

    /// Bytes of a file of it; none where it isn't there.
    pub(crate) fn size(&self, name: &str) -> u64 {
        rustix::fs::statat(&self.file, name, AtFlags::SYMLINK_NOFOLLOW)
            .map_or(0, |stat| stat.st_size.unsigned_abs())
    }
}

/// A lock that is held until this is dropped, or the process ends.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
    owner: u32,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing alone would leave it to a child that was forked meanwhile; and a child has no part in it.
        if process::id() == self.owner {
            let _ = rustix::fs::flock(&self.file, FlockOperation::Unlock);
        }
    }
}

impl Cache {
    /// Gives a partial file its name.
    pub(crate) fn install(&self, part: &str, sha256: &Digest) -> Result<(), FetchError> {
        self.partial.move_to(part, &self.content, &name_of(sha256))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_not_kept_by_a_child_that_was_forked_meanwhile() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(&folder.path().join("cache")).unwrap();
        let lock = cache.partial.lock("x.lock").unwrap().unwrap();
        // As a child has it: the same open file.
        let shared = lock.file.try_clone().unwrap();
        assert!(cache.partial.lock("x.lock").unwrap().is_none());
        drop(lock);
        drop(cache.partial.lock("x.lock").unwrap().unwrap());
        // And what a child drops is its parent's still.
        let lock = cache.partial.lock("x.lock").unwrap().unwrap();
        drop(Lock {
            file: lock.file.try_clone().unwrap(),
            owner: process::id() + 1,
        });
        assert!(cache.partial.lock("x.lock").unwrap().is_none());
        drop((lock, shared));
    }
}
