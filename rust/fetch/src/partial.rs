//! What of a file is here already, and of which version of it.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom, Write},
};

use rustix::fs::Mode;
use strongroom_verify::{Algorithm, Digest, Hasher};

use crate::{
    Cache, FetchError,
    answer::{Rest, Validator},
    body::Sink,
    watch::{Step, Watch},
};

const FORMAT: &str = "strongroom-partial 1";
/// Longest description of a partial file that is read.
const LONGEST: u64 = 1024;
/// Bytes hashed at once.
const CHUNK: usize = 256 << 10;

/// A file under way. Whoever has it holds its lock.
pub(crate) struct Partial<'a> {
    cache: &'a Cache,
    key: &'a str,
    file: File,
    algorithms: Vec<Algorithm>,
    hashers: Vec<Hasher>,
    received: u64,
    /// The version that the bytes are of, and its length, where going on is possible.
    version: Option<(u64, Validator)>,
}

impl<'a> Partial<'a> {
    /// What is there; its lock is held by the caller.
    pub(crate) fn open(
        cache: &'a Cache,
        key: &'a str,
        algorithms: Vec<Algorithm>,
        watch: &mut Watch<'_>,
    ) -> Result<Self, FetchError> {
        let file = cache.partial.make_file(&part(key))?;
        let mut partial = Self {
            cache,
            key,
            file,
            hashers: Vec::new(),
            algorithms,
            received: 0,
            version: None,
        };
        partial.hashers = partial.fresh();
        let size = partial
            .file
            .metadata()
            .map_err(|error| partial.failed("examine", error))?
            .len();
        match partial.described()? {
            Some(version) if size > 0 && size <= version.0 => {
                partial.received = hash(&mut partial.file, size, &mut partial.hashers, watch)
                    .map_err(|error| error.of(|error| partial.failed("read", error)))?;
                partial.version = Some(version);
            }
            _ => partial.start_over()?,
        }
        Ok(partial)
    }

    fn fresh(&self) -> Vec<Hasher> {
        self.algorithms.iter().copied().map(Hasher::new).collect()
    }

    fn failed(&self, action: &'static str, error: std::io::Error) -> FetchError {
        FetchError::io(action, self.cache.partial.path.join(part(self.key)), error)
    }

    /// What to ask for, if something is here that can be gone on with.
    pub(crate) fn rest(&self) -> Option<Rest> {
        let (length, validator) = self.version.clone()?;
        (self.received > 0 && self.received < length).then_some(Rest {
            offset: self.received,
            length,
            validator,
        })
    }

    /// Whether every byte is here already: only the end of its process kept it from its name.
    pub(crate) fn is_complete(&self) -> bool {
        self.version
            .as_ref()
            .is_some_and(|(length, _)| self.received > 0 && *length == self.received)
    }

    /// Forgets every byte.
    pub(crate) fn start_over(&mut self) -> Result<(), FetchError> {
        self.file
            .set_len(0)
            .and_then(|()| self.file.seek(SeekFrom::Start(0)))
            .map_err(|error| self.failed("empty", error))?;
        self.received = 0;
        self.version = None;
        self.hashers = self.fresh();
        self.cache.partial.remove(&meta(self.key))
    }

    /// Notes of which version the bytes will be, before the first of them is written.
    pub(crate) fn begin(
        &mut self,
        length: Option<u64>,
        validator: Option<Validator>,
    ) -> Result<(), FetchError> {
        self.start_over()?;
        let (Some(length), Some(validator)) = (length, validator) else {
            return Ok(());
        };
        let text = format!("{FORMAT}\n{length}\n{}\n", validator.as_str());
        self.cache
            .partial
            .replace(&meta(self.key), text.as_bytes())?;
        self.version = Some((length, validator));
        Ok(())
    }

