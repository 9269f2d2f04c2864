//! An image that several threads write, each byte after it was authenticated.

use std::{
    io,
    os::fd::AsFd,
    path::{Path, PathBuf},
    sync::Arc,
};

use strongroom_verify::Digest;

use crate::{Image, SourceError, pinned::Pinned, room::Room, source::io_error};

/// Memory that becomes an [`Image`] once all of it is written. Dropped before, it is wiped.
///
/// For a model that lies encrypted: its frames are opened elsewhere, and only what their tags
/// authenticated is written here.
#[derive(Debug)]
pub struct Draft {
    room: Room,
    path: PathBuf,
    sealed: bool,
}

impl Draft {
    /// Makes room for the `size` bytes that the file at `path` holds. Where the machine swaps, the
    /// pages are kept in memory from the start, as far as the limit on locked memory allows.
    ///
    /// # Errors
    /// [`SourceError`]: `empty`, `over_limit`, `too_large`, `io`.
    pub fn new(path: &Path, size: u64, size_limit: Option<u64>) -> Result<Self, SourceError> {
        let path = path.to_owned();
        if size == 0 {
            return Err(SourceError::Empty { path });
        }
        let mut room = Room::reserve(&path, size, size_limit)?;
        if swaps() {
            // Whether it worked is told by the image: `Image::is_pinned`.
            let _ = room.filling_mut().pin();
        }
        Ok(Self {
            room,
            path,
            sealed: false,
        })
    }

    /// Writes bytes where they belong; several threads may, each its own stretch.
    ///
    /// # Errors
    /// [`SourceError`]: `too_large`, `io`.
    pub fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), SourceError> {
        self.room.write_at(&self.path, offset, bytes)
    }

    /// Lends every byte to `read`, which may still refuse them: they are wiped when this is dropped.
    ///
    /// # Errors
    /// The kernel's, where address space or mappings run out.
    pub fn lend<T>(&mut self, read: impl FnOnce(&[u8]) -> T) -> io::Result<T> {
        self.room.filling_mut().lend(read)
    }

    /// Seals it, once every byte is written and authenticated as part of what has `digest`.
    ///
    /// # Errors
    /// [`SourceError`]: `io`; what was written is wiped.
    pub fn seal_authenticated(mut self, digest: Digest) -> Result<Image, SourceError> {
        let memory = self
            .room
            .filling_mut()
            .seal()
            .map_err(|errno| io_error("seal the image of", self.path.clone(), errno))?;
        self.sealed = true;
        let length = self.room.length();
        let pinned = Pinned::new(memory.as_fd(), length).ok().map(Arc::new);
        Ok(Image::authenticated(
            Arc::new(memory),
            length,
            digest,
            pinned,
        ))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.sealed {
            self.room.filling_mut().wipe();
        }
    }
}

/// Whether this machine has a swap device; where that can't be told it is taken to have one.
fn swaps() -> bool {
    std::fs::read_to_string("/proc/swaps").map_or(true, |text| text.lines().count() > 1)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::thread;

    use strongroom_verify::{Algorithm, Hasher};

    use super::*;

    const SIZE: usize = (3 << 20) + 17;

    fn bytes() -> Vec<u8> {
        (0..=250).cycle().take(SIZE).collect()
    }

    fn digest() -> Digest {
        let mut hasher = Hasher::new(Algorithm::Sha256);
        hasher.update(&bytes());
        hasher.finish()
    }

    #[test]
    fn threads_write_their_stretches_in_any_order() {
        let draft = Draft::new(Path::new("model"), SIZE as u64, None).unwrap();
        let bytes = bytes();
        thread::scope(|scope| {
            for thread in 0..3 {
                let (draft, bytes) = (&draft, &bytes);
                scope.spawn(move || {
                    for (place, chunk) in bytes
                        .chunks(10_000)
                        .enumerate()
                        .collect::<Vec<_>>()
                        .iter()
                        .rev()
                    {
                        if place % 3 == thread {
                            draft.write_at((place * 10_000) as u64, chunk).unwrap();
                        }
                    }
                });
            }
        });
        let image = draft.seal_authenticated(digest()).unwrap();
        assert!(*image.map().unwrap() == *bytes);
        assert_eq!(image.digest(), digest());
    }

    #[test]
    fn what_is_lent_is_what_was_written_and_can_be_given_up() {
        let mut draft = Draft::new(Path::new("model"), SIZE as u64, None).unwrap();
        draft.write_at(0, &bytes()).unwrap();
        assert!(draft.lend(|lent| *lent == *bytes()).unwrap());
        let image = draft.seal_authenticated(digest()).unwrap();
        assert!(*image.map().unwrap() == *bytes());
    }

    #[test]
    fn what_is_given_up_is_wiped() {
        let draft = Draft::new(Path::new("model"), SIZE as u64, None).unwrap();
        draft.write_at(1 << 20, &bytes()[..1 << 20]).unwrap();
        let memory = draft.room.duplicate();
        let mut found = vec![0; SIZE];
        rustix::io::pread(&memory, &mut found, 0).unwrap();
        assert!(found.iter().any(|&byte| byte != 0), "the control");
        drop(draft);
        rustix::io::pread(&memory, &mut found, 0).unwrap();
        assert!(found.iter().all(|&byte| byte == 0));
    }

    #[test]
    fn nothing_and_too_much_are_refused() {
        let refused = |size, limit| {
            Draft::new(Path::new("model"), size, limit)
                .unwrap_err()
                .code()
        };
        assert_eq!(refused(0, None), "source.empty");
        assert_eq!(refused(11, Some(10)), "source.over_limit");
        assert_eq!(refused(u64::MAX, None), "source.too_large");
    }

    #[test]
    fn nothing_is_written_past_the_end() {
        let draft = Draft::new(Path::new("model"), 10, None).unwrap();
        let refusal = draft.write_at(5, &[1; 6]).unwrap_err();
        assert_eq!(refusal.code(), "source.io");
        assert_eq!(
            draft.write_at(u64::MAX, &[1]).unwrap_err().code(),
            "source.io"
        );
    }
}
