//! Opening: the header first, then the final frame, then any frame.

use std::{
    num::NonZeroUsize,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    sync::{Mutex, PoisonError},
    thread,
};

use zeroize::Zeroize;

use crate::{
    EncryptionContext, Header, Keyring, ReadAt, SealError,
    body::{self, Around, Layout},
    cipher::{self, Cipher},
    keyring,
};

/// Frames that a disk is asked for before they are read: threads that read in turns look to the kernel as
/// if they read at random.
const AHEAD: u64 = 16;

/// Where a frame is decrypted; wiped when it is dropped. Every thread has its own, and uses it
/// again for every frame.
pub struct Scratch(Vec<u8>);

impl std::fmt::Debug for Scratch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Scratch")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// A message whose header and final frame are authentic. Every other frame is authenticated when
/// it is read; nothing of one that isn't is ever given out.
#[derive(Debug)]
pub struct Sealed<S> {
    source: S,
    header: Header,
    cipher: Cipher,
    layout: Layout,
}

impl<S: ReadAt> Sealed<S> {
    /// Opens the message that `source` holds, from its first byte to its last, with the first of
    /// `keyrings` that can; its context has to have every pair of `expected`.
    ///
    /// What is read so far is the header and the final frame: with the size of the file that
    /// settles how long the plaintext is, and that no frame is missing.
    ///
    /// # Errors
    /// [`SealError`]: `not_sealed`, `unsupported`, `malformed`, `limit` and `truncated` for what the
    /// file is, `no_key`, `authentication`, `context`, `changed`, `io`, `no_memory`, and what a
    /// keyring answers.
    pub fn open(
        source: S,
        keyrings: &[&dyn Keyring],
        expected: &EncryptionContext,
    ) -> Result<Self, SealError> {
        let size = source.size()?;
        let header = Header::read(&source)?;
        let layout = Layout::of(header.length(), size, header.frame_length())?;
        let data_key = keyring::unwrap(keyrings, header.data_keys(), header.context())?;
        let (cipher, commitment) = cipher::derive(&data_key, &header.message_id)?;
        cipher::verify_commitment(&commitment, &header.commitment)?;
        header.verify(&cipher)?;
        header.context().verify(expected)?;
        let sealed = Self {
            source,
            header,
            cipher,
            layout,
        };
        let mut scratch = sealed.scratch()?;
        sealed.frame(sealed.layout.frames() - 1, &mut scratch)?;
        Ok(sealed)
    }

    /// The header, which is authentic.
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// What the message is about, which is authentic.
    pub const fn context(&self) -> &EncryptionContext {
        self.header.context()
    }

    /// How many frames there are; at least one.
    pub const fn frames(&self) -> u64 {
        self.layout.frames()
    }

    /// Plaintext bytes in all frames.
    pub fn length(&self) -> u64 {
        self.layout.plaintext()
    }

    /// What the message is read from.
    pub const fn source(&self) -> &S {
        &self.source
    }

    /// Room for a frame.
    ///
    /// # Errors
    /// [`SealError`]: `no_memory`.
    pub fn scratch(&self) -> Result<Scratch, SealError> {
        // A message of one short frame needs no room for a long one.
        let length = u64::from(self.layout.frame_length()).min(self.layout.plaintext());
        #[allow(clippy::cast_possible_truncation)] // At most a frame's length.
        body::zeros(body::longest(length as u32), "a frame").map(Scratch)
    }

