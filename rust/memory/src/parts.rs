//! A model in parts, read into one image.
//!
//! Each part is opened once and read once, from its beginning to its end: first as far as its header
//! goes, which says what of it the image gets, then the rest. Every byte is hashed, also those that
//! the image doesn't get.

use std::{ops::Range, path::PathBuf};

use strongroom_verify::{Algorithm, Digest, Hasher};

use crate::{
    Source, SourceError, Unproven,
    pipeline::{self, Progress},
    room::Room,
};

/// Bytes of zeros that are written at once.
const ZEROS: [u8; 4096] = [0; 4096];

/// A part whose beginning was read.
#[derive(Debug)]
pub struct Head {
    source: Source,
    bytes: Vec<u8>,
}

impl Head {
    const fn of(source: Source) -> Self {
        Self {
            source,
            bytes: Vec::new(),
        }
    }

    /// What was read so far.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Bytes of the whole part.
    pub const fn size(&self) -> u64 {
        self.source.size()
    }

    /// Where the part lies, for messages.
    pub fn path(&self) -> &std::path::Path {
        self.source.path()
    }

    /// Reads on until `length` bytes are there, or all.
    ///
    /// # Errors
    /// [`SourceError`]: `changed`, `io`.
    pub fn read_to(&mut self, length: usize) -> Result<(), SourceError> {
        let before = self.bytes.len();
        if length > before {
            self.bytes.resize(length, 0);
            let filled = self.source.fill(&mut self.bytes[before..])?;
            self.bytes.truncate(before + filled);
        }
        Ok(())
    }
}

/// What the image is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// Its first bytes, which are in no part.
    pub header: Vec<u8>,
    /// What follows of each part: bytes by their place in it, ascending, and zeros behind them.
    pub parts: Vec<Vec<(Range<u64>, u64)>>,
}

impl Layout {
    /// Bytes of the image; none where they are more than can be counted.
    pub fn size(&self) -> Option<u64> {
        let mut size = self.header.len() as u64;
        for (bytes, zeros) in self.parts.iter().flatten() {
            let length = bytes.end.checked_sub(bytes.start)?;
            size = size.checked_add(length)?.checked_add(*zeros)?;
        }
        Some(size)
    }
}

/// Copies the parts at `paths` into one sealed image, as `plan` says after a look at their
/// beginnings, hashing every byte of every part.
///
/// Otherwise as [`image::read`](crate::image::read); `size_limit` bounds the image.
///
/// # Errors
/// [`SourceError`], every one, and what `plan` answers.
pub fn read<E: From<SourceError>>(
    paths: &[PathBuf],
    algorithms: &[Algorithm],
    size_limit: Option<u64>,
    progress: Progress<'_>,
    plan: impl FnOnce(&mut [Head]) -> Result<Layout, E>,
) -> Result<Unproven, E> {
    join(open(paths)?, algorithms, size_limit, progress, plan)
}

/// As [`read`], of parts that came into memory. Each goes back to the system once it is copied: at
/// most one part more than the model has is in memory.
///
/// # Errors
/// The same.
pub fn read_received<E: From<SourceError>>(
    received: Vec<Unproven>,
    algorithms: &[Algorithm],
    size_limit: Option<u64>,
    progress: Progress<'_>,
    plan: impl FnOnce(&mut [Head]) -> Result<Layout, E>,
) -> Result<Unproven, E> {
    let heads = received.into_iter().map(|part| part.source().map(Head::of));
    let heads = heads.collect::<Result<Vec<_>, _>>()?;
    join(heads, algorithms, size_limit, progress, plan)
}

fn join<E: From<SourceError>>(
    mut heads: Vec<Head>,
    algorithms: &[Algorithm],
    size_limit: Option<u64>,
    progress: Progress<'_>,
    plan: impl FnOnce(&mut [Head]) -> Result<Layout, E>,
) -> Result<Unproven, E> {
    let algorithms = match algorithms {
        [] => &[Algorithm::Sha256],
        some => some,
    };
    let layout = plan(&mut heads)?;
    // A layout of more than there can be is one of more than is available.
    let size = layout.size().unwrap_or(u64::MAX);
    let (name, real_path) = together(&heads)?;
    let mut room = Room::reserve(&name, size, size_limit)?;
    room.write(&name, &layout.header)?;
    let total = heads.iter().map(Head::size).sum();
    let mut before = 0;
    let mut parts = Vec::with_capacity(heads.len());
    for (head, stretches) in heads.into_iter().zip(&layout.parts) {
        let length = head.size();
        let mut done = |done, _| progress(before + done, total);
        parts.push(copy(head, stretches, algorithms, &mut room, &mut done)?);
        before += length;
    }
    let digests = algorithms
        .iter()
        .enumerate()
        .map(|(place, &algorithm)| of_digests(algorithm, parts.iter().map(|part| &part[place])))
        .collect();
    Ok(room.seal(&name, real_path, digests, parts)?)
}

fn open(paths: &[PathBuf]) -> Result<Vec<Head>, SourceError> {
    let open = |path: &PathBuf| Source::open(path).map(Head::of);
    paths.iter().map(open).collect()
}

