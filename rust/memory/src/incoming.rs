//! An image that comes in from somewhere else than a file, piece by piece.

use std::path::{Path, PathBuf};

use strongroom_verify::{Algorithm, Hasher};

use crate::{SourceError, Unproven, room::Room};

/// Memory for a model that arrives as a stream, hashed as it is written; no file has any of it.
#[derive(Debug)]
pub struct Incoming {
    path: PathBuf,
    hashers: Vec<Hasher>,
    size_limit: Option<u64>,
    room: Option<Room>,
    /// Whether its length was said before.
    fixed: bool,
    received: u64,
}

impl Incoming {
    /// Of the model that messages call `path`; more than `size_limit` bytes are refused. Without any
    /// `algorithms` it is SHA-256.
    pub fn new(path: &Path, algorithms: &[Algorithm], size_limit: Option<u64>) -> Self {
        let algorithms = match algorithms {
            [] => &[Algorithm::Sha256],
            some => some,
        };
        Self {
            path: path.to_owned(),
            hashers: algorithms.iter().copied().map(Hasher::new).collect(),
            size_limit,
            room: None,
            fixed: false,
            received: 0,
        }
    }

    /// Makes room, for `length` bytes where that is known; otherwise it grows as they come.
    ///
    /// # Errors
    /// [`SourceError`]: `over_limit`, `too_large`, `io`.
    pub fn expect(&mut self, length: Option<u64>) -> Result<(), SourceError> {
        self.fixed = length.is_some();
        let size = length.unwrap_or(0);
        self.room = Some(Room::reserve(&self.path, size, self.size_limit)?);
        Ok(())
    }

    /// Bytes that are there.
    pub const fn received(&self) -> u64 {
        self.received
    }

    /// Adds the next bytes; of a length that was said, no more than that.
    ///
    /// # Errors
    /// [`SourceError`]: `over_limit`, `too_large`, `changed`, `io`.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), SourceError> {
        if self.room.is_none() {
            self.expect(None)?;
        }
        let Some(room) = self.room.as_mut() else {
            return Ok(());
        };
        let received = self.received + bytes.len() as u64;
        if !self.fixed {
            room.grow(&self.path, received, self.size_limit)?;
        } else if received > room.length() as u64 {
            return Err(SourceError::Changed {
                path: self.path.clone(),
                reason: "it is longer than was said",
            });
        }
        room.write(&self.path, bytes)?;
        for hasher in &mut self.hashers {
            hasher.update(bytes);
        }
        self.received = received;
        Ok(())
    }

    /// Seals what came.
    ///
    /// # Errors
    /// [`SourceError`]: `empty`; `changed` where less came than was said; `io`.
    pub fn seal(self) -> Result<Unproven, SourceError> {
        let path = self.path;
        let Some(room) = self.room.filter(|_| self.received > 0) else {
            return Err(SourceError::Empty { path });
        };
        if self.received != room.length() as u64 {
            return Err(SourceError::Changed {
                path,
                reason: "it is shorter than was said",
            });
        }
        let digests = self.hashers.into_iter().map(Hasher::finish).collect();
        room.seal(&path, None, digests, Vec::new())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::ops::ControlFlow;

    use strongroom_verify::Digest;

    use super::*;
    use crate::parts::{Layout, read_received};

    const SIZE: usize = (5 << 20) + 3;

    fn bytes() -> Vec<u8> {
        (0..=250).cycle().take(SIZE).collect()
    }

    fn digest_of(bytes: &[u8], algorithm: Algorithm) -> Digest {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(bytes);
        hasher.finish()
    }

    fn incoming(limit: Option<u64>) -> Incoming {
        Incoming::new(Path::new("model"), &[], limit)
    }

    #[test]
    fn what_is_sealed_is_what_came_whether_or_not_its_length_was_said() {
        for length in [None, Some(SIZE as u64)] {
            let mut incoming = incoming(Some(SIZE as u64));
            incoming.expect(length).unwrap();
            for chunk in bytes().chunks(9_999) {
                incoming.write(chunk).unwrap();
            }
            let found = incoming.seal().unwrap();
            let expected = digest_of(&bytes(), Algorithm::Sha256);
            assert_eq!(found.digests(), [expected]);
            assert_eq!(found.real_path(), None);
            let image = found.prove(&expected).unwrap();
            assert!(*image.map().unwrap() == *bytes());
        }
    }

    #[test]
    fn digests_that_are_asked_for_later_are_of_the_sealed_bytes() {
        let mut incoming = incoming(None);
        incoming.write(&bytes()).unwrap();
        let mut told = 0;
        let mut progress = |done, _| {
            told = done;
            ControlFlow::Continue(())
        };
        let both = [Algorithm::Sha512, Algorithm::Sha256];
        let found = incoming
            .seal()
            .unwrap()
            .digested(&both, &mut progress)
            .unwrap();
        assert_eq!(told, SIZE as u64);
        assert_eq!(
            found.digests(),
            both.map(|algorithm| digest_of(&bytes(), algorithm))
        );
        // All there: nothing is read again.
        let found = found
            .digested(&[Algorithm::Sha256], &mut |_, _| ControlFlow::Break(()))
            .unwrap();
        assert_eq!(found.digests(), [digest_of(&bytes(), Algorithm::Sha256)]);
    }

    #[test]
    fn parts_that_came_in_become_one_image() {
        let parts = [&bytes()[..3 << 20], &bytes()[3 << 20..]].map(|part| {
            let mut incoming = incoming(None);
            incoming.write(part).unwrap();
            incoming.seal().unwrap()
        });
        let ends = [3 << 20, SIZE as u64 - (3 << 20)];
        let layout = Layout {
            header: Vec::new(),
            parts: ends.iter().map(|&end| vec![(0..end, 0)]).collect(),
        };
        let found = read_received(
            parts.into(),
            &[],
            None,
            &mut |_, _| ControlFlow::Continue(()),
            |_| Ok::<_, SourceError>(layout),
        )
        .unwrap();
        assert_eq!(found.parts().len(), 2);
        let image = found.danger_accept();
        assert!(*image.map().unwrap() == *bytes());
    }

    #[test]
    fn too_much_too_little_and_nothing() {
        let code = |error: SourceError| error.code();
        assert_eq!(
            incoming(None).seal().map_err(code).err(),
            Some("source.empty")
        );
        for length in [None, Some(11)] {
            let mut incoming = incoming(Some(10));
            let refused = incoming
                .expect(length)
                .and_then(|()| incoming.write(&[0; 11]));
            assert_eq!(
                refused.map_err(code),
                Err("source.over_limit"),
                "{length:?}"
            );
        }
        let mut incoming = incoming(None);
        assert_eq!(
            incoming.expect(Some(u64::MAX)).map_err(code),
            Err("source.too_large")
        );
        incoming.expect(Some(10)).unwrap();
        incoming.write(&[0; 6]).unwrap();
        assert_eq!(incoming.write(&[0; 6]).map_err(code), Err("source.changed"));
        assert_eq!(incoming.seal().map_err(code).err(), Some("source.changed"));
    }
}
