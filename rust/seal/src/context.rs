//! The encryption context: what a message is about, readable by everybody and bound to every key
//! that opens it.

use std::collections::BTreeMap;

use crate::{SealError, error::shown, header::Reading};

/// Most bytes of a context as it is written.
pub const MAX_CONTEXT: usize = u16::MAX as usize;

/// What the format keeps for itself.
pub const RESERVED_PREFIX: &str = "aws-crypto-";

/// Pairs of text, in the order of the keys' bytes. It is no secret.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EncryptionContext(BTreeMap<String, String>);

impl EncryptionContext {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// A context of `pairs`.
    ///
    /// # Errors
    /// [`SealError::ContextInvalid`]: a key twice, a reserved one, or more than [`MAX_CONTEXT`].
    pub fn from_pairs<K: Into<String>, V: Into<String>>(
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self, SealError> {
        let mut context = Self::new();
        for (key, value) in pairs {
            context.insert(key, value)?;
        }
        Ok(context)
    }

    /// Adds a pair.
    ///
    /// # Errors
    /// [`SealError::ContextInvalid`]: the key is there already, or reserved, or the whole would have
    /// more than [`MAX_CONTEXT`] bytes.
    pub fn insert(
        &mut self,
        key: impl Into<String>,
        value: impl Into<String>,
    ) -> Result<(), SealError> {
        let (key, value) = (key.into(), value.into());
        let invalid = |reason| Err(SealError::ContextInvalid { reason });
        if key.starts_with(RESERVED_PREFIX) {
            return invalid(format!(
                "keys that begin with {RESERVED_PREFIX} are the format's own"
            ));
        }
        if self.0.contains_key(&key) {
            return invalid(format!("it has the key {:?} twice", shown(&key)));
        }
        let before = self.length();
        // An empty context has no count either.
        let length = before.max(2) + 4 + key.len() + value.len();
        if length > MAX_CONTEXT {
            return invalid(format!(
                "it would have {length} bytes, more than the {MAX_CONTEXT} that fit"
            ));
        }
        self.0.insert(key, value);
        Ok(())
    }

    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// The pairs, in the order of the keys' bytes.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (&**key, &**value))
    }

    /// How many pairs there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no pair.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Holds it to have every pair of `expected`.
    ///
    /// # Errors
    /// [`SealError::Context`].
    pub fn verify(&self, expected: &Self) -> Result<(), SealError> {
        for (key, value) in expected.iter() {
            let found = self.get(key);
            if found != Some(value) {
                return Err(SealError::Context {
                    expected: pair(key, value),
                    found: found
                        .map_or_else(|| format!("no {}", shown(key)), |found| pair(key, found)),
                });
            }
        }
        Ok(())
    }

    /// Holds it to have no pair of that key.
    ///
    /// # Errors
    /// [`SealError::Context`].
    pub fn verify_absent(&self, key: &str) -> Result<(), SealError> {
        self.get(key).map_or(Ok(()), |found| {
            Err(SealError::Context {
                expected: format!("no {}", shown(key)),
                found: pair(key, found),
            })
        })
    }

    fn length(&self) -> usize {
        if self.0.is_empty() {
            return 0;
        }
        let pairs = self.0.iter();
        2 + pairs
            .map(|(key, value)| 4 + key.len() + value.len())
            .sum::<usize>()
    }

    /// As it is written, and as additional data of what wraps the data key: nothing where it is
    /// empty.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.length());
        if self.0.is_empty() {
            return bytes;
        }
        // Every pair takes four bytes or more of the 65,535.
        #[allow(clippy::cast_possible_truncation)]
        bytes.extend((self.0.len() as u16).to_be_bytes());
        for text in self.0.iter().flat_map(|(key, value)| [key, value]) {
            #[allow(clippy::cast_possible_truncation)] // As a part of 65,535 bytes.
            bytes.extend((text.len() as u16).to_be_bytes());
            bytes.extend(text.as_bytes());
        }
        bytes
    }

    /// Reads what [`to_bytes`](Self::to_bytes) writes, and nothing else: one context has one
    /// encoding.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, SealError> {
        let mut context = Self::new();
        if bytes.is_empty() {
            return Ok(context);
        }
        let malformed = |reason| SealError::Malformed { reason };
        let mut reading = Reading::inside(bytes, "its context ends inside a pair");
        let count = reading.u16()?;
        if count == 0 {
            return Err(malformed("its context has a count though it is empty"));
        }
        let mut last: Option<String> = None;
        for _ in 0..count {
            let key = reading.text("a key of its context is not UTF-8")?;
            let value = reading.text("a value of its context is not UTF-8")?;
            if key.starts_with(RESERVED_PREFIX) {
                return Err(malformed("its context has a reserved key"));
            }
            if last.as_deref().is_some_and(|last| last >= key) {
                return Err(malformed(
                    "its context's keys are not sorted, or not unique",
                ));
            }
            last = Some(key.to_owned());
            context.0.insert(key.to_owned(), value.to_owned());
        }
        if !reading.rest().is_empty() {
            return Err(malformed("its context has bytes behind the last pair"));
        }
        Ok(context)
    }
}

fn pair(key: &str, value: &str) -> String {
    format!("{}={}", shown(key), shown(value))
}
