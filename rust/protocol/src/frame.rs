//! Length-prefixed frames: a little-endian `u32`, then that many bytes of postcard.

use std::io::{self, Read};

use serde::{Serialize, de::DeserializeOwned};

/// Bytes in the prefix.
pub const PREFIX: usize = 4;

/// What is wrong with a frame.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// A frame of no bytes, which no message encodes to.
    #[error("empty frame")]
    Empty,
    /// The prefix promises more than the bound.
    #[error("frame of {length} bytes is over the bound of {bound}")]
    TooLong {
        /// Bytes promised.
        length: usize,
        /// Bytes allowed.
        bound: usize,
    },
    /// The payload is not the encoding of a message.
    #[error("frame does not decode")]
    Malformed,
    /// The stream ended inside a frame.
    #[error("stream ended inside a frame")]
    Truncated,
    /// The stream itself failed.
    #[error("reading failed: {0}")]
    Io(#[from] io::Error),
}

/// Appends `message` to `out` as one frame.
///
/// # Errors
/// [`FrameError::TooLong`] if the payload exceeds `bound`; `out` is left as it was.
pub fn encode<T: Serialize>(
    message: &T,
    bound: usize,
    out: &mut Vec<u8>,
) -> Result<(), FrameError> {
    let start = out.len();
    out.extend_from_slice(&[0; PREFIX]);
    let mut buffer = std::mem::take(out);
    // postcard can't fail on a growing vector of types without unsized maps; treat it as malformed.
    if postcard::to_extend(message, Tail(&mut buffer)).is_err() {
        buffer.truncate(start);
        *out = buffer;
        return Err(FrameError::Malformed);
    }
    let length = buffer.len() - start - PREFIX;
    if length > bound {
        buffer.truncate(start);
        *out = buffer;
        return Err(FrameError::TooLong { length, bound });
    }
    let prefix = u32::try_from(length).map_err(|_| FrameError::TooLong { length, bound })?;
    buffer[start..start + PREFIX].copy_from_slice(&prefix.to_le_bytes());
    *out = buffer;
    Ok(())
}

struct Tail<'a>(&'a mut Vec<u8>);

impl Extend<u8> for Tail<'_> {
    fn extend<I: IntoIterator<Item = u8>>(&mut self, bytes: I) {
        self.0.extend(bytes);
    }
}

/// Decodes one payload, without its prefix; bytes left over are an error.
///
/// # Errors
/// [`FrameError::Malformed`].
pub fn decode<T: DeserializeOwned>(payload: &[u8]) -> Result<T, FrameError> {
    match postcard::take_from_bytes(payload) {
        Ok((message, [])) => Ok(message),
        _ => Err(FrameError::Malformed),
    }
}

/// Cuts a byte stream into frames, never holding more than one frame and its prefix.
#[derive(Debug)]
pub struct Decoder<R> {
    stream: R,
    bound: usize,
    payload: Vec<u8>,
}

impl<R: Read> Decoder<R> {
    /// Reads frames of at most `bound` bytes from `stream`.
    pub const fn new(stream: R, bound: usize) -> Self {
        Self {
            stream,
            bound,
            payload: Vec::new(),
        }
    }

    /// The next message; `None` when the stream ends between frames.
    ///
    /// # Errors
    /// Every [`FrameError`]; the stream is of no more use after one.
    #[allow(clippy::should_implement_trait)] // The kind of message is the caller's at each step.
    pub fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, FrameError> {
        let mut prefix = [0; PREFIX];
        let mut filled = 0;
        while filled < PREFIX {
            match self.stream.read(&mut prefix[filled..]) {
                Ok(0) if filled == 0 => return Ok(None),
                Ok(0) => return Err(FrameError::Truncated),
                Ok(n) => filled += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        let length = u32::from_le_bytes(prefix) as usize;
        if length == 0 {
            return Err(FrameError::Empty);
        }
        if length > self.bound {
            return Err(FrameError::TooLong {
                length,
                bound: self.bound,
            });
        }
        self.payload.clear();
        // Grows as bytes arrive: a promise alone allocates nothing.
        let read = (&mut self.stream)
            .take(length as u64)
            .read_to_end(&mut self.payload)?;
        if read < length {
            return Err(FrameError::Truncated);
        }
        let message = decode(&self.payload).map(Some);
        // It is kept for the next frame, and is nobody's business until then.
        self.payload.fill(0);
        message
    }
}

/// Cuts what a non-blocking stream yields into frames: bytes are put in as they arrive, messages
/// are taken out.
///
/// Holds what was put in and not yet taken out, so a reader that takes every message before it puts
/// more in holds at most one frame and one read.
#[derive(Debug)]
pub struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    bound: usize,
}

impl Buffer {
    /// For frames of at most `bound` bytes.
    pub const fn new(bound: usize) -> Self {
        Self {
            bytes: Vec::new(),
            start: 0,
            bound,
        }
    }

    /// Puts bytes in.
    pub fn extend(&mut self, bytes: &[u8]) {
        if self.start > 0 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Takes a message out; `None` when the rest is no whole frame.
    ///
    /// # Errors
    /// [`FrameError::Empty`], [`FrameError::TooLong`] as soon as the prefix is there, or
    /// [`FrameError::Malformed`]; the stream is of no more use after one.
    #[allow(clippy::should_implement_trait)] // The kind of message is the caller's at each step.
    pub fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, FrameError> {
        let rest = &self.bytes[self.start..];
        let Some((prefix, rest)) = rest.split_first_chunk::<PREFIX>() else {
            return Ok(None);
        };
        let length = u32::from_le_bytes(*prefix) as usize;
        if length == 0 {
            return Err(FrameError::Empty);
        }
        if length > self.bound {
            return Err(FrameError::TooLong {
                length,
                bound: self.bound,
            });
        }
        let Some(payload) = rest.get(..length) else {
            return Ok(None);
        };
        let message = decode(payload)?;
        self.start += PREFIX + length;
        if self.is_empty() {
            self.start = 0;
            self.bytes.clear();
            // A single large frame doesn't keep its room for ever.
            self.bytes.shrink_to(KEPT);
        }
        Ok(Some(message))
    }

    /// Whether no part of a frame waits for its rest.
    pub const fn is_empty(&self) -> bool {
        self.start == self.bytes.len()
    }
}

/// Bytes that an empty [`Buffer`] keeps allocated.
const KEPT: usize = 128 << 10;
