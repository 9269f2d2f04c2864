//! Data keys, and what they are called in envelopes.

use std::fmt;

use super::DataError;
use crate::Secret;

/// Most bytes of a key's id.
pub const MAX_ID: usize = 64;
/// Most keys of a keyring.
pub const MAX_KEYS: usize = 64;

/// Which key it is. It stands readable in every envelope.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KeyName {
    id: String,
    version: u32,
}

impl KeyName {
    /// The version `version` of the key `id`.
    ///
    /// # Errors
    /// [`DataError::Keyring`]: the id hasn't 1 to 64 visible ASCII characters.
    pub fn new(id: impl Into<String>, version: u32) -> Result<Self, DataError> {
        let id = id.into();
        if !is_id(id.as_bytes()) {
            return Err(DataError::Keyring {
                reason: "a key's id has 1 to 64 visible ASCII characters, and no spaces".to_owned(),
            });
        }
        Ok(Self { id, version })
    }

    /// What the versions of a key have in common.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Which of them.
    pub const fn version(&self) -> u32 {
        self.version
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} version {}", self.id, self.version)
    }
}

/// Whether that can be an id.
pub(super) fn is_id(bytes: &[u8]) -> bool {
    (1..=MAX_ID).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic)
}

/// A key that records' keys are derived from, and its name.
#[derive(Debug)]
pub struct DataKey {
    pub(super) name: KeyName,
    pub(super) secret: Secret,
}

impl DataKey {
    /// Names a key.
    pub const fn new(name: KeyName, secret: Secret) -> Self {
        Self { name, secret }
    }

    /// What it is called.
    pub const fn name(&self) -> &KeyName {
        &self.name
    }
}
