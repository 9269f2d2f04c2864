//! Whose a request is: a name from the caller, and the key that stands for it.
//!
//! The key is HMAC-SHA-256 (RFC 2104) under a random secret of the loaded model's, so that it says nothing
//! about the name, and can't be guessed or told from another process's. It is over everything that what is kept
//! for a tenant depends on: what was read through another model, template or adapter is another's.

use std::{fmt, sync::OnceLock};

use ring::hmac;
use strongroom_memory::{
    Arena, ArenaError, SecretKey,
    arena::{Backing, Fallback, Options},
    wiped_stack,
};

use strongroom_protocol::Tenant;

use crate::HostError;

/// Longest name, in bytes.
const MAX_NAME: usize = 256;

/// What the keys are, in this version of how they are made.
const LABEL: &[u8] = b"strongroom tenant 1";

/// The name of a tenant, as the caller has it: 1 to 256 bytes. It is shown nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct TenantName(Vec<u8>);

impl TenantName {
    /// A name; text is its UTF-8.
    ///
    /// # Errors
    /// [`HostError::Option`] for one of no bytes, or of more than 256.
    pub fn new(bytes: Vec<u8>) -> Result<Self, HostError> {
        if (1..=MAX_NAME).contains(&bytes.len()) {
            return Ok(Self(bytes));
        }
        Err(HostError::Option {
            option: "tenant",
            reason: format!("must have 1 to {MAX_NAME} bytes"),
        })
    }
}

impl fmt::Debug for TenantName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<tenant>")
    }
}

/// What the keys of one model's tenants depend on, beside their names.
#[derive(Debug, Default)]
pub(crate) struct Served {
    /// Made when the first tenant is named. A model belongs to one process, and so does its secret: a forked
    /// child has neither, and makes its own.
    pub(crate) secret: OnceLock<SecretKey>,
    /// As it is written: the algorithm, a colon, hexadecimal digits.
    pub(crate) digest: String,
    /// The operator's, where it replaces the file's.
    pub(crate) chat_template: Option<String>,
}

impl Served {
    /// The key of a tenant.
    ///
    /// # Errors
    /// [`HostError::Memory`] where there is no memory for the secret.
    pub(crate) fn key_of(&self, tenant: &TenantName) -> Result<Tenant, HostError> {
        self.key_under(self.secret()?, tenant).map_err(no_memory)
    }

    fn key_under(&self, secret: &SecretKey, tenant: &TenantName) -> Result<Tenant, ArenaError> {
        let message = self.message(tenant);
        let secret = secret.expose()?;
        let tag = wiped_stack(|| {
            let key = hmac::Key::new(hmac::HMAC_SHA256, &secret);
            hmac::sign(&key, &message)
        })?;
        let mut key = [0; 32];
        key.copy_from_slice(tag.as_ref());
        Ok(Tenant(key))
    }

    fn secret(&self) -> Result<&SecretKey, HostError> {
        if let Some(secret) = self.secret.get() {
            return Ok(secret);
        }
        let made = || {
            let arena = Arena::new(Options {
                max_bytes: SecretKey::LENGTH,
                max_age: None,
                backing: Backing::Secret,
                fallback: Fallback::Report,
            })?;
            SecretKey::generate(&arena, "tenants")
        };
        let made = made().map_err(no_memory)?;
        Ok(self.secret.get_or_init(|| made))
    }

    /// Every field after its length, and every list after its count, so that nothing of one can be
    /// taken for a part of another; numbers are 8 bytes, the lowest first.
    fn message(&self, tenant: &TenantName) -> Vec<u8> {
        let mut message = Vec::new();
        number(&mut message, LABEL.len());
        message.extend(LABEL);
        field(&mut message, &tenant.0);
        field(&mut message, self.digest.as_bytes());
        number(&mut message, usize::from(self.chat_template.is_some()));
        if let Some(template) = &self.chat_template {
            field(&mut message, template.as_bytes());
        }
        // Adapters: there are none yet.
        number(&mut message, 0);
        message
    }
}

