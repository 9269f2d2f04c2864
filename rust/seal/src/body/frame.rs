//! How a frame of a message is written.

use crate::{
    SealError,
    cipher::{Cipher, ID_LENGTH, IV_LENGTH, TAG_LENGTH},
};

/// What stands where another frame has its number.
const FINAL: [u8; 4] = [0xff; 4];
/// Bytes before a frame's ciphertext: its number and its initialization vector.
pub(super) const BEFORE: usize = 4 + IV_LENGTH;
/// Bytes before the final frame's: the mark, then as others, then the length.
pub(super) const BEFORE_FINAL: usize = 4 + BEFORE + 4;

const AAD_LABEL: &[u8] = b"AWSKMSEncryptionClient Frame";
const AAD_FINAL_LABEL: &[u8] = b"AWSKMSEncryptionClient Final Frame";

/// Whether a frame is the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Regular,
    Final,
}

/// A frame, but for its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame {
    /// From 1.
    pub(crate) number: u32,
    pub(crate) kind: Kind,
    /// Plaintext bytes.
    pub(crate) length: u32,
}

impl Frame {
    /// Bytes before the ciphertext.
    const fn before(self) -> usize {
        match self.kind {
            Kind::Regular => BEFORE,
            Kind::Final => BEFORE_FINAL,
        }
    }

    /// Bytes of all of it.
    pub(crate) const fn whole(self) -> usize {
        self.before() + self.length as usize + TAG_LENGTH
    }

    fn iv(self) -> [u8; IV_LENGTH] {
        let mut iv = [0; IV_LENGTH];
        iv[IV_LENGTH - 4..].copy_from_slice(&self.number.to_be_bytes());
        iv
    }

    fn aad(self, message_id: &[u8; ID_LENGTH]) -> Aad {
        let label = match self.kind {
            Kind::Regular => AAD_LABEL,
            Kind::Final => AAD_FINAL_LABEL,
        };
        let mut aad = Aad::default();
        aad.put(message_id);
        aad.put(label);
        aad.put(&self.number.to_be_bytes());
        aad.put(&u64::from(self.length).to_be_bytes());
        aad
    }

    /// What comes before the ciphertext, as long as [`before`](Self::before) says.
    fn prefix(self) -> ([u8; BEFORE_FINAL], usize) {
        let mut prefix = [0; BEFORE_FINAL];
        let (number, iv) = (self.number.to_be_bytes(), self.iv());
        match self.kind {
            Kind::Regular => {
                prefix[..4].copy_from_slice(&number);
                prefix[4..BEFORE].copy_from_slice(&iv);
            }
            Kind::Final => {
                prefix[..4].copy_from_slice(&FINAL);
                prefix[4..8].copy_from_slice(&number);
                prefix[8..8 + IV_LENGTH].copy_from_slice(&iv);
                prefix[8 + IV_LENGTH..].copy_from_slice(&self.length.to_be_bytes());
            }
        }
        (prefix, self.before())
    }

    /// Opens the frame whose ciphertext is `data`, in its place; `around` is the rest of it.
    pub(crate) fn open_separate(
        self,
        cipher: &Cipher,
        message_id: &[u8; ID_LENGTH],
        around: &Around,
        data: &mut [u8],
    ) -> Result<(), SealError> {
        let (expected, length) = self.prefix();
        if around.prefix[..length] != expected[..length] {
            return Err(self.misplaced(&around.prefix[..length]));
        }
        let aad = self.aad(message_id);
        cipher.open_separate(self.iv(), aad.bytes(), data, around.tag)
    }

