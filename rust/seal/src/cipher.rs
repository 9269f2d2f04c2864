//! AES-256-GCM under one key, and what the suite derives a message's key from: the one file that
//! names ring's ciphers.

use std::fmt;

use ring::{
    aead::{self, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    error::Unspecified,
    hkdf,
};
use strongroom_memory::{Guarded, equal, wipe_registers};

use crate::{
    SealError,
    secret::{self, Secret},
};

/// `AES_256_GCM_HKDF_SHA512_COMMIT_KEY`.
pub(crate) const SUITE: u16 = 0x0478;
/// Bytes of an initialization vector.
pub(crate) const IV_LENGTH: usize = aead::NONCE_LEN;
/// Bytes of a tag.
pub(crate) const TAG_LENGTH: usize = 16;
/// Bytes of a message's id.
pub(crate) const ID_LENGTH: usize = 32;
/// Bytes of the commitment to the key.
pub(crate) const COMMITMENT_LENGTH: usize = 32;

/// A key, expanded for encryption, in memory that is guarded and wiped. It is made on a stack that is
/// wiped: ring leaves copies of it there.
pub(crate) struct Cipher(Guarded<LessSafeKey>);

impl Cipher {
    /// A cipher under `key` itself.
    pub(crate) fn new(key: &Secret) -> Result<Self, SealError> {
        let key = key.expose()?;
        let guarded = Guarded::new(&secret::arena()?, "cipher", || {
            LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &key).expect("a key of 32 bytes"))
        })?;
        Ok(Self(guarded))
    }

    /// A cipher under what HKDF (RFC 5869) with SHA-512 makes of `key` for `salt` and `info`.
    pub(crate) fn derived(key: &Secret, salt: &[u8], info: &[&[u8]]) -> Result<Self, SealError> {
        let key = key.expose()?;
        let guarded = Guarded::new(&secret::arena()?, "subkey", || {
            let extracted = extract(salt, &key);
            let expanded = extracted
                .expand(info, &AES_256_GCM)
                .expect("32 bytes are less than HKDF's limit");
            LessSafeKey::new(UnboundKey::from(expanded))
        })?;
        Ok(Self(guarded))
    }

    /// Encrypts `data` in its place.
    pub(crate) fn seal(
        &self,
        iv: [u8; IV_LENGTH],
        aad: &[u8],
        data: &mut [u8],
    ) -> Result<[u8; TAG_LENGTH], SealError> {
        let _after = Registers;
        let nonce = Nonce::assume_unique_for_key(iv);
        let mut tag = [0; TAG_LENGTH];
        let made = self
            .0
            .get()?
            .seal_in_place_separate_tag(nonce, Aad::from(aad), data)
            .expect("a frame is shorter than AES-GCM's limit");
        tag.copy_from_slice(made.as_ref());
        Ok(tag)
    }

    /// Decrypts, in its place, what lies before the tag at the end of `data`.
    ///
    /// # Errors
    /// [`SealError::Authentication`]; what `data` holds then is for nobody.
    pub(crate) fn open<'a>(
        &self,
        iv: [u8; IV_LENGTH],
        aad: &[u8],
        data: &'a mut [u8],
    ) -> Result<&'a mut [u8], SealError> {
        let _after = Registers;
        let nonce = Nonce::assume_unique_for_key(iv);
        self.0
            .get()?
            .open_in_place(nonce, Aad::from(aad), data)
            .map_err(|_| SealError::Authentication)
    }

    /// Decrypts `data`, whose tag lies elsewhere, in its place.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub(crate) fn open_separate(
        &self,
        iv: [u8; IV_LENGTH],
        aad: &[u8],
        data: &mut [u8],
        tag: [u8; TAG_LENGTH],
    ) -> Result<(), SealError> {
        let _after = Registers;
        let nonce = Nonce::assume_unique_for_key(iv);
        self.0
            .get()?
            .open_in_place_separate_tag(nonce, Aad::from(aad), tag.into(), data, 0..)
            .map(drop)
            .map_err(|_| SealError::Authentication)
    }
}

/// Clears the vector registers when the cipher is done: round keys are left in them.
struct Registers;

impl Drop for Registers {
    fn drop(&mut self) {
        wipe_registers();
    }
}

impl fmt::Debug for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cipher")
    }
}

/// The key of a message, and its commitment to it: HKDF (RFC 5869) with SHA-512, salted with the
/// message's id.
pub(crate) fn derive(
    data_key: &Secret,
    message_id: &[u8; ID_LENGTH],
) -> Result<(Cipher, [u8; COMMITMENT_LENGTH]), SealError> {
    let data_key = data_key.expose()?;
    let mut commitment = [0; COMMITMENT_LENGTH];
    let cipher = Guarded::new(&secret::arena()?, "message key", || {
        let extracted = extract(message_id, &data_key);
        let suite = SUITE.to_be_bytes();
        let info = [&suite[..], b"DERIVEKEY"];
        let expanded = extracted
            .expand(&info, &AES_256_GCM)
            .expect("32 bytes are less than HKDF's limit");
        expand(&extracted, &[b"COMMITKEY"], &mut commitment)
            .expect("32 bytes are less than HKDF's limit");
        LessSafeKey::new(UnboundKey::from(expanded))
    })?;
    Ok((Cipher(cipher), commitment))
}

/// Holds a commitment to the one that was derived, in a time that doesn't depend on their bytes.
pub(crate) fn verify_commitment(
    derived: &[u8; COMMITMENT_LENGTH],
    found: &[u8; COMMITMENT_LENGTH],
) -> Result<(), SealError> {
    if equal(derived, found) {
        return Ok(());
    }
    Err(SealError::Authentication)
}

fn extract(salt: &[u8], key: &[u8]) -> hkdf::Prk {
    hkdf::Salt::new(hkdf::HKDF_SHA512, salt).extract(key)
}

/// Fills `output`, of no more than HKDF's 255 blocks.
fn expand(extracted: &hkdf::Prk, info: &[&[u8]], output: &mut [u8]) -> Result<(), Unspecified> {
    extracted.expand(info, Length(output.len()))?.fill(output)
}

/// The length of what is derived, as ring wants to be told.
struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

#[cfg(test)]
mod vectors;