fn number(message: &mut Vec<u8>, number: usize) {
    message.extend((number as u64).to_le_bytes());
}

fn field(message: &mut Vec<u8>, bytes: &[u8]) {
    number(message, bytes.len());
    message.extend(bytes);
}

#[allow(clippy::needless_pass_by_value)] // What map_err hands over.
fn no_memory(error: ArenaError) -> HostError {
    HostError::Memory {
        code: error.code(),
        message: error.to_string(),
        next_step: error.next_step(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeSet;

    use super::*;

    /// `field|field|…` a line; `tests/vectors/test_tenants.py` recomputes them with Python's hmac.
    const VECTORS: &str = include_str!("../vectors/tenants.txt");

    fn bytes_of(hexadecimal: &str) -> Vec<u8> {
        (0..hexadecimal.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&hexadecimal[at..at + 2], 16).unwrap())
            .collect()
    }

    fn name(bytes: &[u8]) -> TenantName {
        TenantName::new(bytes.to_vec()).unwrap()
    }

    fn served(digest: &str, chat_template: Option<&str>) -> Served {
        Served {
            digest: digest.to_owned(),
            chat_template: chat_template.map(str::to_owned),
            ..Served::default()
        }
    }

    #[test]
    fn the_vectors_hold() {
        let mut count = 0;
        for line in VECTORS.lines().filter(|line| !line.starts_with('#')) {
            let [secret, tenant, digest, template, key] =
                line.split('|').collect::<Vec<_>>().try_into().unwrap();
            let arena = Arena::new(Options {
                fallback: Fallback::Report,
                ..Options::new(1024)
            })
            .unwrap();
            let mut secret: [u8; 32] = bytes_of(secret).try_into().unwrap();
            let secret = SecretKey::take(&arena, &mut secret, "test").unwrap();
            let template = (template != "none").then(|| bytes_of(template));
            let template = template.map(|bytes| String::from_utf8(bytes).unwrap());
            let found = served(digest, template.as_deref())
                .key_under(&secret, &name(&bytes_of(tenant)))
                .unwrap();
            assert_eq!(found.0.to_vec(), bytes_of(key), "{line}");
            count += 1;
        }
        assert!(count >= 6);
    }

    #[test]
    fn no_two_fields_can_be_shifted_into_each_other() {
        let cases = [
            ("a", served("b", None)),
            ("a", served("b", Some(""))),
            ("a", served("b", Some("c"))),
            ("ab", served("", Some("c"))),
            ("a", served("bc", Some(""))),
            ("a", served("bc", None)),
            ("b", served("a", None)),
            ("a\0", served("b", None)),
            ("ab", served("c", None)),
        ];
        let arena = Arena::new(Options {
            fallback: Fallback::Report,
            ..Options::new(1024)
        })
        .unwrap();
        let secret = SecretKey::take(&arena, &mut [7; 32], "test").unwrap();
        let keys: BTreeSet<_> = cases
            .iter()
            .map(|(tenant, served)| {
                let name = name(tenant.as_bytes());
                served.key_under(&secret, &name).unwrap()
            })
            .collect();
        assert_eq!(keys.len(), cases.len());
    }

    #[test]
    fn the_same_tenant_has_the_same_key_for_as_long_as_the_model_is_loaded() {
        let served = served("sha256:00", None);
        let binary = name(&[0, 255, 10]);
        assert_eq!(
            served.key_of(&binary).unwrap(),
            served.key_of(&binary).unwrap()
        );
    }

    #[test]
    fn names_have_bounds() {
        assert_eq!(name(&[7; 256]).0.len(), 256);
        for length in [0, 257, 1 << 20] {
            let error = TenantName::new(vec![b'x'; length]).unwrap_err();
            assert_eq!(error.code(), "option.out_of_range");
            assert!(!error.to_string().contains("xx"));
        }
    }

    #[test]
    fn nothing_shows_a_name_or_a_key() {
        let key = served("d", None).key_of(&name(b"ann")).unwrap();
        assert_eq!(format!("{:?} {key:?}", name(b"ann")), "<tenant> <tenant>");
    }
}
