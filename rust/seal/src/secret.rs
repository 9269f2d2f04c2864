//! Key material: the one type that holds it.

use std::fmt;

use ring::rand::{SecureRandom, SystemRandom};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::SealError;

/// Bytes of every key: AES-256.
pub(crate) const KEY_LENGTH: usize = 32;

/// A data key or a wrapping key. It lies in one place on the heap until it is dropped, which wipes
/// it, and is printed as nothing but its kind.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Secret(Box<[u8; KEY_LENGTH]>);

impl Secret {
    /// A new key of the system's random numbers.
    pub(crate) fn random(random: &SystemRandom) -> Result<Self, SealError> {
        Self::filled(|bytes| random.fill(bytes).map_err(|_| SealError::Random))
    }

    /// A key that `fill` writes in its place; nothing else is left of it. A key that `fill` fails
    /// to write is wiped.
    ///
    /// # Errors
    /// What `fill` answers.
    pub fn filled<E>(fill: impl FnOnce(&mut [u8; KEY_LENGTH]) -> Result<(), E>) -> Result<Self, E> {
        let mut secret = Self(Box::new([0; KEY_LENGTH]));
        fill(&mut secret.0)?;
        Ok(secret)
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
    pub fn expose(&self) -> &[u8; KEY_LENGTH] {
        &self.0
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