    /// The plaintext of frame `index`, from 0, which begins in the whole at `index` times the
    /// frame's length.
    ///
    /// # Panics
    /// Where there is no such frame, or `scratch` is another message's with shorter frames.
    ///
    /// # Errors
    /// [`SealError`]: `authentication`, `malformed`, `changed`, `io`.
    pub fn frame<'a>(&self, index: u64, scratch: &'a mut Scratch) -> Result<&'a [u8], SealError> {
        let place = self.layout.place(index).expect("a frame of the message");
        let bytes = &mut scratch.0[..place.frame.whole()];
        self.source.read_exact_at(place.offset, bytes)?;
        // What fails is zeros then: ring leaves nothing that it couldn't authenticate.
        place
            .frame
            .open(&self.cipher, &self.header.message_id, bytes)
    }

    /// Copies plaintext from `offset` into `buffer`, all of it or up to the end; returns how many
    /// bytes. Frames that are touched are decrypted whole: `buffer` should be no shorter than one.
    ///
    /// # Errors
    /// As [`frame`](Self::frame); what `buffer` holds then is part of the plaintext, or what it
    /// held.
    pub fn read_at(
        &self,
        offset: u64,
        buffer: &mut [u8],
        scratch: &mut Scratch,
    ) -> Result<usize, SealError> {
        let each = u64::from(self.layout.frame_length());
        let mut done = 0;
        while done < buffer.len() {
            let position = offset.saturating_add(done as u64);
            if position >= self.length() {
                break;
            }
            let plaintext = self.frame(position / each, scratch)?;
            #[allow(clippy::cast_possible_truncation)] // Inside a frame.
            let available = &plaintext[(position % each) as usize..];
            let count = available.len().min(buffer.len() - done);
            buffer[done..done + count].copy_from_slice(&available[..count]);
            done += count;
        }
        Ok(done)
    }

    /// Gives the plaintext of every frame, with its place in the whole, to `take`, on `threads`
    /// threads at once (this one among them) and in no particular order.
    ///
    /// # Errors
    /// The first error of `take`, or as [`frame`](Self::frame): nothing that was made of the frames
    /// that came before may be used.
    pub fn for_each_frame<E: From<SealError> + Send>(
        &self,
        threads: NonZeroUsize,
        take: impl Fn(u64, &[u8]) -> Result<(), E> + Sync,
    ) -> Result<(), E> {
        let next = AtomicU64::new(0);
        (0..AHEAD).for_each(|index| self.expect(index));
        self.side_by_side(threads, |stop| {
            let mut scratch = self.scratch()?;
            while !stop.load(Ordering::Relaxed) {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= self.frames() {
                    break;
                }
                self.expect(index.saturating_add(AHEAD));
                let offset = index * u64::from(self.layout.frame_length());
                take(offset, self.frame(index, &mut scratch)?)?;
            }
            Ok(())
        })
    }

    /// Decrypts everything into `out`, on `threads` threads at once (this one among them): each
    /// frame is read to its place and decrypted there, so that nothing is copied besides.
    ///
    /// # Panics
    /// Where `out` is not as long as the plaintext, [`length`](Self::length) bytes.
    ///
    /// # Errors
    /// As [`frame`](Self::frame); `out` is zeros then.
    pub fn read_into(&self, threads: NonZeroUsize, out: &mut [u8]) -> Result<(), SealError> {
        assert_eq!(out.len() as u64, self.length(), "room for the plaintext");
        // The final frame, if it is empty, has no place; it is authentic since the opening.
        let next = Mutex::new((0..).zip(out.chunks_mut(self.layout.frame_length() as usize)));
        let read = self.side_by_side(threads, |stop| {
            while !stop.load(Ordering::Relaxed) {
                let taken = next.lock().unwrap_or_else(PoisonError::into_inner).next();
                let Some((index, data)) = taken else { break };
                self.read_frame(index, data)?;
            }
            Ok(())
        });
        if read.is_err() {
            out.zeroize();
        }
        read
    }

    /// Says that a frame will be read, if there is such.
    fn expect(&self, index: u64) {
        if let Some(place) = self.layout.place(index) {
            self.source.expect(place.offset, place.frame.whole() as u64);
        }
    }

    /// Decrypts a frame in `data`, which has its length.
    fn read_frame(&self, index: u64, data: &mut [u8]) -> Result<(), SealError> {
        let place = self.layout.place(index).expect("a frame of the message");
        let mut around = Around::default();
        let parts = around.parts(place.frame, data);
        self.source.read_parts_at(place.offset, parts)?;
        let id = &self.header.message_id;
        place.frame.open_separate(&self.cipher, id, &around, data)
    }

    /// Runs `work` in each of `threads` threads, or fewer where there is not so much to do, until
    /// one of them fails.
    fn side_by_side<E: Send>(
        &self,
        threads: NonZeroUsize,
        work: impl Fn(&AtomicBool) -> Result<(), E> + Sync,
    ) -> Result<(), E> {
        let stop = AtomicBool::new(false);
        let failed = Mutex::new(None);
        let work = || {
            if let Err(error) = work(&stop) {
                stop.store(true, Ordering::Relaxed);
                let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
                failed.get_or_insert(error);
            }
        };
        let others = (threads.get() as u64).min(self.frames()) - 1;
        thread::scope(|scope| {
            for _ in 0..others {
                // With fewer threads it takes longer.
                let _ = thread::Builder::new().spawn_scoped(scope, work);
            }
            work();
        });
        let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
        failed.map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::{
        RawKeyring, Secret,
        body::{Draft, Frame, Kind},
    };

    /// A message of `frames`, each full, the last of which is marked as the final one.
    fn full(keyring: &RawKeyring, frames: u32) -> Vec<u8> {
        let key = Secret::filled(|_| Ok::<_, SealError>(())).unwrap();
        let (cipher, commitment) = cipher::derive(&key, &[7; 32]).unwrap();
        let context = EncryptionContext::new();
        let keys = vec![keyring.wrap(&key, &context).unwrap()];
        let header = Header::new([7; 32], context, keys, 8, commitment, &cipher).unwrap();
        let mut message = header.bytes();
        let mut draft = Draft::new(8).unwrap();
        for number in 1..=frames {
            draft.plaintext().fill(b'x');
            let kind = if number == frames {
                Kind::Final
            } else {
                Kind::Regular
            };
            let frame = Frame {
                number,
                kind,
                length: 8,
            };
            message.extend(draft.seal(frame, &cipher, &[7; 32]).unwrap());
        }
        message
    }

    #[test]
    fn a_final_frame_may_be_full() {
        let key = Secret::filled(|_| Ok::<_, SealError>(())).unwrap();
        let keyring = RawKeyring::new("test", "a", &key).unwrap();
        for frames in [1, 2, 5] {
            let message = full(&keyring, frames);
            let sealed = Sealed::open(&message[..], &[&keyring], &EncryptionContext::new());
            let sealed = sealed.unwrap();
            assert_eq!(sealed.frames(), u64::from(frames));
            let mut out = vec![0; 8 * frames as usize];
            sealed.read_into(NonZeroUsize::MIN, &mut out).unwrap();
            assert!(out.iter().all(|&byte| byte == b'x'));
        }
    }
}
