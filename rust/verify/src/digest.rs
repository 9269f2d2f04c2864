//! A digest as a value: its algorithm and its bytes, written `sha256:` and hexadecimal digits.

use std::{fmt, str::FromStr};

use crate::{VerifyError, equal};

/// Longest digest of any [`Algorithm`], in bytes.
const LONGEST: usize = 64;

/// A hash function: of FIPS 180-4, or one that signatures and manifests use besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
    /// `BLAKE2b` with 64 bytes (RFC 7693).
    Blake2b512,
    /// BLAKE3 with 32 bytes.
    Blake3,
}

impl Algorithm {
    /// Every algorithm.
    pub const ALL: [Self; 5] = [
        Self::Sha256,
        Self::Sha384,
        Self::Sha512,
        Self::Blake2b512,
        Self::Blake3,
    ];

    /// Those that a checksum may be written in, and that ECDSA and RSA signatures are made over.
    pub const SHA2: [Self; 3] = [Self::Sha256, Self::Sha384, Self::Sha512];

    /// The one of [`SHA2`](Self::SHA2) with this name.
    pub fn sha2(name: &str) -> Option<Self> {
        Self::SHA2
            .into_iter()
            .find(|algorithm| algorithm.as_str() == name)
    }

    /// The word before the colon.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
            Self::Blake2b512 => "blake2b",
            Self::Blake3 => "blake3",
        }
    }

    /// Length of a digest, in bytes.
    pub const fn digest_length(self) -> usize {
        match self {
            Self::Sha256 | Self::Blake3 => 32,
            Self::Sha384 => 48,
            Self::Sha512 | Self::Blake2b512 => 64,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A digest. It is compared with [`verify`](Self::verify) alone: there is deliberately no `==` that
/// answers a bool which could go unread.
#[derive(Clone, Copy)]
pub struct Digest {
    algorithm: Algorithm,
    // The digest, then zeros.
    bytes: [u8; LONGEST],
}

impl Digest {
    /// A digest from its bytes.
    ///
    /// # Errors
    /// [`VerifyError::Malformed`] where there are too few or too many.
    pub fn from_bytes(algorithm: Algorithm, digest: &[u8]) -> Result<Self, VerifyError> {
        if digest.len() != algorithm.digest_length() {
            return Err(VerifyError::Malformed {
                reason: format!(
                    "{algorithm} has {} bytes, not {}",
                    algorithm.digest_length(),
                    digest.len()
                ),
            });
        }
        Ok(Self::padded(algorithm, digest))
    }

    /// A digest whose length is known to be right.
    pub(crate) fn padded(algorithm: Algorithm, digest: &[u8]) -> Self {
        let mut bytes = [0; LONGEST];
        for (to, from) in bytes.iter_mut().zip(digest) {
            *to = *from;
        }
        Self { algorithm, bytes }
    }

    /// Which hash function made it.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The digest.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.algorithm.digest_length()]
    }

    /// Holds `found` to this expectation, in a time that doesn't depend on the digests' bytes.
    ///
    /// # Errors
    /// [`VerifyError::Mismatch`] where the algorithms or the bytes differ.
    pub fn verify(&self, found: &Self) -> Result<(), VerifyError> {
        // Which algorithms are compared is no secret.
        if self.algorithm == found.algorithm && equal(&self.bytes, &found.bytes) {
            return Ok(());
        }
        Err(VerifyError::Mismatch {
            expected: Box::new(*self),
            found: Box::new(*found),
        })
    }
}

// For tests and error values; in constant time all the same.
impl PartialEq for Digest {
    fn eq(&self, other: &Self) -> bool {
        self.verify(other).is_ok()
    }
}

impl Eq for Digest {}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.algorithm)?;
        self.as_bytes()
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = VerifyError;

    /// Reads `sha256:`, `sha384:` or `sha512:` in lower case and hexadecimal digits in either: no
    /// checksum is written in another algorithm.
    fn from_str(text: &str) -> Result<Self, VerifyError> {
        let malformed = |reason: String| VerifyError::Malformed { reason };
        let (name, digits) = text
            .split_once(':')
            .ok_or_else(|| malformed("it has no colon after the algorithm".to_owned()))?;
        let algorithm = Algorithm::sha2(name).ok_or_else(|| VerifyError::UnknownAlgorithm {
            name: name.chars().take(16).collect(),
        })?;
        let expected = 2 * algorithm.digest_length();
        if let Some(position) = digits.bytes().position(|byte| !byte.is_ascii_hexdigit()) {
            return Err(malformed(format!(
                "digit {} is not hexadecimal",
                position + 1
            )));
        }
        if digits.len() != expected {
            return Err(malformed(format!(
                "{algorithm} has {expected} hexadecimal digits, not {}",
                digits.len()
            )));
        }
        let mut bytes = [0; LONGEST];
        for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
            *byte = nibble(pair[0]) << 4 | nibble(pair[1]);
        }
        Ok(Self { algorithm, bytes })
    }
}

/// The value of a hexadecimal digit.
const fn nibble(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        // Letters of either case: 'a' and 'A' differ in bit 5 alone.
        _ => (digit | 0x20) - b'a' + 10,
    }
}
