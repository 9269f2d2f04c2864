//! Sealing: a stream comes in, and leaves as a message.

use std::{
    num::NonZeroUsize,
    sync::{Mutex, PoisonError},
    thread,
};

use ring::rand::SystemRandom;

use crate::{
    EncryptionContext, Header, Keyring, SealError, Secret,
    body::{self, DEFAULT_FRAME_LENGTH, Draft, Frame, Kind, Layout, MAX_FRAME_LENGTH, MAX_FRAMES},
    cipher::{self, Cipher},
    turns::Turns,
};

/// What was sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// Plaintext bytes.
    pub plaintext: u64,
    /// Bytes that were written.
    pub sealed: u64,
    /// Frames, the final one included.
    pub frames: u64,
}

/// A message that is to be written: its id and its data key are new and random, and used for
/// nothing else.
#[derive(Debug)]
pub struct Writer {
    header: Header,
    cipher: Cipher,
    length: Option<u64>,
}

impl Writer {
    /// A message about `context` that each of `keyrings` opens.
    ///
    /// # Errors
    /// [`SealError`]: `no_key` where there is none, `limit` where there are more than fit, `random`,
    /// and what a keyring answers.
    pub fn new(keyrings: &[&dyn Keyring], context: &EncryptionContext) -> Result<Self, SealError> {
        Self::with_frame_length(keyrings, context, DEFAULT_FRAME_LENGTH)
    }

    /// Like [`new`](Self::new), with frames of another length, in bytes.
    ///
    /// # Errors
    /// As `new`; `limit` also for a length of 0 or of more than [`MAX_FRAME_LENGTH`].
    pub fn with_frame_length(
        keyrings: &[&dyn Keyring],
        context: &EncryptionContext,
        frame_length: u32,
    ) -> Result<Self, SealError> {
        if !(1..=MAX_FRAME_LENGTH).contains(&frame_length) {
            return Err(SealError::Limit {
                what: "a frame",
                limit: format!("{MAX_FRAME_LENGTH} bytes, or none at all"),
            });
        }
        let random = SystemRandom::new();
        let data_key = Secret::random(&random)?;
        let message_id = Header::new_id(&random)?;
        let keys = keyrings
            .iter()
            .map(|keyring| keyring.wrap(&data_key, context))
            .collect::<Result<_, _>>()?;
        let (cipher, commitment) = cipher::derive(&data_key, &message_id)?;
        let header = Header::new(
            message_id,
            context.clone(),
            keys,
            frame_length,
            commitment,
            &cipher,
        )?;
        Ok(Self {
            header,
            cipher,
            length: None,
        })
    }

    /// Holds the plaintext to be `length` bytes: more or fewer are an error.
    #[must_use]
    pub const fn expect_length(mut self, length: u64) -> Self {
        self.length = Some(length);
        self
    }

    /// The header that will be written.
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// Bytes of the message for `plaintext` bytes; none where they are too many for one.
    pub fn sealed_length(&self, plaintext: u64) -> Option<u64> {
        Layout::sealed_length(self.header.length(), plaintext, self.header.frame_length())
    }

