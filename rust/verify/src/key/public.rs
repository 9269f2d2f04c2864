//! Public keys, and what they verify.

use std::fmt;

use aws_lc_rs::signature as aws;
use der::{
    Decode, Encode, Reader, SliceReader, Tag, Tagged,
    asn1::{AnyRef, ObjectIdentifier, UintRef},
};
use pem_rfc7468::LineEnding;
use pkcs8::SubjectPublicKeyInfoRef;

use super::{KeyError, KeyId, Kind, Scheme, pem, pss};
use crate::{Algorithm, Digest, signature::SignatureError};

pub(super) const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
pub(super) const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
pub(super) const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const P521: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");

/// What stands before the 32 bytes of an Ed25519 key in its `SubjectPublicKeyInfo`.
const ED25519_PREFIX: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

/// A public key that is sound and strong enough. It verifies digests and messages; who may sign
/// what is for the caller to say.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    kind: Kind,
    spki: Vec<u8>,
    // The key within: a point, 32 bytes, or an RSAPublicKey.
    bytes: Vec<u8>,
    id: KeyId,
}

impl PublicKey {
    /// Reads a file with exactly one PEM block, `PUBLIC KEY`.
    ///
    /// # Errors
    /// [`KeyError`]: all that are not about private keys.
    pub fn from_pem(file: &[u8]) -> Result<Self, KeyError> {
        let (label, spki) = pem::block(file)?;
        match label {
            "PUBLIC KEY" => Self::from_spki(&spki),
            label if label.ends_with("PRIVATE KEY") => Err(KeyError::Private),
            label if label.ends_with("CERTIFICATE") => Err(KeyError::Certificate),
            _ => Err(KeyError::malformed("its PEM block is no PUBLIC KEY")),
        }
    }

    /// Reads the DER of a `SubjectPublicKeyInfo`, as RFC 5280, 3279, 5480 and 8410 encode it.
    ///
    /// # Errors
    /// [`KeyError`]: `compressed_point`, `explicit_parameters`, `malformed`, `point`, `rsa_…`,
    /// `trailing`, `unknown_…`.
    pub fn from_spki(der: &[u8]) -> Result<Self, KeyError> {
        let info = SubjectPublicKeyInfoRef::from_der(der).map_err(asn1)?;
        // One key, one encoding, one id.
        if info.to_der().ok().as_deref() != Some(der) {
            return Err(KeyError::malformed("its DER is not the shortest"));
        }
        let bytes = info
            .subject_public_key
            .as_bytes()
            .ok_or_else(|| KeyError::malformed("its bits are no whole bytes"))?;
        let parameters = info.algorithm.parameters;
        let kind = match info.algorithm.oid {
            EC => {
                let kind = curve(parameters)?;
                point(kind, bytes)?;
                kind
            }
            ED25519 if parameters.is_some() => {
                return Err(KeyError::malformed("an Ed25519 key has no parameters"));
            }
            ED25519 => {
                let bytes = bytes
                    .try_into()
                    .map_err(|_| KeyError::malformed("an Ed25519 key has 32 bytes"))?;
                ed25519(bytes)?;
                Kind::Ed25519
            }
            RSA if parameters != Some(AnyRef::NULL) => {
                return Err(KeyError::malformed("an RSA key has the parameters NULL"));
            }
            RSA => rsa(bytes)?,
            oid => {
                return Err(KeyError::UnknownAlgorithm {
                    oid: oid.to_string(),
                });
            }
        };
        Ok(Self {
            kind,
            bytes: bytes.to_vec(),
            spki: der.to_vec(),
            id: KeyId::of(der),
        })
    }

    /// An Ed25519 key from its 32 bytes.
    ///
    /// # Errors
    /// [`KeyError::Point`] for one of small order.
    pub fn from_ed25519(bytes: [u8; 32]) -> Result<Self, KeyError> {
        ed25519(&bytes)?;
        let spki = [&ED25519_PREFIX[..], &bytes].concat();
        Ok(Self {
            kind: Kind::Ed25519,
            bytes: bytes.to_vec(),
            id: KeyId::of(&spki),
            spki,
        })
    }

    /// What it is.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Its name.
    pub const fn id(&self) -> KeyId {
        self.id
    }

    /// The DER of its `SubjectPublicKeyInfo`.
    pub fn as_spki(&self) -> &[u8] {
        &self.spki
    }

    /// The key alone: an uncompressed point, 32 bytes, or the DER of an `RSAPublicKey`.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// One PEM block.
    ///
    /// # Errors
    /// [`KeyError::Malformed`], which no key is that was read.
    pub fn to_pem(&self) -> Result<String, KeyError> {
        pem_rfc7468::encode_string("PUBLIC KEY", LineEnding::LF, &self.spki)
            .map_err(|error| KeyError::malformed(error.to_string()))
    }

