//! Private keys, and what they sign.

use std::fmt;

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der},
    rsa::{self, KeySize},
    signature::{self as aws, EcdsaKeyPair, EcdsaSigningAlgorithm, KeyPair as _},
};
use der::{Decode, Reader, SliceReader, asn1::UintRef};
use pem_rfc7468::LineEnding;
use pkcs8::{
    EncryptedPrivateKeyInfoRef, PrivateKeyInfoRef,
    pkcs5::{
        self, EncryptionScheme,
        pbes2::{self, Kdf},
    },
};
use ring::{
    rand::{SecureRandom, SystemRandom},
    signature::{Ed25519KeyPair, KeyPair as _},
};
use zeroize::Zeroizing;

use super::{KeyError, KeyId, Kind, PublicKey, Scheme, pem, public};
use crate::{Algorithm, Digest, Hasher, signature::SignatureError};

/// Rounds of PBKDF2 with which a key is encrypted; OWASP's advice for SHA-256.
const ROUNDS: u32 = 600_000;

/// What a key file may ask for at most: seconds of work, and this much memory.
const MOST_ROUNDS: u32 = 5_000_000;
const MOST_MEMORY: u64 = 256 << 20;

/// What stands before the 32 bytes of an Ed25519 seed in PKCS#8.
const ED25519_PREFIX: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// A private key. It is wiped when it is dropped, and prints as its id. What signs with it takes it
/// in for the one signature alone.
#[derive(Clone)]
pub struct PrivateKey {
    // PKCS#8, version 1.
    pkcs8: Zeroizing<Vec<u8>>,
    public: PublicKey,
}

