//! A keyring whose key is derived from a passphrase.
//!
//! What a message carries is an ordinary raw AES keyring's data key, whose name is the PHC string
//! of the derivation: whoever has the passphrase derives the key with any Argon2id (RFC 9106), and
//! opens the message with any implementation of the format.

use std::fmt;

use argon2::{Algorithm, Argon2, Block, Params, Version};
use base64ct::{Base64Unpadded, Encoding};
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::{Zeroize, Zeroizing};

use crate::{
    EncryptedDataKey, EncryptionContext, KeyId, Keyring, RawKeyring, SealError, Secret, raw,
    secret::{KEY_LENGTH, arena},
};

/// The namespace of keys that are derived from passphrases.
pub const PASSPHRASE_NAMESPACE: &str = "strongroom-passphrase";

const SALT_LENGTH: usize = 16;
/// Bytes of a salt that is read.
const SALT_LENGTHS: std::ops::RangeInclusive<usize> = 8..=64;
/// What all derivations for one message may cost together, in KiB that are filled: some seconds. Whoever can
/// change a file decides what opening it asks for.
const MOST_WORK: u64 = Cost::MAX_MEMORY as u64 * 4;

/// What a guess at a passphrase costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    memory: u32,
    passes: u32,
    lanes: u32,
}

impl Cost {
    /// Least memory, in KiB.
    pub const MIN_MEMORY: u32 = 8 << 10;
    /// Most memory, in KiB.
    pub const MAX_MEMORY: u32 = 1 << 20;
    /// Most passes over it.
    pub const MAX_PASSES: u32 = 16;
    /// Most lanes.
    pub const MAX_LANES: u32 = 16;

    /// A cost of `memory` KiB, filled `passes` times in `lanes` lanes. The lanes are computed one
    /// after the other.
    ///
    /// # Errors
    /// [`SealError::Cost`] outside 8 MiB to 1 GiB, 1 to 16 passes, 1 to 16 lanes, and where memory times passes
    /// is more than 4 GiB.
    pub fn new(memory: u32, passes: u32, lanes: u32) -> Result<Self, SealError> {
        let refused = |reason: String| Err(SealError::Cost { reason });
        if !(Self::MIN_MEMORY..=Self::MAX_MEMORY).contains(&memory) {
            return refused(format!("it takes {memory} KiB of memory"));
        }
        if !(1..=Self::MAX_PASSES).contains(&passes) {
            return refused(format!("it takes {passes} passes"));
        }
        if !(1..=Self::MAX_LANES).contains(&lanes) {
            return refused(format!("it has {lanes} lanes"));
        }
        if u64::from(memory) * u64::from(passes) > MOST_WORK {
            return refused(format!("it fills {memory} KiB of memory {passes} times"));
        }
        Ok(Self {
            memory,
            passes,
            lanes,
        })
    }
}

impl Default for Cost {
    /// RFC 9106's second recommendation with one lane: 64 MiB, 3 passes.
    fn default() -> Self {
        Self {
            memory: 64 << 10,
            passes: 3,
            lanes: 1,
        }
    }
}

/// The parameters of one derivation, written `$argon2id$v=19$m=65536,t=3,p=1$salt`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Derivation {
    cost: Cost,
    salt: Vec<u8>,
}

impl fmt::Display for Derivation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Cost {
            memory,
            passes,
            lanes,
        } = self.cost;
        let salt = Base64Unpadded::encode_string(&self.salt);
        write!(f, "$argon2id$v=19$m={memory},t={passes},p={lanes}${salt}")
    }
}

impl Derivation {
    fn new(cost: Cost) -> Result<Self, SealError> {
        let mut salt = vec![0; SALT_LENGTH];
        SystemRandom::new()
            .fill(&mut salt)
            .map_err(|_| SealError::Random)?;
        Ok(Self { cost, salt })
    }

    /// Reads what `Display` writes, and no other way to write it.
    fn parse(text: &str) -> Result<Self, SealError> {
        let refused = || SealError::Cost {
            reason: "the file doesn't describe it as a PHC string of Argon2id, version 19"
                .to_owned(),
        };
        let rest = text.strip_prefix("$argon2id$v=19$m=").ok_or_else(refused)?;
        let (numbers, salt) = rest.split_once('$').ok_or_else(refused)?;
        let (memory, rest) = numbers.split_once(",t=").ok_or_else(refused)?;
        let (passes, lanes) = rest.split_once(",p=").ok_or_else(refused)?;
        let number = |digits: &str| digits.parse::<u32>().map_err(|_| refused());
        let cost = Cost::new(number(memory)?, number(passes)?, number(lanes)?)?;
        let salt = Base64Unpadded::decode_vec(salt).map_err(|_| refused())?;
        let read = Self { cost, salt };
        if !SALT_LENGTHS.contains(&read.salt.len()) || read.to_string() != text {
            return Err(refused());
        }
        Ok(read)
    }

