//! Where the frames of a message lie.

use super::{
    MAX_FRAMES,
    frame::{BEFORE, BEFORE_FINAL, Frame, Kind},
};
use crate::{SealError, cipher::TAG_LENGTH};

/// Where each frame lies: all but the final one are full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Where the first one begins.
    start: u64,
    frame_length: u32,
    /// Frames before the final one.
    regular: u64,
    /// Plaintext bytes in the final one.
    last: u32,
}

impl Layout {
    /// The frames that fill a file of `size` bytes exactly, behind a header of `start` bytes.
    pub(crate) fn of(start: u64, size: u64, frame_length: u32) -> Result<Self, SealError> {
        let truncated = SealError::Truncated {
            place: "its frames",
        };
        let end = (BEFORE_FINAL + TAG_LENGTH) as u64;
        let Some(rest) = size
            .checked_sub(start)
            .and_then(|body| body.checked_sub(end))
        else {
            return Err(truncated);
        };
        let each = u64::from(frame_length) + (BEFORE + TAG_LENGTH) as u64;
        let (regular, last) = (rest / each, rest % each);
        // One length has one layout: what the final frame can't hold is too little for another.
        let last = match u32::try_from(last) {
            Ok(last) if last <= frame_length => last,
            _ => return Err(truncated),
        };
        if regular >= MAX_FRAMES {
            return Err(too_many_frames());
        }
        Ok(Self {
            start,
            frame_length,
            regular,
            last,
        })
    }

    /// Bytes of the file in which `plaintext` bytes lie as this crate writes them, if there can be
    /// one.
    pub(crate) fn sealed_length(start: u64, plaintext: u64, frame_length: u32) -> Option<u64> {
        let regular = plaintext / u64::from(frame_length);
        if regular >= MAX_FRAMES {
            return None;
        }
        let overhead = regular * (BEFORE + TAG_LENGTH) as u64 + (BEFORE_FINAL + TAG_LENGTH) as u64;
        start.checked_add(plaintext)?.checked_add(overhead)
    }

    pub(crate) const fn frames(&self) -> u64 {
        self.regular + 1
    }

    pub(crate) const fn frame_length(&self) -> u32 {
        self.frame_length
    }

    /// Plaintext bytes of all frames. They are fewer than the file has.
    pub(crate) fn plaintext(&self) -> u64 {
        self.regular * u64::from(self.frame_length) + u64::from(self.last)
    }

    /// The frame `index`, from 0; none behind the final one.
    pub(crate) fn place(&self, index: u64) -> Option<Place> {
        let each = u64::from(self.frame_length) + (BEFORE + TAG_LENGTH) as u64;
        let (kind, length) = match index {
            index if index < self.regular => (Kind::Regular, self.frame_length),
            index if index == self.regular => (Kind::Final, self.last),
            _ => return None,
        };
        Some(Place {
            offset: self.start + index * each,
            plaintext_offset: index * u64::from(self.frame_length),
            frame: Frame {
                number: u32::try_from(index + 1).ok()?,
                kind,
                length,
            },
        })
    }
}

pub(crate) fn too_many_frames() -> SealError {
    SealError::Limit {
        what: "a message",
        limit: format!("{MAX_FRAMES} frames"),
    }
}

/// A frame, and where it lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// Where the file has it.
    pub(crate) offset: u64,
    /// Where its bytes lie in the plaintext.
    pub(crate) plaintext_offset: u64,
    pub(crate) frame: Frame,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn one_length_has_one_layout() {
        let start = 100;
        for frame_length in [1, 2, 7, 64] {
            let mut lengths = std::collections::BTreeMap::new();
            for plaintext in 0..300 {
                let size = Layout::sealed_length(start, plaintext, frame_length).unwrap();
                lengths.insert(size, plaintext);
            }
            for size in 0..=*lengths.last_key_value().unwrap().0 {
                let found = Layout::of(start, size, frame_length);
                match lengths.get(&size) {
                    Some(&plaintext) => {
                        let layout = found.unwrap();
                        assert_eq!(layout.plaintext(), plaintext);
                        let last = layout.place(layout.frames() - 1).unwrap();
                        assert_eq!(last.offset + last.frame.whole() as u64, size);
                        assert_eq!(last.frame.kind, Kind::Final);
                        assert_eq!(layout.place(layout.frames()), None);
                    }
                    // The others may only be such whose final frame is full, as the format allows.
                    None => match found {
                        Ok(layout) => assert_eq!(layout.last, frame_length),
                        Err(error) => assert_eq!(error.code(), "seal.truncated"),
                    },
                }
            }
        }
    }

    #[test]
    fn frames_are_counted_in_32_bits() {
        let most = u64::from(u32::MAX);
        assert_eq!(Layout::sealed_length(0, most, 1), None);
        let size = Layout::sealed_length(0, most - 1, 1).unwrap();
        let layout = Layout::of(0, size, 1).unwrap();
        assert_eq!(layout.frames(), most);
        assert_eq!(layout.place(most - 1).unwrap().frame.number, u32::MAX);
        assert_eq!(layout.place(most - 2).unwrap().frame.number, u32::MAX - 1);
        assert_eq!(
            Layout::of(0, size + 33, 1).unwrap_err().code(),
            "seal.limit"
        );
        assert!(Layout::of(0, u64::MAX, 16 << 20).is_err());
        assert!(Layout::sealed_length(u64::MAX, 1, 16 << 20).is_none());
    }
}
