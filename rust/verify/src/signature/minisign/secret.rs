//! minisign's secret keys, and what they sign.

use std::fmt;

use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

use super::{
    LEGACY, Number, PREHASHED, PublicKey, UNTRUSTED, base64, bytes, lines,
    signed::{TRUSTED, commented},
};
use crate::{
    Algorithm, KeyError, KeyId, PrivateKey, Scheme, equal,
    key::{Kind, room},
    signature::{Seen, SignatureError},
};

/// Whence the stream comes that hides the key: scrypt, or nothing.
const SCRYPT: [u8; 2] = *b"Sc";
const PLAIN: [u8; 2] = [0; 2];
/// The checksum inside: `BLAKE2b` with 32 bytes.
const BLAKE2B: [u8; 2] = *b"B2";

/// What minisign itself asks of scrypt (`SENSITIVE` of libsodium): 1 GiB, and a few seconds.
const WORK: u64 = 33_554_432;
const MEMORY: u64 = 1 << 30;

/// Bytes of the file's parts: the number, the key pair and the checksum are hidden.
const LENGTH: usize = 158;
const HIDDEN: usize = 8 + 64 + 32;

/// A secret key of minisign. It is wiped when it is dropped, and prints as its id.
#[derive(Clone)]
pub struct SecretKey {
    number: Number,
    key: PrivateKey,
}

impl SecretKey {
    /// Makes a new key.
    ///
    /// # Errors
    /// [`KeyError::Generation`].
    pub fn generate() -> Result<Self, KeyError> {
        let mut number = [0; 8];
        fill(&mut number)?;
        Ok(Self {
            number: Number(number),
            key: PrivateKey::generate(Kind::Ed25519)?,
        })
    }

    /// Whether a file is one of minisign's, or says that it is.
    pub fn is_file(file: &[u8]) -> bool {
        super::begins(file)
    }

    /// Reads `minisign.key`, with its passphrase where it is encrypted.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn from_file(file: &[u8], passphrase: Option<&[u8]>) -> Result<Self, KeyError> {
        if file.len() > crate::key::LONGEST_FILE {
            return Err(KeyError::TooLong {
                limit: crate::key::LONGEST_FILE,
            });
        }
        let [_, line] = lines(file).map_err(KeyError::malformed)?;
        if bytes::<42>(line).is_ok() {
            return Err(KeyError::Public);
        }
        let content = bytes::<LENGTH>(line).map_err(KeyError::malformed)?;
        let (algorithm, rest) = content.split_at(2);
        let (derivation, rest) = rest.split_at(2);
        let (checksum, rest) = rest.split_at(2);
        let (salt, rest) = rest.split_at(32);
        let (work, rest) = rest.split_at(8);
        let (memory, hidden) = rest.split_at(8);
        if algorithm != LEGACY || checksum != BLAKE2B {
            return Err(KeyError::malformed("its algorithms are none of minisign's"));
        }
        let mut hidden = Zeroizing::new(hidden.to_vec());
        match (<[u8; 2]>::try_from(derivation), passphrase) {
            (Ok(SCRYPT), Some(passphrase)) => {
                hide(&mut hidden, passphrase, salt, number(work), number(memory))?;
            }
            (Ok(SCRYPT), None) => return Err(KeyError::Encrypted),
            (Ok(PLAIN), None) => {}
            (Ok(PLAIN), Some(_)) => return Err(KeyError::NotEncrypted),
            _ => {
                return Err(KeyError::Encryption {
                    reason: "it is none of scrypt and none",
                });
            }
        }
        let encrypted = derivation == SCRYPT;
        let (named, sum) = hidden.split_at(8 + 64);
        // minisign leaves the checksum of a key without a passphrase at zeros.
        if !equal(checksum_of(named).as_bytes(), sum) {
            if encrypted {
                return Err(KeyError::Passphrase);
            }
            if sum.iter().any(|&byte| byte != 0) {
                return Err(KeyError::Inconsistent);
            }
        }
        let (own, pair) = named.split_at(8);
        let (seed, public) = pair.split_at(32);
        let seed: Zeroizing<[u8; 32]> =
            Zeroizing::new(seed.try_into().map_err(|_| KeyError::Inconsistent)?);
        let key = PrivateKey::from_ed25519(&seed)?;
        if key.public().as_bytes() != public {
            return Err(KeyError::Inconsistent);
        }
        Ok(Self {
            number: Number(own.try_into().map_err(|_| KeyError::Inconsistent)?),
            key,
        })
    }

    /// `minisign.key`: encrypted as minisign encrypts it, or without a passphrase as `-W` leaves it.
    ///
    /// # Errors
    /// [`KeyError`]: `generation`.
    pub fn to_file(&self, passphrase: Option<&[u8]>) -> Result<Zeroizing<String>, KeyError> {
        let seed = self.key.ed25519_seed().ok_or(KeyError::Inconsistent)?;
        // Of its full length from the start: a vector that grows leaves copies behind.
        let mut hidden = Zeroizing::new(Vec::with_capacity(HIDDEN));
        hidden.extend_from_slice(&self.number.0);
        hidden.extend_from_slice(&*seed);
        hidden.extend_from_slice(self.key.public().as_bytes());
        let sum = checksum_of(&hidden);
        hidden.extend_from_slice(sum.as_bytes());
        let (mut salt, mut work, mut memory, mut derivation) = ([0; 32], 0, 0, PLAIN);
        if let Some(passphrase) = passphrase {
            fill(&mut salt)?;
            (work, memory, derivation) = (WORK, MEMORY, SCRYPT);
            hide(&mut hidden, passphrase, &salt, work, memory)?;
        }
        let mut content = Zeroizing::new(Vec::with_capacity(LENGTH));
        for part in [&LEGACY[..], &derivation, &BLAKE2B, &salt] {
            content.extend_from_slice(part);
        }
        content.extend_from_slice(&work.to_le_bytes());
        content.extend_from_slice(&memory.to_le_bytes());
        content.extend_from_slice(&hidden);
        let line = Zeroizing::new(base64::encode(&content));
        let adjective = if passphrase.is_some() {
            "encrypted "
        } else {
            ""
        };
        Ok(Zeroizing::new(format!(
            "{UNTRUSTED}minisign {adjective}secret key\n{}\n",
            *line
        )))
    }

    /// The public key that belongs to it.
    pub fn public(&self) -> PublicKey {
        PublicKey {
            number: self.number,
            key: self.key.public().clone(),
        }
    }

    /// Its name, which is the public key's.
    pub const fn id(&self) -> KeyId {
        self.key.id()
    }

    /// Signs the `BLAKE2b` of a file; returns the file to write. The comment is signed too.
    ///
    /// # Errors
    /// [`SignatureError`]: `incomplete`, `unsigned`, and `malformed` for a comment that isn't one
    /// line of up to 8,000 bytes.
    pub fn sign(&self, seen: &Seen<'_>, comment: &str) -> Result<String, SignatureError> {
        if comment.len() > 8000 || comment.contains(['\n', '\r', '\0']) {
            return Err(SignatureError::malformed(
                "its comment is not one line of up to 8,000 bytes",
            ));
        }
        let digest = seen.digest(Algorithm::Blake2b512)?;
        let signature = self.key.sign_message(Scheme::Ed25519, digest.as_bytes())?;
        let global = self
            .key
            .sign_message(Scheme::Ed25519, &commented(&signature, comment))?;
        let content = [&PREHASHED[..], &self.number.0, &signature].concat();
        Ok(format!(
            "{UNTRUSTED}signature from minisign secret key\n{}\n{TRUSTED}{comment}\n{}\n",
            base64::encode(&content),
            base64::encode(&global)
        ))
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "minisign::SecretKey({})", self.id())
    }
}

