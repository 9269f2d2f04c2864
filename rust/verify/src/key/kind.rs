//! Kinds of keys, and the schemes that they sign with.

use std::fmt;

use crate::Algorithm;

/// What a key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// ECDSA on the curve P-256.
    P256,
    /// ECDSA on the curve P-384.
    P384,
    /// ECDSA on the curve P-521.
    P521,
    /// Ed25519.
    Ed25519,
    /// RSA.
    Rsa {
        /// Length of the modulus, from 2048 to 8192.
        bits: usize,
    },
}

impl Kind {
    /// The hash that signatures by such a key are over where none is named, since a signature
    /// doesn't say: the one as strong as the curve, SHA-256 for RSA. `None` for Ed25519, which signs
    /// the bytes themselves.
    pub const fn hash(self) -> Option<Algorithm> {
        match self {
            Self::P256 | Self::Rsa { .. } => Some(Algorithm::Sha256),
            Self::P384 => Some(Algorithm::Sha384),
            Self::P521 => Some(Algorithm::Sha512),
            Self::Ed25519 => None,
        }
    }

    /// Whether such a key signs with `scheme`.
    pub const fn signs_with(self, scheme: Scheme) -> bool {
        matches!(
            (self, scheme),
            (Self::P256 | Self::P384 | Self::P521, Scheme::Ecdsa)
                | (Self::Ed25519, Scheme::Ed25519)
                | (Self::Rsa { .. }, Scheme::RsaPkcs1 | Scheme::RsaPss)
        )
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::P256 => f.write_str("P-256"),
            Self::P384 => f.write_str("P-384"),
            Self::P521 => f.write_str("P-521"),
            Self::Ed25519 => f.write_str("Ed25519"),
            Self::Rsa { bits } => write!(f, "RSA-{bits}"),
        }
    }
}

/// How a signature is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// ECDSA (FIPS 186-5) over a digest; the signature is the DER of r and s.
    ///
    /// Of the two valid values of s either is accepted: no standard asks for the lower one, and
    /// OpenSSL writes both. So a stranger can turn a signature into another valid one of the same
    /// bytes: a signature's bytes name nothing, the digest and the key do.
    Ecdsa,
    /// Ed25519 (RFC 8032) over the bytes themselves, neither Ed25519ph nor Ed25519ctx.
    Ed25519,
    /// RSASSA-PKCS1-v1_5 (RFC 8017) over a digest.
    RsaPkcs1,
    /// RSASSA-PSS (RFC 8017) over a digest, with a salt of any length, and MGF1 with the same hash.
    RsaPss,
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ecdsa => "ECDSA",
            Self::Ed25519 => "Ed25519",
            Self::RsaPkcs1 => "RSASSA-PKCS1-v1_5",
            Self::RsaPss => "RSASSA-PSS",
        })
    }
}
