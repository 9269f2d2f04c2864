//! The header of a message: whom it is for, what it is about, and how its frames lie.

use ring::rand::{SecureRandom, SystemRandom};

use crate::{
    EncryptedDataKey, EncryptionContext, ReadAt, SealError,
    body::MAX_FRAME_LENGTH,
    cipher::{COMMITMENT_LENGTH, Cipher, ID_LENGTH, IV_LENGTH, SUITE, TAG_LENGTH},
};

/// Most bytes of a header, its tag included.
pub const MAX_HEADER: usize = 512 << 10;
/// Most encrypted data keys in a header.
pub const MAX_DATA_KEYS: usize = 256;

const VERSION: u8 = 2;
const FRAMED: u8 = 2;

/// A header. Until its tag was verified nothing in it is more than a claim.
#[derive(Debug, Clone)]
pub struct Header {
    pub(crate) message_id: [u8; ID_LENGTH],
    pub(crate) context: EncryptionContext,
    pub(crate) keys: Vec<EncryptedDataKey>,
    pub(crate) frame_length: u32,
    pub(crate) commitment: [u8; COMMITMENT_LENGTH],
    /// What the tag is over.
    authenticated: Vec<u8>,
    tag: [u8; TAG_LENGTH],
}

impl Header {
    /// A new message's.
    pub(crate) fn new(
        message_id: [u8; ID_LENGTH],
        context: EncryptionContext,
        keys: Vec<EncryptedDataKey>,
        frame_length: u32,
        commitment: [u8; COMMITMENT_LENGTH],
        cipher: &Cipher,
    ) -> Result<Self, SealError> {
        let mut header = Self {
            message_id,
            context,
            keys,
            frame_length,
            commitment,
            authenticated: Vec::new(),
            tag: [0; TAG_LENGTH],
        };
        header.authenticated = header.encode()?;
        header.tag = cipher.seal([0; IV_LENGTH], &header.authenticated, &mut [])?;
        Ok(header)
    }

    /// A new message's id.
    pub(crate) fn new_id(random: &SystemRandom) -> Result<[u8; ID_LENGTH], SealError> {
        let mut id = [0; ID_LENGTH];
        random.fill(&mut id).map_err(|_| SealError::Random)?;
        Ok(id)
    }

    /// Reads the header of a file, which says whom it is for and what it is about. Nothing of it is
    /// authenticated without a key: [`Sealed::open`](crate::Sealed::open) is.
    ///
    /// # Errors
    /// [`SealError`]: as [`parse`](Self::parse), `io`.
    pub fn read(source: &impl ReadAt) -> Result<Self, SealError> {
        const FIRST: u64 = 8 << 10;
        let size = source.size()?;
        let mut bytes = Vec::new();
        for most in [FIRST, MAX_HEADER as u64] {
            let length = size.min(most);
            #[allow(clippy::cast_possible_truncation)] // At most a header's limit.
            bytes.resize(length as usize, 0);
            source.read_exact_at(0, &mut bytes)?;
            match Self::parse(&bytes) {
                Err(SealError::Truncated { .. }) if length < size => {}
                read => return read,
            }
        }
        Self::parse(&bytes)
    }

    /// Reads the header at the beginning of `bytes`, which may have anything behind it.
    ///
    /// # Errors
    /// [`SealError`]: `not_sealed`, `unsupported`, `malformed`, `limit`, `truncated`.
    pub fn parse(bytes: &[u8]) -> Result<Self, SealError> {
        let mut reading = Reading::header(bytes);
        match bytes {
            [VERSION, ..] => reading.take(1)?,
            // Version 1's second byte says what kind of object it is, and there is one kind.
            [1, 0x80, ..] => return Err(unsupported("version 1, which commits to no key")),
            _ => return Err(SealError::NotSealed),
        };
        let suite = reading.u16()?;
        if suite != SUITE {
            return Err(match suite {
                // What the format defines.
                0x0014 | 0x0046 | 0x0078 | 0x0114 | 0x0146 | 0x0178 | 0x0214 | 0x0346 | 0x0378
                | 0x0578 => unsupported(&format!("algorithm suite 0x{suite:04x}")),
                _ => SealError::NotSealed,
            });
        }
        let message_id = reading.array()?;
        let length = reading.u16()?;
        let context = EncryptionContext::parse(reading.take(length.into())?)?;
        let count = usize::from(reading.u16()?);
        if count == 0 {
            return Err(malformed("it has no encrypted data key"));
        }
        if count > MAX_DATA_KEYS {
            return Err(SealError::Limit {
                what: "its header",
                limit: format!("{MAX_DATA_KEYS} encrypted data keys"),
            });
        }
        let mut keys = Vec::with_capacity(count);
        for _ in 0..count {
            let provider = reading.text("a key provider's name is not UTF-8")?;
            let info = reading.counted()?.to_vec();
            let ciphertext = reading.counted()?.to_vec();
            keys.push(EncryptedDataKey::new(
                provider.to_owned(),
                info,
                ciphertext,
            )?);
        }
        match reading.array::<1>()? {
            [FRAMED] => {}
            [1] => return Err(unsupported("without frames")),
            _ => return Err(malformed("its content has an unknown type")),
        }
        let frame_length = u32::from_be_bytes(reading.array()?);
        if frame_length == 0 {
            return Err(malformed("its frames have no length"));
        }
        if frame_length > MAX_FRAME_LENGTH {
            return Err(SealError::Limit {
                what: "a frame",
                limit: format!("{MAX_FRAME_LENGTH} bytes"),
            });
        }
        let commitment = reading.array()?;
        let authenticated = reading.before().to_vec();
        let tag = reading.array()?;
        Ok(Self {
            message_id,
            context,
            keys,
            frame_length,
            commitment,
            authenticated,
            tag,
        })
    }

