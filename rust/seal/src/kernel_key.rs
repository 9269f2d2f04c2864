//! Keys in the kernel's keyrings, as keyrings(7) describes them.

use linux_keyutils::{KeyError, KeyRing, KeyRingIdentifier};
use zeroize::Zeroizing;

use crate::{SealError, Secret, secret::KEY_LENGTH};

/// Where a key is looked for, one after the other.
const KEYRINGS: [KeyRingIdentifier; 4] = [
    KeyRingIdentifier::Thread,
    KeyRingIdentifier::Process,
    KeyRingIdentifier::Session,
    KeyRingIdentifier::User,
];

/// Reads the key of the type `user` that is called `description`: 32 bytes.
///
/// # Errors
/// [`SealError`]: `kernel_key` where there is none, or it can't be read; `key_malformed`.
pub fn read(description: &str) -> Result<Secret, SealError> {
    let refused = |reason: &str| SealError::KernelKey {
        description: description.chars().take(100).collect(),
        reason: reason.to_owned(),
    };
    let mut reason = KeyError::KeyDoesNotExist;
    for keyring in KEYRINGS {
        let found = KeyRing::from_special_id(keyring, false)
            .and_then(|keyring| keyring.search(description));
        let key = match found {
            Ok(key) => key,
            // What there is and can't be had says more than that there is none elsewhere.
            Err(KeyError::KeyDoesNotExist) => continue,
            Err(error) => {
                reason = error;
                continue;
            }
        };
        let mut bytes = Zeroizing::new([0; KEY_LENGTH + 1]);
        let length = key
            .read(&mut *bytes)
            .map_err(|error| refused(&error.to_string()))?;
        if length != KEY_LENGTH {
            return Err(SealError::KeyMalformed {
                what: format!("the kernel's key {description:?}"),
                reason: "it doesn't have 32 bytes",
            });
        }
        return Secret::filled(|key| {
            key.copy_from_slice(&bytes[..KEY_LENGTH]);
            Ok(())
        });
    }
    Err(refused(&reason.to_string()))
}
