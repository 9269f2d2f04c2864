//! What wraps a message's data key, and finds it again.

use std::fmt;

use crate::{EncryptionContext, SealError, Secret, error::shown};

/// A data key as a message carries it, encrypted by some provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncryptedDataKey {
    provider: String,
    info: Vec<u8>,
    ciphertext: Vec<u8>,
}

impl EncryptedDataKey {
    /// One by `provider`, with what that provider wants to know to decrypt it.
    ///
    /// # Errors
    /// [`SealError::Limit`] where a part has more than 65,535 bytes.
    pub fn new(provider: String, info: Vec<u8>, ciphertext: Vec<u8>) -> Result<Self, SealError> {
        for length in [provider.len(), info.len(), ciphertext.len()] {
            if u16::try_from(length).is_err() {
                return Err(SealError::Limit {
                    what: "a part of an encrypted data key",
                    limit: format!("{} bytes", u16::MAX),
                });
            }
        }
        Ok(Self {
            provider,
            info,
            ciphertext,
        })
    }

    /// Who encrypted it: a namespace of raw keys, or a service.
    pub fn provider(&self) -> &str {
        &self.provider
    }

    /// What the provider has to know: for a raw key its name, then lengths and an initialization
    /// vector.
    pub fn info(&self) -> &[u8] {
        &self.info
    }

    /// The encrypted data key.
    pub fn ciphertext(&self) -> &[u8] {
        &self.ciphertext
    }

    /// Which key opens it, as far as its provider's information can be shown.
    pub fn id(&self) -> KeyId {
        let name = crate::raw::name_of(&self.info).unwrap_or(&self.info);
        KeyId::new(&self.provider, &String::from_utf8_lossy(name))
    }
}

/// What a key is called: its namespace and its name, never anything of its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KeyId(String);

impl KeyId {
    /// The id of the key `name` in `namespace`; what can't be printed is escaped.
    pub fn new(namespace: &str, name: &str) -> Self {
        Self(format!("{}/{}", shown(namespace), shown(name)))
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A key, or a service that has one: it encrypts data keys, and decrypts its own.
pub trait Keyring: fmt::Debug + Send + Sync {
    /// What it is called, for people.
    fn id(&self) -> KeyId;

    /// Encrypts `data_key`, bound to `context`.
    ///
    /// # Errors
    /// [`SealError`] as the keyring documents.
    fn wrap(
        &self,
        data_key: &Secret,
        context: &EncryptionContext,
    ) -> Result<EncryptedDataKey, SealError>;

    /// Decrypts the first of `keys` that is its own and bound to `context`; none where none is its
    /// own. `keys` come from a file: hostile input.
    ///
    /// # Errors
    /// [`SealError::Authentication`] where what claims to be its own isn't, and others as the
    /// keyring documents.
    fn unwrap(
        &self,
        keys: &[EncryptedDataKey],
        context: &EncryptionContext,
    ) -> Result<Option<Secret>, SealError>;
}

/// Asks every keyring in turn.
pub(crate) fn unwrap(
    keyrings: &[&dyn Keyring],
    keys: &[EncryptedDataKey],
    context: &EncryptionContext,
) -> Result<Secret, SealError> {
    let mut refused = None;
    for keyring in keyrings {
        match keyring.unwrap(keys, context) {
            Ok(Some(secret)) => return Ok(secret),
            Ok(None) => {}
            // Who interrupts wants no other key to be asked.
            Err(error @ (SealError::Cancelled | SealError::Interrupted(_))) => return Err(error),
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    Err(refused.unwrap_or_else(|| SealError::NoKey {
        wanted: listed(keys.iter().map(EncryptedDataKey::id)),
        given: if keyrings.is_empty() {
            "no key was given".to_owned()
        } else {
            let given = listed(keyrings.iter().map(|keyring| keyring.id()));
            format!("given was {given}")
        },
    }))
}

/// A few ids, and how many more there are.
fn listed(ids: impl ExactSizeIterator<Item = KeyId>) -> String {
    const SHOWN: usize = 4;
    let more = ids.len().saturating_sub(SHOWN);
    let mut listed: Vec<String> = ids.take(SHOWN).map(|id| id.to_string()).collect();
    if more > 0 {
        listed.push(format!("{more} more"));
    }
    listed.join(", ")
}
