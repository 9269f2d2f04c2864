//! Sealing and opening records under a keyring of data keys.

use std::{collections::HashSet, fmt, sync::Arc};

use zeroize::Zeroizing;

use super::{
    Binding, DataError, DataKey, Draft, Envelope, Kind, MAX_BLOCKS, MAX_KEYS, MAX_MESSAGES,
    envelope::{header_length, write_header},
    subkey::{Limits, Subkey, Subkeys},
};
use crate::cipher::{IV_LENGTH, TAG_LENGTH};

/// Encrypts and decrypts records. The first key of its ring encrypts, all of them decrypt. Any thread may
/// use it; a process that is forked from this one may not, for the keys are not in its memory.
pub struct DataCipher {
    keys: Vec<DataKey>,
    subkeys: Subkeys,
}

impl DataCipher {
    /// A cipher of `keys`.
    ///
    /// # Errors
    /// [`DataError::Keyring`]: none, more than [`MAX_KEYS`], or two of one name.
    pub fn new(keys: Vec<DataKey>) -> Result<Self, DataError> {
        Self::limited(
            keys,
            Limits {
                messages: MAX_MESSAGES,
                blocks: MAX_BLOCKS,
            },
        )
    }

    pub(super) fn limited(keys: Vec<DataKey>, limits: Limits) -> Result<Self, DataError> {
        let refused = |reason| Err(DataError::Keyring { reason });
        if keys.is_empty() || keys.len() > MAX_KEYS {
            return refused(format!("it has {} keys, not 1 to {MAX_KEYS}", keys.len()));
        }
        let mut names = HashSet::new();
        if let Some(twice) = keys.iter().find(|key| !names.insert(&key.name)) {
            return refused(format!("it has the key {} twice", twice.name));
        }
        Ok(Self {
            subkeys: Subkeys::new(limits),
            keys,
        })
    }

    /// The keys, the one that encrypts first.
    pub fn keys(&self) -> impl Iterator<Item = &super::KeyName> {
        self.keys.iter().map(|key| &key.name)
    }

    /// Begins an envelope for something of `length` bytes, which the draft may exceed.
    ///
    /// # Errors
    /// [`DataError::TooLarge`].
    pub fn draft(&self, kind: Kind, length: usize) -> Result<Draft, DataError> {
        Draft::new(header_length(&self.keys[0].name), kind, length)
    }

    /// Encrypts a draft of this cipher's, in its place; returns the envelope.
    ///
    /// # Errors
    /// [`DataError`]: `forked`, and what the system refuses.
    pub fn seal(&self, draft: Draft, binding: &Binding) -> Result<Vec<u8>, DataError> {
        self.is_here()?;
        let blocks = blocks(draft.bytes.len() - draft.start, draft.start, binding);
        let subkey = self
            .subkeys
            .to_write(&self.keys[0], binding.purpose(), blocks)?;
        let mut nonce = [0; IV_LENGTH];
        self.subkeys.fill(&mut nonce)?;
        self.seal_with(draft, binding, &subkey, nonce)
    }

    pub(super) fn seal_with(
        &self,
        mut draft: Draft,
        binding: &Binding,
        subkey: &Subkey,
        nonce: [u8; IV_LENGTH],
    ) -> Result<Vec<u8>, DataError> {
        let (header, plaintext) = draft.bytes.split_at_mut(draft.start);
        write_header(header, &self.keys[0].name, &subkey.salt, &nonce);
        let aad = [header, binding.context()].concat();
        let tag = subkey.cipher.seal(nonce, &aad, plaintext)?;
        draft.bytes.extend_from_slice(&tag);
        Ok(std::mem::take(&mut *draft.bytes))
    }

    /// Decrypts an envelope, in its place.
    ///
    /// # Errors
    /// [`DataError`].
    pub fn open(&self, envelope: Vec<u8>, binding: &Binding) -> Result<Opened, DataError> {
        self.is_here()?;
        let mut bytes = Zeroizing::new(envelope);
        let Envelope {
            key,
            salt,
            nonce,
            start,
        } = Envelope::parse(&bytes)?;
        let Some(index) = self.keys.iter().position(|ours| ours.name == key) else {
            let given: Vec<String> = self.keys().map(ToString::to_string).collect();
            return Err(DataError::UnknownKey {
                wanted: key,
                given: given.join(", "),
            });
        };
        let purpose = binding.purpose();
        let kept = self.subkeys.kept(index, purpose, &salt);
        let subkey = match &kept {
            Some(subkey) => Arc::clone(subkey),
            None => Arc::new(Subkey::derive(&self.keys[index], purpose, salt)?),
        };
        let (header, sealed) = bytes.split_at_mut(start);
        let aad = [header, binding.context()].concat();
        subkey.cipher.open(nonce, &aad, sealed)?;
        if kept.is_none() {
            self.subkeys.keep(index, purpose, subkey);
        }
        let end = bytes.len() - TAG_LENGTH;
        bytes.truncate(end);
        let kind = Kind::of(bytes[start])?;
        Ok(Opened { bytes, start, kind })
    }

    /// Decrypts an envelope under any key of the ring, and encrypts what was in it under the first, with a
    /// new nonce.
    ///
    /// # Errors
    /// As [`open`](Self::open) and [`seal`](Self::seal).
    pub fn reencrypt(&self, envelope: Vec<u8>, binding: &Binding) -> Result<Vec<u8>, DataError> {
        let opened = self.open(envelope, binding)?;
        let mut draft = self.draft(opened.kind, opened.plaintext().len())?;
        draft.extend(opened.plaintext())?;
        self.seal(draft, binding)
    }

    /// Refuses a forked child before it waits for a lock that nobody there will release.
    fn is_here(&self) -> Result<(), DataError> {
        self.keys[0].secret.expose()?;
        Ok(())
    }
}

/// Blocks that GCM works on: plaintext, associated data, and the block of their lengths.
fn blocks(plaintext: usize, header: usize, binding: &Binding) -> u64 {
    let aad = header + binding.context().len();
    (plaintext.div_ceil(16) + aad.div_ceil(16) + 1) as u64
}

impl fmt::Debug for DataCipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys()).finish()
    }
}

/// What was in an envelope. It is wiped when it is dropped.
pub struct Opened {
    bytes: Zeroizing<Vec<u8>>,
    start: usize,
    kind: Kind,
}

impl Opened {
    /// What it is.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Its bytes.
    pub fn plaintext(&self) -> &[u8] {
        &self.bytes[self.start + 1..]
    }
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Opened({:?})", self.kind)
    }
}
