//! The raw AES keyring: data keys encrypted by AES-256-GCM under a key that the caller has.

use ring::rand::{SecureRandom, SystemRandom};

use crate::{
    EncryptedDataKey, EncryptionContext, KeyId, Keyring, SealError, Secret,
    cipher::{Cipher, IV_LENGTH, TAG_LENGTH},
    secret::KEY_LENGTH,
};

/// What follows the name: the tag's length in bits, the length of the initialization vector, itself.
const AFTER_NAME: usize = 4 + 4 + IV_LENGTH;
#[allow(clippy::cast_possible_truncation)] // 128 and 12.
const LENGTHS: [u8; 8] = [0, 0, 0, 8 * TAG_LENGTH as u8, 0, 0, 0, IV_LENGTH as u8];

/// The beginning of the services' own namespaces.
const SERVICE: &str = "aws-kms";

/// Most bytes of a namespace and of a name.
const MAX_NAME: usize = 1024;

/// One key with its namespace and name, which are written into messages for everybody to read. A
/// message that several keys open is sealed with several keyrings.
#[derive(Debug)]
pub struct RawKeyring {
    namespace: String,
    name: String,
    cipher: Cipher,
}

impl RawKeyring {
    /// The keyring of `key`, which isn't needed any more.
    ///
    /// # Errors
    /// [`SealError::KeyName`]: empty, longer than 1,024 bytes, with control characters, or a
    /// namespace of the services'.
    pub fn new(
        namespace: impl Into<String>,
        name: impl Into<String>,
        key: &Secret,
    ) -> Result<Self, SealError> {
        let (namespace, name) = (namespace.into(), name.into());
        for (what, text) in [("namespace", &namespace), ("name", &name)] {
            let refused = |reason| Err(SealError::KeyName { what, reason });
            if text.is_empty() {
                return refused("it is empty");
            }
            if text.len() > MAX_NAME {
                return refused("it has more than 1,024 bytes");
            }
            if text.chars().any(char::is_control) {
                return refused("it has control characters");
            }
        }
        if namespace.starts_with(SERVICE) {
            return Err(SealError::KeyName {
                what: "namespace",
                reason: "what begins with aws-kms is a service's",
            });
        }
        Self::of(namespace, name, key)
    }

    /// A keyring whose names are known to be good.
    pub(crate) fn of(namespace: String, name: String, key: &Secret) -> Result<Self, SealError> {
        Ok(Self {
            namespace,
            name,
            cipher: Cipher::new(key)?,
        })
    }

    /// Whether `key` says that it is under this keyring's key.
    fn is_ours(&self, key: &EncryptedDataKey) -> bool {
        key.provider() == self.namespace && name_of(key.info()) == Some(self.name.as_bytes())
    }

    fn open(&self, key: &EncryptedDataKey, aad: &[u8]) -> Result<Secret, SealError> {
        let iv = key.info()[key.info().len() - IV_LENGTH..].try_into();
        let (Ok(iv), Ok(sealed)) = (
            iv,
            <[u8; KEY_LENGTH + TAG_LENGTH]>::try_from(key.ciphertext()),
        ) else {
            return Err(SealError::Authentication);
        };
        Secret::filled(|bytes| {
            // Where it is decrypted: on the stack that is wiped.
            let mut sealed = sealed;
            let opened = self.cipher.open(iv, aad, &mut sealed)?;
            bytes.copy_from_slice(opened);
            zeroize::Zeroize::zeroize(opened);
            Ok(())
        })
    }
}

impl Keyring for RawKeyring {
    fn id(&self) -> KeyId {
        KeyId::new(&self.namespace, &self.name)
    }

    fn wrap(
        &self,
        data_key: &Secret,
        context: &EncryptionContext,
    ) -> Result<EncryptedDataKey, SealError> {
        let mut iv = [0; IV_LENGTH];
        SystemRandom::new()
            .fill(&mut iv)
            .map_err(|_| SealError::Random)?;
        let mut sealed = Vec::with_capacity(KEY_LENGTH + TAG_LENGTH);
        sealed.extend(&*data_key.expose()?);
        let tag = self.cipher.seal(iv, &context.to_bytes(), &mut sealed)?;
        sealed.extend(tag);
        let info = [self.name.as_bytes(), &LENGTHS, &iv].concat();
        EncryptedDataKey::new(self.namespace.clone(), info, sealed)
    }

    fn unwrap(
        &self,
        keys: &[EncryptedDataKey],
        context: &EncryptionContext,
    ) -> Result<Option<Secret>, SealError> {
        let mut ours = keys.iter().filter(|key| self.is_ours(key)).peekable();
        if ours.peek().is_none() {
            return Ok(None);
        }
        let aad = context.to_bytes();
        ours.find_map(|key| self.open(key, &aad).ok())
            .map(Some)
            .ok_or(SealError::Authentication)
    }
}

/// The name of the key in the information of a raw AES keyring, where it is one.
pub(crate) fn name_of(info: &[u8]) -> Option<&[u8]> {
    let (name, after) = info.split_at_checked(info.len().checked_sub(AFTER_NAME)?)?;
    after.starts_with(&LENGTHS).then_some(name)
}