/// The path of the first part, and where it really is: in one folder with all others.
fn together(heads: &[Head]) -> Result<(PathBuf, Option<PathBuf>), SourceError> {
    let Some(first) = heads.first() else {
        return Err(SourceError::Empty {
            path: PathBuf::new(),
        });
    };
    let real_path = first.source.real_path();
    // What is held to the folder of the first is true of all.
    let folder = |path: &Option<PathBuf>| {
        path.as_ref()
            .and_then(|path| path.parent())
            .map(ToOwned::to_owned)
    };
    for head in heads {
        if folder(&head.source.real_path()) != folder(&real_path) {
            let path = head.path().to_owned();
            return Err(SourceError::Scattered { path });
        }
    }
    Ok((first.path().to_owned(), real_path))
}

/// What was seen of parts of which nothing is kept.
#[derive(Debug)]
pub struct Hashed<T> {
    /// Of their beginnings.
    pub seen: T,
    /// The digest of their digests, one after the other.
    pub digest: Digest,
    /// Of each part.
    pub parts: Vec<Digest>,
    /// Bytes of all of them.
    pub size: u64,
}

/// Hashes every byte of the parts at `paths` with SHA-256, after a `look` at their beginnings.
///
/// # Errors
/// [`SourceError`], those of reading, and what `look` answers.
pub fn hash<T, E: From<SourceError>>(
    paths: &[PathBuf],
    progress: Progress<'_>,
    look: impl FnOnce(&mut [Head]) -> Result<T, E>,
) -> Result<Hashed<T>, E> {
    let mut heads = open(paths)?;
    let seen = look(&mut heads)?;
    together(&heads)?;
    let size = heads.iter().map(Head::size).sum();
    let mut before = 0;
    let mut parts = Vec::with_capacity(heads.len());
    for Head { mut source, bytes } in heads {
        let length = source.size();
        let mut hasher = Hasher::new(Algorithm::Sha256);
        hasher.update(&bytes);
        let mut done = |done, _| progress(before + done, size);
        parts.extend(pipeline::go_on(
            &mut source,
            vec![hasher],
            &mut done,
            |_| Ok(()),
        )?);
        before += length;
    }
    Ok(Hashed {
        seen,
        digest: of_digests(Algorithm::Sha256, parts.iter()),
        parts,
        size,
    })
}

/// The digest of digests, one after the other, as `OpenSSF` Model Signing names a model by.
fn of_digests<'a>(algorithm: Algorithm, digests: impl Iterator<Item = &'a Digest>) -> Digest {
    let mut hasher = Hasher::new(algorithm);
    for digest in digests {
        hasher.update(digest.as_bytes());
    }
    hasher.finish()
}

/// Reads the rest of a part, and writes the stretches of it.
fn copy(
    head: Head,
    stretches: &[(Range<u64>, u64)],
    algorithms: &[Algorithm],
    room: &mut Room,
    progress: Progress<'_>,
) -> Result<Vec<Digest>, SourceError> {
    let Head { mut source, bytes } = head;
    let path = source.path().to_owned();
    let mut hashers: Vec<Hasher> = algorithms.iter().copied().map(Hasher::new).collect();
    for hasher in &mut hashers {
        hasher.update(&bytes);
    }
    let mut cutter = Cutter {
        stretches,
        position: 0,
    };
    cutter.take(&bytes, &mut |bytes| room.write(&path, bytes))?;
    pipeline::go_on(&mut source, hashers, progress, |chunk| {
        cutter.take(chunk, &mut |bytes| room.write(&path, bytes))
    })
}

/// Cuts stretches out of bytes that come by.
struct Cutter<'a> {
    /// Those that haven't come whole.
    stretches: &'a [(Range<u64>, u64)],
    position: u64,
}

impl Cutter<'_> {
    fn take(
        &mut self,
        chunk: &[u8],
        write: &mut dyn FnMut(&[u8]) -> Result<(), SourceError>,
    ) -> Result<(), SourceError> {
        let start = self.position;
        let end = start + chunk.len() as u64;
        while let Some(((bytes, zeros), rest)) = self.stretches.split_first() {
            let (from, to) = (bytes.start.clamp(start, end), bytes.end.clamp(start, end));
            // Both are inside the chunk, and so are their differences from its start.
            #[allow(clippy::cast_possible_truncation)]
            write(&chunk[(from - start) as usize..(to - start) as usize])?;
            if bytes.end > end {
                break;
            }
            let mut zeros = *zeros;
            while zeros > 0 {
                let now = zeros.min(ZEROS.len() as u64);
                #[allow(clippy::cast_possible_truncation)] // At most what the array has.
                write(&ZEROS[..now as usize])?;
                zeros -= now;
            }
            self.stretches = rest;
        }
        self.position = end;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn stretches_are_cut_whatever_the_chunks_are() {
        let part: Vec<u8> = (0..100).collect();
        let stretches = [(3..10, 2), (10..11, 0), (40..100, 5000)];
        let mut expected = part[3..10].to_vec();
        expected.extend([0, 0, 10]);
        expected.extend(&part[40..100]);
        expected.resize(expected.len() + 5000, 0);
        for size in 1..=100 {
            let mut cutter = Cutter {
                stretches: &stretches,
                position: 0,
            };
            let mut cut: Vec<u8> = Vec::new();
            for chunk in part.chunks(size) {
                let mut write = |bytes: &[u8]| {
                    cut.extend(bytes);
                    Ok(())
                };
                cutter.take(chunk, &mut write).unwrap();
            }
            assert!(cut == expected, "{size}");
        }
    }
}