    /// Opens the frame that `bytes` are; they are as long as [`whole`](Self::whole) says.
    pub(crate) fn open<'a>(
        self,
        cipher: &Cipher,
        message_id: &[u8; ID_LENGTH],
        bytes: &'a mut [u8],
    ) -> Result<&'a [u8], SealError> {
        let (expected, length) = self.prefix();
        let (prefix, sealed) = bytes.split_at_mut(length);
        if prefix != &expected[..length] {
            return Err(self.misplaced(prefix));
        }
        let aad = self.aad(message_id);
        cipher
            .open(self.iv(), aad.bytes(), sealed)
            .map(|plaintext| &*plaintext)
    }

    /// What is wrong with what stands where this frame should begin.
    fn misplaced(self, prefix: &[u8]) -> SealError {
        let reason = match (self.kind, prefix.starts_with(&FINAL)) {
            (Kind::Regular, true) => "its final frame is not at its end",
            (Kind::Final, false) => "its last frame is not marked as the final one",
            (kind, _) => {
                let mark = if kind == Kind::Final { 4 } else { 0 };
                if prefix[mark..mark + 4] != self.number.to_be_bytes() {
                    "its frames are not numbered in ascending order from 1"
                } else if prefix[mark + 4..mark + 4 + IV_LENGTH] != self.iv() {
                    "a frame's initialization vector is not its number"
                } else {
                    "its final frame has another length than the file leaves it"
                }
            }
        };
        SealError::Malformed { reason }
    }
}

/// What lies before and behind a frame's ciphertext.
#[derive(Debug, Default)]
pub(crate) struct Around {
    prefix: [u8; BEFORE_FINAL],
    tag: [u8; TAG_LENGTH],
}

impl Around {
    /// Where the three parts of `frame` are read to, in their order.
    pub(crate) fn parts<'a>(&'a mut self, frame: Frame, data: &'a mut [u8]) -> [&'a mut [u8]; 3] {
        [&mut self.prefix[..frame.before()], data, &mut self.tag]
    }
}

/// The additional data of a frame, without an allocation for each.
#[derive(Debug)]
struct Aad {
    bytes: [u8; ID_LENGTH + AAD_FINAL_LABEL.len() + 12],
    length: usize,
}

impl Default for Aad {
    fn default() -> Self {
        Self {
            bytes: [0; ID_LENGTH + AAD_FINAL_LABEL.len() + 12],
            length: 0,
        }
    }
}

impl Aad {
    fn put(&mut self, part: &[u8]) {
        self.bytes[self.length..self.length + part.len()].copy_from_slice(part);
        self.length += part.len();
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// A frame that is being made: plaintext comes in, and leaves sealed.
#[derive(Debug)]
pub(crate) struct Draft(Vec<u8>);

impl Draft {
    pub(crate) fn new(frame_length: u32) -> Result<Self, SealError> {
        let length = BEFORE_FINAL + frame_length as usize + TAG_LENGTH;
        zeros(length, "frames").map(Self)
    }

    /// Where the plaintext goes.
    pub(crate) fn plaintext(&mut self) -> &mut [u8] {
        let end = self.0.len() - TAG_LENGTH;
        &mut self.0[BEFORE_FINAL..end]
    }

    /// Seals the first bytes of the plaintext, as many as `frame` has; returns all of the frame.
    pub(crate) fn seal(
        &mut self,
        frame: Frame,
        cipher: &Cipher,
        message_id: &[u8; ID_LENGTH],
    ) -> Result<&[u8], SealError> {
        let end = BEFORE_FINAL + frame.length as usize;
        let aad = frame.aad(message_id);
        let tag = cipher.seal(frame.iv(), aad.bytes(), &mut self.0[BEFORE_FINAL..end])?;
        self.0[end..end + TAG_LENGTH].copy_from_slice(&tag);
        let (prefix, length) = frame.prefix();
        let start = BEFORE_FINAL - length;
        self.0[start..BEFORE_FINAL].copy_from_slice(&prefix[..length]);
        Ok(&self.0[start..end + TAG_LENGTH])
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.0);
    }
}

/// Bytes for `what`, or the error that there is no memory.
pub(crate) fn zeros(length: usize, what: &'static str) -> Result<Vec<u8>, SealError> {
    let mut bytes = Vec::new();
    bytes
        .try_reserve_exact(length)
        .map_err(|_| SealError::NoMemory { what })?;
    bytes.resize(length, 0);
    Ok(bytes)
}

/// Bytes of the longest frame.
pub(crate) const fn longest(frame_length: u32) -> usize {
    BEFORE_FINAL + frame_length as usize + TAG_LENGTH
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn memory_that_is_not_there_is_an_error() {
        let error = zeros(isize::MAX.unsigned_abs(), "frames").unwrap_err();
        assert_eq!(error.code(), "seal.no_memory");
    }
}