impl PrivateKey {
    /// Reads a file with exactly one PEM block: `PRIVATE KEY`, `ENCRYPTED PRIVATE KEY` (PBES2),
    /// or the older `EC PRIVATE KEY` and `RSA PRIVATE KEY` where they aren't encrypted.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn from_pem(file: &[u8], passphrase: Option<&[u8]>) -> Result<Self, KeyError> {
        let (label, content) = pem::block(file)?;
        if let "ENCRYPTED PRIVATE KEY" = label {
            return decrypt(&content, passphrase.ok_or(KeyError::Encrypted)?);
        }
        let key = match label {
            "PRIVATE KEY" => Self::from_pkcs8(&content),
            "EC PRIVATE KEY" => Self::from_sec1(&content),
            "RSA PRIVATE KEY" => Self::from_pkcs1(&content),
            label if label.ends_with("PUBLIC KEY") => Err(KeyError::Public),
            label if label.ends_with("CERTIFICATE") => Err(KeyError::Certificate),
            _ => Err(KeyError::malformed("its PEM block is no PRIVATE KEY")),
        }?;
        match passphrase {
            Some(_) => Err(KeyError::NotEncrypted),
            None => Ok(key),
        }
    }

    /// Makes a new key; of RSA with 2048, 3072, 4096 or 8192 bits.
    ///
    /// # Errors
    /// [`KeyError::Generation`], also for other lengths.
    pub fn generate(kind: Kind) -> Result<Self, KeyError> {
        let failed = || KeyError::Generation { kind };
        match kind {
            Kind::P256 | Kind::P384 | Kind::P521 => {
                let algorithm = ecdsa(kind, kind.hash()).ok_or_else(failed)?;
                Self::of_ecdsa(&EcdsaKeyPair::generate(algorithm).map_err(|_| failed())?)
            }
            Kind::Ed25519 => {
                let mut seed = Zeroizing::new([0; 32]);
                SystemRandom::new().fill(&mut *seed).map_err(|_| failed())?;
                Self::from_ed25519(&seed)
            }
            Kind::Rsa { bits } => {
                let size = match bits {
                    2048 => KeySize::Rsa2048,
                    3072 => KeySize::Rsa3072,
                    4096 => KeySize::Rsa4096,
                    8192 => KeySize::Rsa8192,
                    _ => return Err(failed()),
                };
                Self::of_rsa(&rsa::KeyPair::generate(size).map_err(|_| failed())?)
            }
        }
    }

    /// An Ed25519 key from its seed.
    ///
    /// # Errors
    /// [`KeyError::Inconsistent`], which no seed is.
    pub(crate) fn from_ed25519(seed: &[u8; 32]) -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| KeyError::Inconsistent)?;
        let mut public = [0; 32];
        public.copy_from_slice(pair.public_key().as_ref());
        let mut pkcs8 = Zeroizing::new(Vec::with_capacity(ED25519_PREFIX.len() + seed.len()));
        pkcs8.extend_from_slice(&ED25519_PREFIX);
        pkcs8.extend_from_slice(seed);
        Ok(Self {
            pkcs8,
            public: PublicKey::from_ed25519(public)?,
        })
    }

    fn from_pkcs8(der: &[u8]) -> Result<Self, KeyError> {
        let info = PrivateKeyInfoRef::from_der(der).map_err(public::asn1)?;
        match info.algorithm.oid {
            public::EC => {
                let kind = public::curve(info.algorithm.parameters)?;
                let algorithm = ecdsa(kind, kind.hash()).ok_or(KeyError::Inconsistent)?;
                Self::of_ecdsa(
                    &EcdsaKeyPair::from_pkcs8(algorithm, der)
                        .map_err(|_| KeyError::Inconsistent)?,
                )
            }
            public::ED25519 => {
                // Holds a public key that is there to the private one.
                let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der)
                    .map_err(|_| KeyError::Inconsistent)?;
                let seed = info.private_key.as_bytes();
                let seed = Zeroizing::new(
                    seed.get(2..)
                        .and_then(|seed| <[u8; 32]>::try_from(seed).ok())
                        .ok_or(KeyError::Inconsistent)?,
                );
                let key = Self::from_ed25519(&seed)?;
                if key.public.as_bytes() == pair.public_key().as_ref() {
                    Ok(key)
                } else {
                    Err(KeyError::Inconsistent)
                }
            }
            public::RSA => Self::from_pkcs1(info.private_key.as_bytes()),
            oid => Err(KeyError::UnknownAlgorithm {
                oid: oid.to_string(),
            }),
        }
    }

    /// An `ECPrivateKey` of RFC 5915, which names its curve.
    fn from_sec1(der: &[u8]) -> Result<Self, KeyError> {
        [Kind::P256, Kind::P384, Kind::P521]
            .into_iter()
            .filter_map(|kind| ecdsa(kind, kind.hash()))
            .find_map(|algorithm| EcdsaKeyPair::from_private_key_der(algorithm, der).ok())
            .ok_or_else(|| KeyError::malformed("it is no EC key on P-256, P-384 or P-521"))
            .and_then(|pair| Self::of_ecdsa(&pair))
    }

    /// An `RSAPrivateKey` of RFC 8017.
    fn from_pkcs1(der: &[u8]) -> Result<Self, KeyError> {
        let mut reader = SliceReader::new(der).map_err(public::asn1)?;
        let (modulus, exponent) = reader
            .sequence(|inner| {
                let _version = UintRef::decode(inner)?;
                let numbers = (UintRef::decode(inner)?, UintRef::decode(inner)?);
                inner.drain(inner.remaining_len())?;
                Ok::<_, der::Error>(numbers)
            })
            .map_err(public::asn1)?;
        reader.finish().map_err(public::asn1)?;
        public::rsa_kind(modulus, exponent)?;
        Self::of_rsa(&rsa::KeyPair::from_der(der).map_err(|_| KeyError::Inconsistent)?)
    }

    fn of_ecdsa(pair: &EcdsaKeyPair) -> Result<Self, KeyError> {
        let pkcs8 = pair.to_pkcs8v1().map_err(|_| KeyError::Inconsistent)?;
        let spki: PublicKeyX509Der<'_> = pair
            .public_key()
            .as_der()
            .map_err(|_| KeyError::Inconsistent)?;
        Self::of_parts(pkcs8.as_ref(), spki.as_ref())
    }

    fn of_rsa(pair: &rsa::KeyPair) -> Result<Self, KeyError> {
        let pkcs8: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| KeyError::Inconsistent)?;
        let spki: PublicKeyX509Der<'_> = pair
            .public_key()
            .as_der()
            .map_err(|_| KeyError::Inconsistent)?;
        Self::of_parts(pkcs8.as_ref(), spki.as_ref())
    }

    fn of_parts(pkcs8: &[u8], spki: &[u8]) -> Result<Self, KeyError> {
        Ok(Self {
            pkcs8: Zeroizing::new(pkcs8.to_vec()),
            public: PublicKey::from_spki(spki)?,
        })
    }

    /// The public key that belongs to it.
    pub const fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Its name, which is the public key's.
    pub const fn id(&self) -> KeyId {
        self.public.id()
    }

    /// One PEM block: `PRIVATE KEY`, or with a passphrase `ENCRYPTED PRIVATE KEY`, by PBES2 with
    /// PBKDF2 and AES-256-CBC, which OpenSSL reads.
    ///
    /// # Errors
    /// [`KeyError`]: `generation` where the system gives no random numbers.
    pub fn to_pem(&self, passphrase: Option<&[u8]>) -> Result<Zeroizing<String>, KeyError> {
        let written = |label, der: &[u8]| {
            pem_rfc7468::encode_string(label, LineEnding::LF, der)
                .map(Zeroizing::new)
                .map_err(|error| KeyError::malformed(error.to_string()))
        };
        let Some(passphrase) = passphrase else {
            return written("PRIVATE KEY", &self.pkcs8);
        };
        let failed = || KeyError::Generation {
            kind: self.public.kind(),
        };
        let (mut salt, mut iv) = ([0; 16], [0; 16]);
        let random = SystemRandom::new();
        random.fill(&mut salt).map_err(|_| failed())?;
        random.fill(&mut iv).map_err(|_| failed())?;
        let encrypted = pbes2::Parameters::generate_pbkdf2_sha256_aes256cbc(ROUNDS, &salt, iv)
            .map_err(pkcs8::Error::from)
            .and_then(|parameters| {
                PrivateKeyInfoRef::from_der(&self.pkcs8)?
                    .encrypt_with_params(parameters, passphrase)
            })
            .map_err(|_| failed())?;
        written("ENCRYPTED PRIVATE KEY", encrypted.as_bytes())
    }

    /// Signs the bytes that have `digest`, with ECDSA or RSA. P-256 signs over SHA-256 and P-384
    /// over SHA-384, P-521 and RSA over each of SHA-2; the salt of PSS is as long as the digest.
    ///
    /// # Errors
    /// [`SignatureError`]: `scheme`, `hash`, `unsigned`.
    pub fn sign_digest(&self, scheme: Scheme, digest: &Digest) -> Result<Vec<u8>, SignatureError> {
        let kind = self.public.kind();
        if !kind.signs_with(scheme) || scheme == Scheme::Ed25519 {
            return Err(SignatureError::Scheme { kind, scheme });
        }
        let hash = digest.algorithm();
        let imported = public::import(digest).ok_or(SignatureError::Hash { kind, hash })?;
        let unsigned = SignatureError::Unsigned { key: self.id() };
        if let Kind::Rsa { bits } = kind {
            let encoding = match (scheme, hash) {
                (Scheme::RsaPss, Algorithm::Sha256) => &aws::RSA_PSS_SHA256,
                (Scheme::RsaPss, Algorithm::Sha384) => &aws::RSA_PSS_SHA384,
                (Scheme::RsaPss, _) => &aws::RSA_PSS_SHA512,
                (_, Algorithm::Sha256) => &aws::RSA_PKCS1_SHA256,
                (_, Algorithm::Sha384) => &aws::RSA_PKCS1_SHA384,
                _ => &aws::RSA_PKCS1_SHA512,
            };
            let pair = PrivateKeyInfoRef::from_der(&self.pkcs8)
                .ok()
                .and_then(|info| rsa::KeyPair::from_der(info.private_key.as_bytes()).ok())
                .ok_or_else(|| unsigned.clone())?;
            let mut signature = vec![0; bits.div_ceil(8)];
            return pair
                .sign_digest(encoding, &imported, &mut signature)
                .map(|()| signature)
                .map_err(|_| unsigned);
        }
        let algorithm = ecdsa(kind, Some(hash)).ok_or(SignatureError::Hash { kind, hash })?;
        EcdsaKeyPair::from_pkcs8(algorithm, &self.pkcs8)
            .ok()
            .and_then(|pair| pair.sign_digest(&imported).ok())
            .map(|signature| signature.as_ref().to_vec())
            .ok_or(unsigned)
    }

    /// Signs `message`: with Ed25519 itself, else its digest with the [hash](Kind::hash) of such
    /// keys. What [`PublicKey::verify_message`] verifies.
    ///
    /// # Errors
    /// [`SignatureError`]: `scheme`, `unsigned`.
    pub fn sign_message(&self, scheme: Scheme, message: &[u8]) -> Result<Vec<u8>, SignatureError> {
        let kind = self.public.kind();
        match kind.hash() {
            Some(hash) => self.sign_digest(scheme, &Hasher::digest(hash, message)),
            None if scheme == Scheme::Ed25519 => {
                // ring doesn't wipe its key pair: it lives on the stack for this one signature.
                Ed25519KeyPair::from_pkcs8_maybe_unchecked(&self.pkcs8)
                    .map(|pair| pair.sign(message).as_ref().to_vec())
                    .map_err(|_| SignatureError::Unsigned { key: self.id() })
            }
            None => Err(SignatureError::Scheme { kind, scheme }),
        }
    }

    /// The seed of an Ed25519 key.
    pub(crate) fn ed25519_seed(&self) -> Option<Zeroizing<[u8; 32]>> {
        let seed = self.pkcs8.strip_prefix(&ED25519_PREFIX[..])?;
        seed.try_into().ok().map(Zeroizing::new)
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({} {})", self.public.kind(), self.id())
    }
}

