//! Key material: the one type that holds it, and the arena that it lives in.

use std::{fmt, ops::Deref};

use ring::rand::{SecureRandom, SystemRandom};
use strongroom_memory::{
    Arena, ArenaError, SecretKey,
    arena::{Backing, Fallback, Options},
    wiped_stack,
};

use crate::SealError;

/// Most bytes of all keys together, with their schedules: some thousand keys.
const MOST_KEYS: usize = 4 << 20;

/// The arena of this process's keys: memory that the kernel itself can't read, where it has such.
///
/// # Errors
/// [`SealError`]: `memory.*`, `arena.*`.
pub(crate) fn arena() -> Result<Arena, SealError> {
    Ok(Arena::shared(Options {
        max_bytes: MOST_KEYS,
        max_age: None,
        backing: Backing::Secret,
        fallback: Fallback::Report,
    })?)
}

/// What holds the pages of keys on this machine, as far as its limit on locked memory goes.
///
/// # Errors
/// [`SealError`]: `memory.*`, `arena.*`.
pub fn key_backing() -> Result<Backing, SealError> {
    Ok(Secret::filled(|_| Ok::<_, SealError>(()))?.0.backing())
}

/// Bytes of every key: AES-256.
pub(crate) const KEY_LENGTH: usize = 32;

/// A data key or a wrapping key. It lies in one place, in memory that is guarded and wiped, until it
/// is dropped, and is printed as nothing but its kind.
pub struct Secret(SecretKey);

impl Secret {
    /// A new key of the system's random numbers.
    pub(crate) fn random(random: &SystemRandom) -> Result<Self, SealError> {
        Self::filled(|bytes| random.fill(bytes).map_err(|_| SealError::Random))
    }

    /// A key that `fill` writes in its place, on a stack that is wiped; nothing else is left of it. A
    /// key that `fill` fails to write is wiped.
    ///
    /// # Errors
    /// What `fill` answers; [`SealError`]: `memory.*`, `arena.*`.
    pub fn filled<E: From<SealError>>(
        fill: impl FnOnce(&mut [u8; KEY_LENGTH]) -> Result<(), E>,
    ) -> Result<Self, E> {
        SecretKey::new(&arena()?, "key", |bytes| {
            wiped_stack(|| fill(bytes).map_err(Filling::Own))
                .map_err(Filling::Arena)
                .flatten()
        })
        .map(Self)
        .map_err(|failed| match failed {
            Filling::Own(error) => error,
            Filling::Arena(error) => SealError::from(error).into(),
        })
    }

    /// A key from 64 hexadecimal digits in either case, as an environment variable has it; `what`
    /// names where they come from. The caller wipes the digits.
    ///
    /// # Errors
    /// [`SealError::KeyMalformed`].
    pub fn from_hex(digits: &[u8], what: &str) -> Result<Self, SealError> {
        let malformed = |reason| SealError::KeyMalformed {
            what: what.to_owned(),
            reason,
        };
        if digits.len() != 2 * KEY_LENGTH {
            return Err(malformed("it doesn't have 64 hexadecimal digits"));
        }
        Self::filled(|bytes| {
            for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
                let (Some(high), Some(low)) = (nibble(pair[0]), nibble(pair[1])) else {
                    return Err(malformed("not every digit of it is hexadecimal"));
                };
                *byte = high << 4 | low;
            }
            Ok(())
        })
    }

    /// The bytes, for the cipher, the key derivation, and a service that wraps them.
    /// Whoever copies them answers for the copy.
    ///
    /// # Errors
    /// [`SealError`]: `arena.forked` in a forked child.
    pub fn expose(&self) -> Result<impl Deref<Target = [u8]>, SealError> {
        Ok(self.0.expose()?)
    }
}

/// Why a key wasn't written.
enum Filling<E> {
    Own(E),
    Arena(ArenaError),
}

impl<E> From<ArenaError> for Filling<E> {
    fn from(error: ArenaError) -> Self {
        Self::Arena(error)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// The value of a hexadecimal digit, computed without a branch on which digit it is.
fn nibble(digit: u8) -> Option<u8> {
    let in_range = |low: u8, high: u8| u8::from(digit.wrapping_sub(low) <= high - low);
    let decimal = in_range(b'0', b'9');
    let letter = in_range(b'a', b'f') | in_range(b'A', b'F');
    let value = decimal * digit.wrapping_sub(b'0')
        + letter * (digit | 0x20).wrapping_sub(b'a').wrapping_add(10);
    (decimal | letter == 1).then_some(value)
}