    /// Holds `signature` to be one by this key, with ECDSA or RSA, of the bytes that have `digest`.
    ///
    /// # Errors
    /// [`SignatureError`]: `scheme` where such a key doesn't sign so, or signs no digests; `hash`
    /// where the digest isn't of SHA-2; `invalid`.
    pub fn verify_digest(
        &self,
        scheme: Scheme,
        digest: &Digest,
        signature: &[u8],
    ) -> Result<(), SignatureError> {
        if !self.kind.signs_with(scheme) || scheme == Scheme::Ed25519 {
            return Err(SignatureError::Scheme {
                kind: self.kind,
                scheme,
            });
        }
        let algorithm = digest.algorithm();
        let hash = SignatureError::Hash {
            kind: self.kind,
            hash: algorithm,
        };
        let Some(imported) = import(digest) else {
            return Err(hash);
        };
        let verifier: &'static dyn aws::VerificationAlgorithm = match (self.kind, scheme) {
            (Kind::Rsa { bits }, Scheme::RsaPss) => {
                return if pss::fits(&self.bytes, bits, algorithm, &imported, signature) {
                    Ok(())
                } else {
                    Err(self.invalid(scheme))
                };
            }
            (Kind::Rsa { .. }, _) => match algorithm {
                Algorithm::Sha256 => &aws::RSA_PKCS1_2048_8192_SHA256,
                Algorithm::Sha384 => &aws::RSA_PKCS1_2048_8192_SHA384,
                Algorithm::Sha512 => &aws::RSA_PKCS1_2048_8192_SHA512,
                Algorithm::Blake2b512 | Algorithm::Blake3 => return Err(hash),
            },
            (kind, _) => ecdsa(kind, algorithm).ok_or(hash)?,
        };
        aws::UnparsedPublicKey::new(verifier, &self.bytes)
            .verify_digest(&imported, signature)
            .map_err(|_| self.invalid(scheme))
    }

    /// Holds `signature` to be one by this key of `message`: with Ed25519 of the message itself,
    /// else of its digest with the [hash](Kind::hash) of such keys.
    ///
    /// # Errors
    /// [`SignatureError`]: `scheme`, `invalid`.
    pub fn verify_message(
        &self,
        scheme: Scheme,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), SignatureError> {
        match self.kind.hash() {
            Some(hash) => {
                self.verify_digest(scheme, &crate::Hasher::digest(hash, message), signature)
            }
            None if scheme == Scheme::Ed25519 => {
                ring::signature::UnparsedPublicKey::new(&ring::signature::ED25519, &self.bytes)
                    .verify(message, signature)
                    .map_err(|_| self.invalid(scheme))
            }
            None => Err(SignatureError::Scheme {
                kind: self.kind,
                scheme,
            }),
        }
    }

    fn invalid(&self, scheme: Scheme) -> SignatureError {
        SignatureError::Invalid {
            key: self.id,
            scheme,
        }
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({} {})", self.kind, self.id)
    }
}

/// A digest for aws-lc-rs, which knows the SHA-2 of FIPS 180-4.
pub(super) fn import(digest: &Digest) -> Option<aws_lc_rs::digest::Digest> {
    let algorithm = match digest.algorithm() {
        Algorithm::Sha256 => &aws_lc_rs::digest::SHA256,
        Algorithm::Sha384 => &aws_lc_rs::digest::SHA384,
        Algorithm::Sha512 => &aws_lc_rs::digest::SHA512,
        Algorithm::Blake2b512 | Algorithm::Blake3 => return None,
    };
    aws_lc_rs::digest::Digest::import_less_safe(digest.as_bytes(), algorithm).ok()
}

/// Every curve with every hash: a long digest is cut to the curve's length, as FIPS 186-5 says.
fn ecdsa(kind: Kind, hash: Algorithm) -> Option<&'static dyn aws::VerificationAlgorithm> {
    Some(match (kind, hash) {
        (Kind::P256, Algorithm::Sha256) => &aws::ECDSA_P256_SHA256_ASN1,
        (Kind::P256, Algorithm::Sha384) => &aws::ECDSA_P256_SHA384_ASN1,
        (Kind::P256, Algorithm::Sha512) => &aws::ECDSA_P256_SHA512_ASN1,
        (Kind::P384, Algorithm::Sha256) => &aws::ECDSA_P384_SHA256_ASN1,
        (Kind::P384, Algorithm::Sha384) => &aws::ECDSA_P384_SHA384_ASN1,
        (Kind::P384, Algorithm::Sha512) => &aws::ECDSA_P384_SHA512_ASN1,
        (Kind::P521, Algorithm::Sha256) => &aws::ECDSA_P521_SHA256_ASN1,
        (Kind::P521, Algorithm::Sha384) => &aws::ECDSA_P521_SHA384_ASN1,
        (Kind::P521, Algorithm::Sha512) => &aws::ECDSA_P521_SHA512_ASN1,
        _ => return None,
    })
}