/// What aws-lc-rs signs with; it has no other pairs.
fn ecdsa(kind: Kind, hash: Option<Algorithm>) -> Option<&'static EcdsaSigningAlgorithm> {
    Some(match (kind, hash?) {
        (Kind::P256, Algorithm::Sha256) => &aws::ECDSA_P256_SHA256_ASN1_SIGNING,
        (Kind::P384, Algorithm::Sha384) => &aws::ECDSA_P384_SHA384_ASN1_SIGNING,
        (Kind::P521, Algorithm::Sha256) => &aws::ECDSA_P521_SHA256_ASN1_SIGNING,
        (Kind::P521, Algorithm::Sha384) => &aws::ECDSA_P521_SHA384_ASN1_SIGNING,
        (Kind::P521, Algorithm::Sha512) => &aws::ECDSA_P521_SHA512_ASN1_SIGNING,
        _ => return None,
    })
}

/// Whether so much memory can be had: deriving a key takes it at once, and ends the process where it
/// can't.
pub(crate) fn room(bytes: u64) -> bool {
    usize::try_from(bytes).is_ok_and(|bytes| Vec::<u8>::new().try_reserve_exact(bytes).is_ok())
}

/// What an encrypted key holds, unless its file asks for too much work or memory.
fn decrypt(der: &[u8], passphrase: &[u8]) -> Result<PrivateKey, KeyError> {
    let info = EncryptedPrivateKeyInfoRef::from_der(der).map_err(|error| match error.kind() {
        // What pkcs5 doesn't know by its object identifier.
        der::ErrorKind::OidUnknown { .. } | der::ErrorKind::Value { .. } => KeyError::Encryption {
            reason: "it is none of PBES2 with AES",
        },
        _ => public::asn1(error),
    })?;
    let costly = |reason| Err(KeyError::Encryption { reason });
    match &info.encryption_algorithm {
        EncryptionScheme::Pbes2(parameters) => match &parameters.kdf {
            Kdf::Pbkdf2(pbkdf2) if pbkdf2.iteration_count > MOST_ROUNDS => {
                return costly("it asks for more than 5 million rounds of PBKDF2");
            }
            Kdf::Scrypt(scrypt) => {
                let memory = 128u64
                    .saturating_mul(scrypt.cost_parameter)
                    .saturating_mul(scrypt.block_size.into());
                if memory > MOST_MEMORY || scrypt.parallelization > 16 || !room(memory) {
                    return costly(
                        "its scrypt asks for more than 256 MiB, 16 lanes, or what is free",
                    );
                }
            }
            _ => {}
        },
        _ => return costly("it is none of PBES2 with AES"),
    }
    let decrypted = info.decrypt(passphrase).map_err(|error| match error {
        pkcs8::Error::EncryptedPrivateKey(
            pkcs5::Error::UnsupportedAlgorithm { .. }
            | pkcs5::Error::AlgorithmParametersInvalid { .. },
        ) => KeyError::Encryption {
            reason: "it is none of PBES2 with AES",
        },
        // Bad padding, or no key inside: the wrong passphrase looks like either.
        _ => KeyError::Passphrase,
    })?;
    if PrivateKeyInfoRef::from_der(decrypted.as_bytes()).is_err() {
        return Err(KeyError::Passphrase);
    }
    PrivateKey::from_pkcs8(decrypted.as_bytes())
}