    /// What the message is about.
    pub const fn context(&self) -> &EncryptionContext {
        &self.context
    }

    /// What tells the message from every other one.
    pub const fn message_id(&self) -> &[u8] {
        &self.message_id
    }

    /// The data key, once for each key that opens it.
    pub fn data_keys(&self) -> &[EncryptedDataKey] {
        &self.keys
    }

    /// Plaintext bytes in a frame.
    pub const fn frame_length(&self) -> u32 {
        self.frame_length
    }

    /// Bytes that the header takes in the file, its tag included.
    pub fn length(&self) -> u64 {
        (self.authenticated.len() + TAG_LENGTH) as u64
    }

    /// As it is written.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        [&self.authenticated[..], &self.tag].concat()
    }

    /// Verifies the tag.
    pub(crate) fn verify(&self, cipher: &Cipher) -> Result<(), SealError> {
        let mut tag = self.tag;
        cipher
            .open([0; IV_LENGTH], &self.authenticated, &mut tag)
            .map(drop)
    }

    fn encode(&self) -> Result<Vec<u8>, SealError> {
        if self.keys.is_empty() {
            return Err(SealError::NoKey {
                wanted: "nobody".to_owned(),
                given: "no key was given".to_owned(),
            });
        }
        let too_much = |limit| SealError::Limit {
            what: "the header",
            limit,
        };
        if self.keys.len() > MAX_DATA_KEYS {
            return Err(too_much(format!("{MAX_DATA_KEYS} encrypted data keys")));
        }
        let mut bytes = vec![VERSION];
        bytes.extend(SUITE.to_be_bytes());
        bytes.extend(self.message_id);
        put(&mut bytes, &self.context.to_bytes());
        #[allow(clippy::cast_possible_truncation)] // At most 256.
        bytes.extend((self.keys.len() as u16).to_be_bytes());
        for key in &self.keys {
            put(&mut bytes, key.provider().as_bytes());
            put(&mut bytes, key.info());
            put(&mut bytes, key.ciphertext());
        }
        bytes.push(FRAMED);
        bytes.extend(self.frame_length.to_be_bytes());
        bytes.extend(self.commitment);
        if bytes.len() + TAG_LENGTH > MAX_HEADER {
            return Err(too_much(format!("{MAX_HEADER} bytes")));
        }
        Ok(bytes)
    }
}

/// Appends what has at most 65,535 bytes, behind its length.
fn put(bytes: &mut Vec<u8>, part: &[u8]) {
    #[allow(clippy::cast_possible_truncation)] // Contexts and data keys are made no longer.
    bytes.extend((part.len() as u16).to_be_bytes());
    bytes.extend(part);
}

fn malformed(reason: &'static str) -> SealError {
    SealError::Malformed { reason }
}

fn unsupported(what: &str) -> SealError {
    SealError::Unsupported {
        what: what.to_owned(),
    }
}

/// A place in bytes that are read from the beginning to the end.
#[derive(Debug)]
pub(crate) struct Reading<'a> {
    bytes: &'a [u8],
    position: usize,
    /// What is wrong where they end too early, unless the file does.
    overrun: Option<&'static str>,
}

impl<'a> Reading<'a> {
    /// Of a file's beginning.
    fn header(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            position: 0,
            overrun: None,
        }
    }

    /// Of a part whose length was given.
    pub(crate) fn inside(bytes: &'a [u8], overrun: &'static str) -> Self {
        Self {
            bytes,
            position: 0,
            overrun: Some(overrun),
        }
    }

    /// The next `length` bytes.
    fn take(&mut self, length: usize) -> Result<&'a [u8], SealError> {
        let end = self.position.saturating_add(length);
        // A header's length is bounded whatever its parts say.
        if self.overrun.is_none() && end > MAX_HEADER {
            return Err(SealError::Limit {
                what: "its header",
                limit: format!("{MAX_HEADER} bytes"),
            });
        }
        let taken = self
            .bytes
            .get(self.position..end)
            .ok_or_else(|| match self.overrun {
                Some(reason) => malformed(reason),
                None => SealError::Truncated {
                    place: "its header",
                },
            })?;
        self.position = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], SealError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    /// A big-endian number of two bytes.
    pub(crate) fn u16(&mut self) -> Result<u16, SealError> {
        self.array().map(u16::from_be_bytes)
    }

    /// Bytes behind their length.
    fn counted(&mut self) -> Result<&'a [u8], SealError> {
        let length = self.u16()?;
        self.take(length.into())
    }

    /// Text behind its length.
    pub(crate) fn text(&mut self, reason: &'static str) -> Result<&'a str, SealError> {
        str::from_utf8(self.counted()?).map_err(|_| malformed(reason))
    }

    /// What was read.
    fn before(&self) -> &'a [u8] {
        &self.bytes[..self.position]
    }

    /// What wasn't read.
    pub(crate) fn rest(&self) -> &'a [u8] {
        &self.bytes[self.position..]
    }
}
