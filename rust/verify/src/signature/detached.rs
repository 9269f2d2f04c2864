//! Signatures that are only a signature: what `openssl dgst -sign` and `openssl pkeyutl` write.
//!
//! Such a file says neither by whom it is, nor over which hash: the trusted key says the one, the
//! caller or the [rule](Kind::hash) the other. Nothing in the file chooses how it is verified.

use der::{Decode, Reader, SliceReader, asn1::UintRef};

use super::{Evidence, Need, Seen, SignatureError, base64};
use crate::{
    Algorithm, PrivateKey, PublicKey,
    key::{Kind, Scheme},
};

/// Bytes of an Ed25519 signature.
const ED25519: usize = 64;

/// A signature with the key that is to have made it.
#[derive(Debug, Clone)]
pub(super) struct Detached {
    key: PublicKey,
    need: Need,
    bytes: Vec<u8>,
}

impl Detached {
    pub(super) fn read(
        key: &PublicKey,
        file: &[u8],
        hash: Option<Algorithm>,
    ) -> Result<Self, SignatureError> {
        let kind = key.kind();
        let need = need(kind, hash)?;
        let bytes = match kind {
            // The DER of a sequence begins with the byte 0x30, its base64 with an M.
            Kind::P256 | Kind::P384 | Kind::P521 if file.first() == Some(&0x30) => file.to_vec(),
            Kind::P256 | Kind::P384 | Kind::P521 => base64::decode(file)?,
            Kind::Ed25519 => of_length(kind, file, ED25519)?,
            Kind::Rsa { bits } => of_length(kind, file, bits.div_ceil(8))?,
        };
        if let Kind::P256 | Kind::P384 | Kind::P521 = kind {
            numbers(&bytes).map_err(|error| {
                SignatureError::malformed(format!("it is not the DER of two numbers: {error}"))
            })?;
        }
        Ok(Self {
            key: key.clone(),
            need,
            bytes,
        })
    }

    pub(super) const fn need(&self) -> Need {
        self.need
    }

    pub(super) fn verify(&self, seen: &Seen<'_>) -> Result<Evidence, SignatureError> {
        let kind = self.key.kind();
        let (digest, scheme) = match self.need {
            Need::Whole => {
                let (digest, whole) = seen.whole()?;
                self.key
                    .verify_message(Scheme::Ed25519, whole, &self.bytes)?;
                (digest, Scheme::Ed25519)
            }
            Need::Digest(algorithm) => {
                let digest = seen.digest(algorithm)?;
                let verify = |scheme| self.key.verify_digest(scheme, &digest, &self.bytes);
                let scheme = if let Kind::Rsa { .. } = kind {
                    // The padding isn't in the file either. What is signed with the one is never
                    // signed with the other: the one begins with 00 01, the other ends with bc, and
                    // both pad the same digest.
                    match verify(Scheme::RsaPkcs1) {
                        Ok(()) => Scheme::RsaPkcs1,
                        Err(_) => verify(Scheme::RsaPss).map(|()| Scheme::RsaPss)?,
                    }
                } else {
                    verify(Scheme::Ecdsa).map(|()| Scheme::Ecdsa)?
                };
                (digest, scheme)
            }
        };
        let how = match scheme {
            Scheme::Ecdsa => format!("{scheme} on {kind} over {}", self.need),
            Scheme::Ed25519 => format!("{scheme} over {}", self.need),
            Scheme::RsaPkcs1 | Scheme::RsaPss => format!("{scheme} of {kind} over {}", self.need),
        };
        Ok(Evidence {
            key: self.key.id(),
            digest,
            how,
            signed_at: None,
            comment: None,
            rule: "detached signature by the given key",
        })
    }
}

/// Signs what was seen of a file. Returns the bytes of the signature, which are the file to write.
///
/// # Errors
/// [`SignatureError`]: `hash`, `scheme`, `incomplete`, `unsigned`.
pub fn sign(
    key: &PrivateKey,
    scheme: Scheme,
    hash: Option<Algorithm>,
    seen: &Seen<'_>,
) -> Result<Vec<u8>, SignatureError> {
    match need(key.public().kind(), hash)? {
        Need::Whole => key.sign_message(scheme, seen.whole()?.1),
        Need::Digest(algorithm) => key.sign_digest(scheme, &seen.digest(algorithm)?),
    }
}

/// What a signature by a key of this kind is over: the hash that is named, or the
/// [rule's](Kind::hash).
///
/// # Errors
/// [`SignatureError::Hash`] where such a key signs no such digest.
pub fn need(kind: Kind, hash: Option<Algorithm>) -> Result<Need, SignatureError> {
    match (kind.hash(), hash) {
        (None, None) => Ok(Need::Whole),
        (Some(by_rule), None) => Ok(Need::Digest(by_rule)),
        (Some(_), Some(named)) if Algorithm::SHA2.contains(&named) => Ok(Need::Digest(named)),
        (_, Some(hash)) => Err(SignatureError::Hash { kind, hash }),
    }
}

/// The signature in a file, whose bytes are as many, raw or in base64, which are never as many.
fn of_length(kind: Kind, file: &[u8], length: usize) -> Result<Vec<u8>, SignatureError> {
    if file.len() == length {
        return Ok(file.to_vec());
    }
    let bytes = base64::decode(file).unwrap_or_default();
    if bytes.len() == length {
        return Ok(bytes);
    }
    Err(SignatureError::malformed(format!(
        "by a key of {kind} it has {length} bytes, or their base64"
    )))
}

/// Nothing but a sequence of r and s, in DER.
fn numbers(der: &[u8]) -> Result<(), der::Error> {
    let mut reader = SliceReader::new(der)?;
    reader.sequence(|inner| {
        UintRef::decode(inner)?;
        UintRef::decode(inner)?;
        Ok::<_, der::Error>(())
    })?;
    reader.finish()
}

impl<'a> Seen<'a> {
    pub(super) fn digest(&self, algorithm: Algorithm) -> Result<crate::Digest, SignatureError> {
        self.digests
            .iter()
            .find(|digest| digest.algorithm() == algorithm)
            .copied()
            .ok_or_else(|| SignatureError::Incomplete {
                missing: algorithm.to_string(),
            })
    }

    pub(super) fn whole(&self) -> Result<(crate::Digest, &'a [u8]), SignatureError> {
        match (self.digests.first(), self.whole) {
            (Some(digest), Some(whole)) => Ok((*digest, whole)),
            _ => Err(SignatureError::Incomplete {
                missing: Need::Whole.to_string(),
            }),
        }
    }
}
