//! Reading forward through untrusted bytes.

use crate::{
    limit,
    refusal::{Refusal, refuse, require},
};

/// A position in the file. Nothing is copied: what is read borrows from the bytes.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    size: u64,
    position: u64,
}

impl<'a> Reader<'a> {
    /// Starts at the beginning of a file of `size` bytes, of which `bytes` are at hand.
    pub(crate) fn new(bytes: &'a [u8], size: u64) -> Self {
        Self {
            bytes,
            size,
            position: 0,
        }
    }

    /// A second reader at the same position, to look ahead.
    pub(crate) fn fork(&self) -> Self {
        Self { ..*self }
    }

    /// Bytes read so far.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Bytes of the file that haven't been read, at hand or not.
    pub(crate) fn remaining(&self) -> u64 {
        self.size - self.position
    }

    /// The next `length` bytes.
    pub(crate) fn take(&mut self, length: u64) -> Result<&'a [u8], Refusal> {
        if length > self.remaining() {
            refuse!(
                Truncated,
                "the file ends inside its header: {length} bytes are announced at offset {}, {} are left",
                self.position,
                self.remaining()
            );
        }
        let end = self.position + length;
        require!(
            end <= limit::HEADER,
            HeaderLength,
            "the header is longer than {} bytes",
            limit::HEADER
        );
        let range = usize::try_from(self.position)
            .ok()
            .zip(usize::try_from(end).ok());
        let Some(taken) = range.and_then(|(start, end)| self.bytes.get(start..end)) else {
            return Err(Refusal::incomplete(end));
        };
        self.position = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Refusal> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N as u64)?);
        Ok(array)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Refusal> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Refusal> {
        self.array().map(u64::from_le_bytes)
    }

    /// The bytes of a text of at most `limit` bytes, not yet known to be UTF-8.
    pub(crate) fn text(&mut self, limit: u64, what: &str) -> Result<&'a [u8], Refusal> {
        let length = self.u64()?;
        require!(
            length <= limit,
            TextLength,
            "{what} of {length} bytes; at most {limit} are read"
        );
        self.take(length)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::Reader;

    #[test]
    fn a_short_prefix_is_told_from_a_short_file() {
        let mut whole = Reader::new(&[0; 6], 6);
        whole.u32().unwrap();
        assert_eq!(whole.u32().unwrap_err().code(), "gguf.truncated");

        let mut prefix = Reader::new(&[0; 6], 100);
        prefix.u32().unwrap();
        let refusal = prefix.u32().unwrap_err();
        assert_eq!(
            (refusal.code(), refusal.needs()),
            ("gguf.incomplete", Some(8))
        );
    }

    #[test]
    fn absurd_lengths_are_refused_before_anything_is_read() {
        let mut reader = Reader::new(&[0xff; 16], u64::MAX);
        assert_eq!(
            reader.text(u64::MAX, "a text").unwrap_err().code(),
            "gguf.truncated"
        );
        let mut reader = Reader::new(&[0; 16], u64::MAX);
        assert_eq!(
            reader.take(1 << 40).unwrap_err().code(),
            "gguf.header_length"
        );
    }
}