/// The curve that an algorithm's parameters name.
pub(super) fn curve(parameters: Option<AnyRef<'_>>) -> Result<Kind, KeyError> {
    let parameters = parameters.ok_or_else(|| KeyError::malformed("it names no curve"))?;
    if parameters.tag() == Tag::Sequence {
        return Err(KeyError::ExplicitParameters);
    }
    match parameters.decode_as::<ObjectIdentifier>().map_err(asn1)? {
        P256 => Ok(Kind::P256),
        P384 => Ok(Kind::P384),
        P521 => Ok(Kind::P521),
        oid => Err(KeyError::UnknownCurve {
            oid: oid.to_string(),
        }),
    }
}

/// A point of the curve, uncompressed; never the one at infinity.
fn point(kind: Kind, bytes: &[u8]) -> Result<(), KeyError> {
    if matches!(bytes.first(), Some(2 | 3)) {
        return Err(KeyError::CompressedPoint);
    }
    // 6 and 7 are hybrid, a third encoding.
    if bytes.first() != Some(&4) {
        return Err(KeyError::Point { kind });
    }
    let of_curve = kind.hash().and_then(|hash| ecdsa(kind, hash));
    let parsed = of_curve.map(|algorithm| aws::ParsedPublicKey::new(algorithm, bytes));
    match parsed {
        Some(Ok(_)) => Ok(()),
        _ => Err(KeyError::Point { kind }),
    }
}

/// The y of every point of Ed25519 whose order divides 8, in each of its encodings, without the bit for
/// the sign of x. Under such a key some signature holds for every message, or for every eighth.
const SMALL_ORDER: [[u8; 32]; 7] = [
    ends(0x00, 0x00),
    ends(0x01, 0x00),
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98,
        0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53,
        0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67,
        0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac,
        0x03, 0x7a,
    ],
    ends(0xec, 0x7f),
    ends(0xed, 0x7f),
    ends(0xee, 0x7f),
];

/// The first and the last byte, and between them zeros or ones.
const fn ends(first: u8, last: u8) -> [u8; 32] {
    let mut bytes = [if last == 0 { 0 } else { 0xff }; 32];
    bytes[0] = first;
    bytes[31] = last;
    bytes
}

/// Refuses what is no key. Whether it is on the curve at all shows when it verifies: off it, nothing
/// holds.
fn ed25519(bytes: &[u8; 32]) -> Result<(), KeyError> {
    let mut y = *bytes;
    y[31] &= 0x7f;
    if SMALL_ORDER.contains(&y) {
        let kind = Kind::Ed25519;
        return Err(KeyError::Point { kind });
    }
    Ok(())
}

/// The kind of the RSA key in the DER of an `RSAPublicKey`.
fn rsa(der: &[u8]) -> Result<Kind, KeyError> {
    let mut reader = SliceReader::new(der).map_err(asn1)?;
    let (modulus, exponent) = reader
        .sequence(|inner| Ok::<_, der::Error>((UintRef::decode(inner)?, UintRef::decode(inner)?)))
        .map_err(asn1)?;
    reader.finish().map_err(asn1)?;
    let kind = rsa_kind(modulus, exponent)?;
    aws::ParsedPublicKey::new(&aws::RSA_PKCS1_2048_8192_SHA256, der)
        .map(|_| kind)
        .map_err(|_| KeyError::malformed("its modulus is none of RSA"))
}

/// The kind of an RSA key whose numbers are in range.
pub(super) fn rsa_kind(modulus: UintRef<'_>, exponent: UintRef<'_>) -> Result<Kind, KeyError> {
    match bits(modulus) {
        bits @ ..2048 => Err(KeyError::RsaTooSmall { bits }),
        bits @ 8193.. => Err(KeyError::RsaTooLarge { bits }),
        bits => {
            let odd = exponent.as_bytes().last().is_some_and(|byte| byte % 2 == 1);
            // The bounds of aws-lc: longer exponents only cost time.
            if odd && (2..=33).contains(&self::bits(exponent)) {
                Ok(Kind::Rsa { bits })
            } else {
                Err(KeyError::RsaExponent)
            }
        }
    }
}

/// Length of a number, in bits.
fn bits(number: UintRef<'_>) -> usize {
    let bytes = number.as_bytes();
    let zeros = bytes
        .first()
        .map_or(8, |byte| byte.leading_zeros() as usize);
    (8 * bytes.len()).saturating_sub(zeros)
}

pub(super) fn asn1(error: der::Error) -> KeyError {
    match error.kind() {
        der::ErrorKind::TrailingData { .. } => KeyError::Trailing {
            what: "bytes behind the key in its DER",
        },
        kind => KeyError::malformed(format!("its DER: {kind}")),
    }
}
