//! Why a key is refused.

use super::Kind;

/// Every code of [`KeyError`].
pub const CODES: &[&str] = &[
    "key.certificate",
    "key.compressed_point",
    "key.encrypted",
    "key.encryption",
    "key.explicit_parameters",
    "key.generation",
    "key.inconsistent",
    "key.malformed",
    "key.not_encrypted",
    "key.passphrase",
    "key.point",
    "key.private",
    "key.public",
    "key.rsa_exponent",
    "key.rsa_too_large",
    "key.rsa_too_small",
    "key.several",
    "key.too_long",
    "key.trailing",
    "key.unknown_algorithm",
    "key.unknown_curve",
];

/// A key that can't be read, or is not to be used. It never says a byte of a private one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// A certificate in place of a key.
    #[error("it holds a certificate where a key belongs")]
    Certificate,
    /// A point of which one coordinate is to be computed: another encoding, so another id.
    #[error("the key's point is compressed")]
    CompressedPoint,
    /// A passphrase is needed.
    #[error("the private key is encrypted, and no passphrase was given")]
    Encrypted,
    /// An encryption that can't be undone here.
    #[error("the private key's encryption can't be undone: {reason}")]
    Encryption {
        /// Why.
        reason: &'static str,
    },
    /// The curve is spelt out instead of named; it may be any curve.
    #[error("the key spells its curve out instead of naming it")]
    ExplicitParameters,
    /// The system gave no random numbers.
    #[error("no {kind} key could be generated")]
    Generation {
        /// Of which kind.
        kind: Kind,
    },
    /// The parts of a private key don't belong together.
    #[error("the parts of the private key don't belong together")]
    Inconsistent,
    /// Not what it says it is.
    #[error("the key is malformed: {reason}")]
    Malformed {
        /// What is wrong.
        reason: String,
    },
    /// A passphrase for nothing.
    #[error("a passphrase was given, but the private key isn't encrypted")]
    NotEncrypted,
    /// It decrypts to nonsense.
    #[error("the passphrase is not the private key's")]
    Passphrase,
    /// Off the curve, at infinity, or of an order so small that anybody could sign.
    #[error("the key is no point of {kind} that signatures could be verified with")]
    Point {
        /// The curve.
        kind: Kind,
    },
    /// A private key in place of a public one.
    #[error("it holds a private key where a public one belongs")]
    Private,
    /// A public key in place of a private one.
    #[error("it holds a public key where a private one belongs")]
    Public,
    /// An even exponent, 1, or one longer than 33 bits.
    #[error("the public exponent of the RSA key is even, 1, or longer than 33 bits")]
    RsaExponent,
    /// Longer than 8192 bits.
    #[error("the RSA key has {bits} bits, more than 8192")]
    RsaTooLarge {
        /// How many.
        bits: usize,
    },
    /// Shorter than 2048 bits.
    #[error("the RSA key has {bits} bits, fewer than 2048")]
    RsaTooSmall {
        /// How many.
        bits: usize,
    },
    /// More than one PEM block.
    #[error("it holds {count} PEM blocks, not one")]
    Several {
        /// How many.
        count: usize,
    },
    /// Longer than any key.
    #[error("it has more than {limit} bytes, which no key needs")]
    TooLong {
        /// What is read at most.
        limit: usize,
    },
    /// Text around the PEM block, or bytes behind the key in it.
    #[error("something stands beside the key: {what}")]
    Trailing {
        /// Where.
        what: &'static str,
    },
    /// No algorithm that is verified here.
    #[error("the key's algorithm {oid} is none of ECDSA, Ed25519 and RSA")]
    UnknownAlgorithm {
        /// Its object identifier.
        oid: String,
    },
    /// No curve that is verified here.
    #[error("the key's curve {oid} is none of P-256, P-384 and P-521")]
    UnknownCurve {
        /// Its object identifier.
        oid: String,
    },
}

impl KeyError {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Certificate => "key.certificate",
            Self::CompressedPoint => "key.compressed_point",
            Self::Encrypted => "key.encrypted",
            Self::Encryption { .. } => "key.encryption",
            Self::ExplicitParameters => "key.explicit_parameters",
            Self::Generation { .. } => "key.generation",
            Self::Inconsistent => "key.inconsistent",
            Self::Malformed { .. } => "key.malformed",
            Self::NotEncrypted => "key.not_encrypted",
            Self::Passphrase => "key.passphrase",
            Self::Point { .. } => "key.point",
            Self::Private => "key.private",
            Self::Public => "key.public",
            Self::RsaExponent => "key.rsa_exponent",
            Self::RsaTooLarge { .. } => "key.rsa_too_large",
            Self::RsaTooSmall { .. } => "key.rsa_too_small",
            Self::Several { .. } => "key.several",
            Self::TooLong { .. } => "key.too_long",
            Self::Trailing { .. } => "key.trailing",
            Self::UnknownAlgorithm { .. } => "key.unknown_algorithm",
            Self::UnknownCurve { .. } => "key.unknown_curve",
        }
    }

    /// What the caller can do about it.
    pub const fn next_step(&self) -> &'static str {
        match self {
            Self::Certificate => {
                "take the key out of it: openssl x509 -in FILE -noout -pubkey; a certificate proves \
                 something only with its chain"
            }
            Self::CompressedPoint => {
                "write it out: openssl pkey -pubin -in FILE -ec_conv_form uncompressed -pubout"
            }
            Self::Encrypted | Self::Passphrase => "give the passphrase that it was encrypted with",
            Self::Encryption { .. } => {
                "encrypt it again: openssl pkcs8 -topk8 -in FILE, which takes PBES2 with AES"
            }
            Self::ExplicitParameters => {
                "name the curve: openssl pkey -pubin -in FILE -ec_param_enc named_curve -pubout"
            }
            Self::Generation { .. } => "try again; the system's random numbers failed",
            Self::Inconsistent | Self::Point { .. } => {
                "the key is broken: get it again from whoever made it"
            }
            Self::Malformed { .. } | Self::TooLong { .. } => {
                "give one PEM block, PUBLIC KEY to verify and PRIVATE KEY to sign, as openssl pkey \
                 writes them, or a key of minisign"
            }
            Self::NotEncrypted => "leave the passphrase out, or give the encrypted key",
            Self::Private => {
                "give the public key, and keep this one secret: strongroom sign and openssl pkey \
                 -pubout derive it"
            }
            Self::Public => "give the private key that belongs to it",
            Self::RsaExponent => "use a key with the usual exponent, 65537",
            Self::RsaTooLarge { .. } | Self::RsaTooSmall { .. } => {
                "use a key of 2048 to 8192 bits; 3072 is usual"
            }
            Self::Several { .. } | Self::Trailing { .. } => {
                "leave exactly the one PEM block in the file that is meant"
            }
            Self::UnknownAlgorithm { .. } | Self::UnknownCurve { .. } => {
                "use a key of ECDSA on P-256, P-384 or P-521, of Ed25519, or of RSA (not RSASSA-PSS)"
            }
        }
    }

    pub(crate) fn malformed(reason: impl Into<String>) -> Self {
        Self::Malformed {
            reason: reason.into(),
        }
    }
}