    fn work(&self) -> u64 {
        u64::from(self.cost.memory) * u64::from(self.cost.passes)
    }

    /// Argon2id, in memory that is wiped.
    fn derive(&self, passphrase: &[u8]) -> Result<Secret, SealError> {
        let Cost {
            memory,
            passes,
            lanes,
        } = self.cost;
        let params = Params::new(memory, passes, lanes, Some(KEY_LENGTH))
            .expect("a cost inside the algorithm's limits");
        let mut blocks = Blocks::new(params.block_count())?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        Secret::filled(|key| {
            argon2
                .hash_password_into_with_memory(passphrase, &self.salt, key, &mut blocks.0[..])
                .map_err(|_| SealError::Passphrase {
                    reason: "it is too long",
                })
        })
    }
}

/// Argon2's memory.
struct Blocks(Vec<Block>);

impl Blocks {
    fn new(count: usize) -> Result<Self, SealError> {
        let mut blocks = Vec::new();
        blocks
            .try_reserve_exact(count)
            .map_err(|_| SealError::NoMemory {
                what: "deriving a key from the passphrase",
            })?;
        blocks.resize(count, Block::default());
        Ok(Self(blocks))
    }
}

impl Drop for Blocks {
    fn drop(&mut self) {
        self.0.iter_mut().for_each(Zeroize::zeroize);
    }
}

/// A passphrase. Each message that it seals has a salt, and so a key, of its own.
pub struct PassphraseKeyring {
    passphrase: strongroom_memory::Secret,
    cost: Cost,
}

impl fmt::Debug for PassphraseKeyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PassphraseKeyring")
            .field("cost", &self.cost)
            .finish_non_exhaustive()
    }
}

impl PassphraseKeyring {
    /// The keyring of `passphrase`, in UTF-8; `cost` counts for what is sealed: what is opened says
    /// what it cost.
    ///
    /// # Errors
    /// [`SealError::Passphrase`] where it is empty.
    pub fn new(mut passphrase: Zeroizing<Vec<u8>>, cost: Cost) -> Result<Self, SealError> {
        if passphrase.is_empty() {
            return Err(SealError::Passphrase {
                reason: "it is empty",
            });
        }
        let passphrase = strongroom_memory::Secret::take(&arena()?, &mut passphrase, "passphrase")?;
        Ok(Self { passphrase, cost })
    }

    fn keyring(&self, derivation: &Derivation) -> Result<RawKeyring, SealError> {
        let key = derivation.derive(&self.passphrase.expose()?)?;
        RawKeyring::of(
            PASSPHRASE_NAMESPACE.to_owned(),
            derivation.to_string(),
            &key,
        )
    }
}

impl Keyring for PassphraseKeyring {
    fn id(&self) -> KeyId {
        KeyId::new(PASSPHRASE_NAMESPACE, "…")
    }

    fn wrap(
        &self,
        data_key: &Secret,
        context: &EncryptionContext,
    ) -> Result<EncryptedDataKey, SealError> {
        self.keyring(&Derivation::new(self.cost)?)?
            .wrap(data_key, context)
    }

    /// Also [`SealError::Cost`], before any work is done, where one of the derivations that the file
    /// asks for is none, or where they cost too much together.
    fn unwrap(
        &self,
        keys: &[EncryptedDataKey],
        context: &EncryptionContext,
    ) -> Result<Option<Secret>, SealError> {
        let mut derivations: Vec<Derivation> = Vec::new();
        let mut work = 0;
        for key in keys
            .iter()
            .filter(|key| key.provider() == PASSPHRASE_NAMESPACE)
        {
            let name = raw::name_of(key.info()).and_then(|name| str::from_utf8(name).ok());
            let derivation = Derivation::parse(name.unwrap_or_default())?;
            if !derivations.contains(&derivation) {
                work += derivation.work();
                derivations.push(derivation);
            }
        }
        if work > MOST_WORK {
            return Err(SealError::Cost {
                reason: format!("the file asks for {} of them", derivations.len()),
            });
        }
        let mut refused = None;
        for derivation in &derivations {
            match self.keyring(derivation)?.unwrap(keys, context) {
                Err(SealError::Authentication) => refused = Some(SealError::Authentication),
                other => return other,
            }
        }
        refused.map_or(Ok(None), Err)
    }
}
