//! Subkeys: derived for one purpose and one salt, and counted while they encrypt.

use std::sync::{Arc, Mutex, PoisonError};

use ring::rand::{SecureRandom as _, SystemRandom};

use super::{DataError, key::DataKey};
use crate::{SealError, cipher::Cipher};

/// Bytes of a salt.
pub(super) const SALT_LENGTH: usize = 32;
/// Most records under one subkey: NIST SP 800-38D, section 8.3, for nonces that are random.
pub const MAX_MESSAGES: u64 = 1 << 32;
/// Most blocks of 16 bytes under one subkey, the lengths' included; `ENVELOPE.md` has the reason.
pub const MAX_BLOCKS: u64 = 1 << 48;

/// Subkeys that are kept for one direction, of a few kilobytes of locked memory each.
const KEPT: usize = 16;

const LABEL: &[u8] = b"strongroom record v1";

/// How much a subkey may encrypt.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) messages: u64,
    pub(super) blocks: u64,
}

/// A key for a purpose and a salt.
pub(super) struct Subkey {
    pub(super) salt: [u8; SALT_LENGTH],
    pub(super) cipher: Cipher,
}

impl Subkey {
    /// Derives it: HKDF (RFC 5869) with SHA-512.
    pub(super) fn derive(
        key: &DataKey,
        purpose: &str,
        salt: [u8; SALT_LENGTH],
    ) -> Result<Self, DataError> {
        #[allow(clippy::cast_possible_truncation)] // A purpose has at most 255 bytes.
        let length = [purpose.len() as u8];
        let info: [&[u8]; 3] = [LABEL, &length, purpose.as_bytes()];
        Ok(Self {
            salt,
            cipher: Cipher::derived(&key.secret, &salt, &info)?,
        })
    }
}

/// A subkey that encrypts, and how much it has.
struct Writing {
    purpose: String,
    subkey: Arc<Subkey>,
    messages: u64,
    blocks: u64,
}

impl Writing {
    /// Counts one record more, if it may still be encrypted.
    fn count(&mut self, blocks: u64, limits: Limits) -> bool {
        let (messages, blocks) = (self.messages + 1, self.blocks.saturating_add(blocks));
        if messages > limits.messages || blocks > limits.blocks {
            return false;
        }
        (self.messages, self.blocks) = (messages, blocks);
        true
    }
}

/// Subkeys that a cipher uses, those of late first.
pub(super) struct Subkeys {
    /// By purpose: with the first key of the ring, under salts of this process.
    writing: Mutex<Vec<Writing>>,
    /// By key, salt and purpose: of envelopes that were opened.
    reading: Mutex<Vec<(usize, String, Arc<Subkey>)>>,
    limits: Limits,
    random: SystemRandom,
}

impl Subkeys {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            writing: Mutex::default(),
            reading: Mutex::default(),
            limits,
            random: SystemRandom::new(),
        }
    }

    /// A subkey that may encrypt a record of that many blocks, counted already.
    pub(super) fn to_write(
        &self,
        key: &DataKey,
        purpose: &str,
        blocks: u64,
    ) -> Result<Arc<Subkey>, DataError> {
        let mut kept = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = kept.iter().position(|writing| writing.purpose == purpose) {
            if kept[at].count(blocks, self.limits) {
                kept[..=at].rotate_right(1);
                return Ok(Arc::clone(&kept[0].subkey));
            }
            kept.remove(at);
        }
        let mut salt = [0; SALT_LENGTH];
        self.fill(&mut salt)?;
        let subkey = Arc::new(Subkey::derive(key, purpose, salt)?);
        kept.truncate(KEPT - 1);
        let writing = Writing {
            purpose: purpose.to_owned(),
            subkey: Arc::clone(&subkey),
            // One record is within any limit.
            messages: 1,
            blocks,
        };
        kept.insert(0, writing);
        Ok(subkey)
    }

    /// The subkey of an envelope, if it is kept.
    pub(super) fn kept(
        &self,
        key: usize,
        purpose: &str,
        salt: &[u8; SALT_LENGTH],
    ) -> Option<Arc<Subkey>> {
        let mut kept = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        let at = kept
            .iter()
            .position(|(of, text, subkey)| subkey.salt == *salt && *of == key && text == purpose)?;
        kept[..=at].rotate_right(1);
        Some(Arc::clone(&kept[0].2))
    }

    /// Keeps the subkey of an envelope that was authentic. Others would push out those in use.
    pub(super) fn keep(&self, key: usize, purpose: &str, subkey: Arc<Subkey>) {
        let mut kept = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        kept.truncate(KEPT - 1);
        kept.insert(0, (key, purpose.to_owned(), subkey));
    }

    /// Random numbers of the kernel.
    pub(super) fn fill(&self, bytes: &mut [u8]) -> Result<(), DataError> {
        Ok(self.random.fill(bytes).map_err(|_| SealError::Random)?)
    }
}
