//! Secrets as types: they live in an arena, print as their purpose, and compare in constant time.

use std::fmt;

use rustix::rand::{GetRandomFlags, getrandom};
use strongroom_verify::equal;

use crate::arena::{Arena, ArenaError, Backing, Buffer, Pin, View, wipe};

/// Bytes of any length that are nobody's business. They never expire.
pub struct Secret {
    // Dropped before the buffer, which it keeps from expiring.
    _pin: Pin,
    buffer: Buffer,
}

// A secret without bytes can't be had.
#[allow(clippy::len_without_is_empty)]
impl Secret {
    /// A secret that `fill` writes, where it is; it finds zeros.
    ///
    /// # Errors
    /// As [`Arena::allocate`], and those of `fill`.
    pub fn new<E: From<ArenaError>>(
        arena: &Arena,
        length: usize,
        purpose: &str,
        fill: impl FnOnce(&mut [u8]) -> Result<(), E>,
    ) -> Result<Self, E> {
        let mut buffer = arena.allocate(length, purpose)?;
        fill(&mut buffer.view_mut()?)?;
        let pin = buffer.pin()?;
        Ok(Self { _pin: pin, buffer })
    }

    /// Random bytes of the kernel.
    ///
    /// # Errors
    /// As [`Arena::allocate`].
    pub fn generate(arena: &Arena, length: usize, purpose: &str) -> Result<Self, ArenaError> {
        Self::new(arena, length, purpose, random)
    }

    /// Moves bytes there; where they were, zeros are left.
    ///
    /// # Errors
    /// As [`Arena::allocate`]. The bytes are wiped then too.
    pub fn take(arena: &Arena, bytes: &mut [u8], purpose: &str) -> Result<Self, ArenaError> {
        let taken = Self::new(arena, bytes.len(), purpose, |room| {
            room.copy_from_slice(bytes);
            Ok(())
        });
        // SAFETY: the slice is borrowed exclusively.
        unsafe { wipe(bytes.as_mut_ptr(), bytes.len()) };
        taken
    }

    /// The bytes: whoever copies them answers for the copy.
    ///
    /// # Errors
    /// [`ArenaError::Forked`] in a forked child, [`ArenaError::Invalid`] while the process exits.
    pub fn expose(&self) -> Result<View<'_>, ArenaError> {
        self.buffer.view()
    }

    /// Whether these are the same bytes, in a time that depends on their lengths alone.
    ///
    /// # Errors
    /// As [`expose`](Self::expose).
    pub fn is(&self, other: &[u8]) -> Result<bool, ArenaError> {
        Ok(equal(&self.expose()?, other))
    }

    /// How many bytes.
    pub fn len(&self) -> usize {
        self.buffer.len()
    }

    /// What it is for.
    pub fn purpose(&self) -> &str {
        self.buffer.purpose()
    }

    /// What holds its pages.
    pub fn backing(&self) -> Backing {
        self.buffer.backing()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({:?}, {} bytes)", self.purpose(), self.len())
    }
}

/// A symmetric key of 256 bits.
pub struct SecretKey(Secret);

impl SecretKey {
    /// Bytes of a key.
    pub const LENGTH: usize = 32;

    /// A key that `fill` writes, where it is; it finds zeros.
    ///
    /// # Errors
    /// As [`Secret::new`].
    pub fn new<E: From<ArenaError>>(
        arena: &Arena,
        purpose: &str,
        fill: impl FnOnce(&mut [u8; Self::LENGTH]) -> Result<(), E>,
    ) -> Result<Self, E> {
        Secret::new(arena, Self::LENGTH, purpose, |room| {
            fill(room.try_into().map_err(|_| WRONG_LENGTH)?)
        })
        .map(Self)
    }

    /// A random key.
    ///
    /// # Errors
    /// As [`Arena::allocate`].
    pub fn generate(arena: &Arena, purpose: &str) -> Result<Self, ArenaError> {
        Secret::generate(arena, Self::LENGTH, purpose).map(Self)
    }

    /// Moves a key there; where it was, zeros are left.
    ///
    /// # Errors
    /// As [`Secret::take`].
    pub fn take(
        arena: &Arena,
        bytes: &mut [u8; Self::LENGTH],
        purpose: &str,
    ) -> Result<Self, ArenaError> {
        Secret::take(arena, bytes, purpose).map(Self)
    }

    /// The bytes: whoever copies them answers for the copy.
    ///
    /// # Errors
    /// As [`Secret::expose`].
    pub fn expose(&self) -> Result<View<'_>, ArenaError> {
        self.0.expose()
    }

    /// Whether it is the same key, in constant time.
    ///
    /// # Errors
    /// As [`Secret::expose`].
    pub fn is(&self, other: &Self) -> Result<bool, ArenaError> {
        self.0.is(&other.expose()?)
    }

    /// What it is for.
    pub fn purpose(&self) -> &str {
        self.0.purpose()
    }

    /// What holds its pages.
    pub fn backing(&self) -> Backing {
        self.0.backing()
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey({:?})", self.purpose())
    }
}

const WRONG_LENGTH: ArenaError = ArenaError::Invalid {
    name: "a key",
    reason: "doesn't have 32 bytes",
};

fn random(mut room: &mut [u8]) -> Result<(), ArenaError> {
    while !room.is_empty() {
        // A signal may cut a long one short.
        let filled = match getrandom(&mut *room, GetRandomFlags::empty()) {
            Err(rustix::io::Errno::INTR) => 0,
            filled => filled.map_err(|error| ArenaError::Refused {
                action: "get random bytes",
                error: error.into(),
            })?,
        };
        room = &mut room[filled..];
    }
    Ok(())
}