    /// Seals what `pull` gives, and gives it to `put`: the header first, then frame by frame.
    ///
    /// `pull` fills what it can of a buffer and returns how many bytes, 0 at the end. Frames are
    /// encrypted on `threads` threads (this one among them), each of which has one frame in memory;
    /// `pull` and `put` are called by one of them at a time, in order, and may run side by side.
    ///
    /// # Errors
    /// The first error of `pull` or `put`, or [`SealError`]: `length`, `limit` where there are more
    /// than 2^32 - 1 frames, `no_memory`. What was put before is then no message, and can't be
    /// opened as one.
    pub fn seal<E: From<SealError> + Send>(
        self,
        threads: NonZeroUsize,
        pull: impl FnMut(&mut [u8]) -> Result<usize, E> + Send,
        mut put: impl FnMut(&[u8]) -> Result<(), E> + Send,
    ) -> Result<Summary, E> {
        let header = self.header.bytes();
        put(&header)?;
        let incoming = Mutex::new(Incoming {
            pull,
            pulled: 0,
            next: 0,
            ended: false,
            expected: self.length,
        });
        let outgoing = Turns::new((put, header.len() as u64));
        let work = || {
            let _watch = outgoing.watch();
            if let Err(error) = self.work(&incoming, &outgoing) {
                outgoing.fail(error);
            }
        };
        thread::scope(|scope| {
            for _ in 1..threads.get() {
                // With fewer threads it takes longer.
                let _ = thread::Builder::new().spawn_scoped(scope, work);
            }
            work();
        });
        let (_, sealed) = outgoing.finish()?;
        let incoming = incoming
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        Ok(Summary {
            plaintext: incoming.pulled,
            sealed,
            frames: incoming.next,
        })
    }

    /// Seals frames until there are no more.
    fn work<E, P, F>(
        &self,
        incoming: &Mutex<Incoming<P>>,
        outgoing: &Turns<(F, u64), E>,
    ) -> Result<(), E>
    where
        E: From<SealError>,
        P: FnMut(&mut [u8]) -> Result<usize, E>,
        F: FnMut(&[u8]) -> Result<(), E>,
    {
        let mut draft = None;
        loop {
            let (index, frame) = {
                // Poisoned where `pull` panicked: there is nothing more to be had.
                let Ok(mut incoming) = incoming.lock() else {
                    return Ok(());
                };
                if incoming.ended || outgoing.ended() {
                    return Ok(());
                }
                let draft = match &mut draft {
                    Some(draft) => draft,
                    none => none.insert(Draft::new(self.header.frame_length())?),
                };
                match incoming.next_frame(draft.plaintext()) {
                    Ok(next) => next,
                    Err(error) => {
                        incoming.ended = true;
                        return Err(error);
                    }
                }
            };
            let draft = draft.as_mut().expect("made for the first frame");
            let sealed = draft.seal(frame, &self.cipher, &self.header.message_id)?;
            let turn = outgoing.take(index, |(put, total)| {
                put(sealed)?;
                *total += sealed.len() as u64;
                Ok(())
            });
            if turn.is_break() {
                return Ok(());
            }
        }
    }
}

/// The plaintext, as far as it came.
struct Incoming<P> {
    pull: P,
    pulled: u64,
    /// Frames so far.
    next: u64,
    ended: bool,
    expected: Option<u64>,
}

impl<P> Incoming<P> {
    /// Fills `buffer` with the next frame's plaintext. A frame that isn't full is the final one, so
    /// a plaintext of full frames alone has an empty one behind them.
    fn next_frame<E: From<SealError>>(&mut self, buffer: &mut [u8]) -> Result<(u64, Frame), E>
    where
        P: FnMut(&mut [u8]) -> Result<usize, E>,
    {
        let index = self.next;
        if index >= MAX_FRAMES {
            return Err(body::too_many_frames().into());
        }
        let mut filled = 0;
        while filled < buffer.len() {
            match (self.pull)(&mut buffer[filled..])? {
                0 => {
                    self.ended = true;
                    break;
                }
                // A count that is more than was asked for would be a mistake of the caller.
                count => filled += count.min(buffer.len() - filled),
            }
        }
        self.pulled += filled as u64;
        self.next += 1;
        if let Some(expected) = self.expected {
            let (more, ended) = (self.pulled > expected, self.ended);
            if more || (ended && self.pulled < expected) {
                let found = self.pulled.min(expected.saturating_add(1));
                return Err(SealError::Length { expected, found }.into());
            }
        }
        #[allow(clippy::cast_possible_truncation)] // A frame's number and length.
        let frame = Frame {
            number: (index + 1) as u32,
            kind: if self.ended {
                Kind::Final
            } else {
                Kind::Regular
            },
            length: filled as u32,
        };
        Ok((index, frame))
    }
}