    /// Of which version the bytes are, if that was noted.
    fn described(&self) -> Result<Option<(u64, Validator)>, FetchError> {
        let Some(file) = self.cache.partial.open_file(&meta(self.key))? else {
            return Ok(None);
        };
        let mut text = String::new();
        // What can't be read is as good as not there.
        if file.take(LONGEST).read_to_string(&mut text).is_err() {
            return Ok(None);
        }
        let lines: Vec<&str> = text.lines().collect();
        let [FORMAT, length, validator] = lines.as_slice() else {
            return Ok(None);
        };
        Ok(length.parse().ok().zip(Validator::read(validator)))
    }

    /// The whole file on the disk, and its digests: SHA-256 first.
    pub(crate) fn whole(&mut self) -> Result<(Vec<Digest>, &File), FetchError> {
        self.file
            .sync_all()
            .map_err(|error| self.failed("sync", error))?;
        let digests = self.hashers.iter().cloned().map(Hasher::finish).collect();
        Ok((digests, &self.file))
    }

    /// Gives the file its name.
    pub(crate) fn install(self, sha256: &Digest) -> Result<(), FetchError> {
        self.cache.install(&part(self.key), sha256)?;
        // Only now: killed before, it has to be opened for writing again.
        rustix::fs::fchmod(&self.file, Mode::RUSR)
            .map_err(|errno| FetchError::io("protect", self.cache.path_of(sha256), errno))?;
        self.cache.partial.remove(&meta(self.key))
    }

    /// Removes every trace of it.
    pub(crate) fn discard(self) -> Result<(), FetchError> {
        self.cache.partial.remove(&meta(self.key))?;
        self.cache.partial.remove(&part(self.key))
    }
}

impl Sink for Partial<'_> {
    type Error = FetchError;

    fn received(&self) -> u64 {
        self.received
    }

    fn expect(&mut self, length: Option<u64>) -> Result<(), FetchError> {
        let missing = length.unwrap_or(0).saturating_sub(self.received);
        let room = self.cache.partial.room()?;
        if missing > room {
            return Err(FetchError::NoSpace {
                path: self.cache.path().to_owned(),
                reason: format!("{missing} bytes are missing, {room} are free"),
            });
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), FetchError> {
        self.file
            .write_all(bytes)
            .map_err(|error| self.failed("write", error))?;
        for hasher in &mut self.hashers {
            hasher.update(bytes);
        }
        self.received += bytes.len() as u64;
        Ok(())
    }
}

/// Bytes that are there of what somebody downloads.
pub(crate) fn size(cache: &Cache, key: &str) -> u64 {
    cache.partial.size(&part(key))
}

fn part(key: &str) -> String {
    format!("{key}.part")
}

fn meta(key: &str) -> String {
    format!("{key}.meta")
}

pub(crate) fn lock(key: &str) -> String {
    format!("{key}.lock")
}

/// Why hashing a file ended early.
pub(crate) enum Unhashed {
    Io(std::io::Error),
    Ended(FetchError),
}

impl Unhashed {
    pub(crate) fn of(self, io: impl FnOnce(std::io::Error) -> FetchError) -> FetchError {
        match self {
            Self::Io(error) => io(error),
            Self::Ended(error) => error,
        }
    }
}

/// Hashes a file from its start, up to `size` bytes or its end, and returns how many they were.
pub(crate) fn hash(
    file: &mut File,
    size: u64,
    hashers: &mut [Hasher],
    watch: &mut Watch<'_>,
) -> Result<u64, Unhashed> {
    let mut buffer = vec![0; CHUNK];
    let mut done = 0;
    file.seek(SeekFrom::Start(0)).map_err(Unhashed::Io)?;
    while done < size {
        let wanted = usize::try_from(size - done).unwrap_or(CHUNK).min(CHUNK);
        let read = match file.read(&mut buffer[..wanted]) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Unhashed::Io(error)),
        };
        for hasher in &mut *hashers {
            hasher.update(&buffer[..read]);
        }
        done += read as u64;
        watch
            .pass(Step::Checking(done, size))
            .map_err(Unhashed::Ended)?;
    }
    Ok(done)
}