/// The checksum of a number and a key pair.
fn checksum_of(named: &[u8]) -> blake2b_simd::Hash {
    blake2b_simd::Params::new()
        .hash_length(32)
        .to_state()
        .update(&LEGACY)
        .update(named)
        .finalize()
}

/// Hides what is plain, and shows what is hidden.
fn hide(
    hidden: &mut [u8],
    passphrase: &[u8],
    salt: &[u8],
    work: u64,
    memory: u64,
) -> Result<(), KeyError> {
    let parameters = parameters(work, memory).ok_or(KeyError::Encryption {
        reason: "its scrypt asks for more memory or work than minisign's",
    })?;
    if !room(memory) {
        return Err(KeyError::Encryption {
            reason: "its scrypt asks for more memory than is free",
        });
    }
    let mut stream = Zeroizing::new([0; HIDDEN]);
    scrypt::scrypt(passphrase, salt, &parameters, &mut *stream).map_err(|_| {
        KeyError::Encryption {
            reason: "scrypt refuses it",
        }
    })?;
    for (byte, mask) in hidden.iter_mut().zip(stream.iter()) {
        *byte ^= mask;
    }
    Ok(())
}

/// What libsodium's limits mean as parameters of scrypt; `None` past what minisign writes.
fn parameters(work: u64, memory: u64) -> Option<scrypt::Params> {
    const R: u64 = 8;
    if work > WORK || memory > MEMORY {
        return None;
    }
    let work = work.max(32_768);
    // The largest power of two up to half of the limit, and at least 2.
    let power = |limit: u64| (limit / 2).checked_ilog2().map_or(1, |log| log + 1).max(1);
    let (log_n, p) = if work < memory / 32 {
        (power(work / (R * 4)), 1)
    } else {
        let log_n = power(memory / (R * 128));
        (log_n, ((work / 4) >> log_n) / R)
    };
    scrypt::Params::new(
        u8::try_from(log_n).ok()?,
        u32::try_from(R).ok()?,
        u32::try_from(p).ok()?,
    )
    .ok()
}

/// Eight bytes, the least significant first.
fn number(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .rev()
        .fold(0, |number, &byte| number << 8 | u64::from(byte))
}

fn fill(bytes: &mut [u8]) -> Result<(), KeyError> {
    SystemRandom::new()
        .fill(bytes)
        .map_err(|_| KeyError::Generation {
            kind: Kind::Ed25519,
        })
}
