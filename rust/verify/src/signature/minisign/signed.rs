//! minisign's signatures.

use super::{LEGACY, Number, PREHASHED, PublicKey, bytes, lines};
use crate::{
    Algorithm, KeyId, Scheme,
    key::Kind,
    signature::{Evidence, Need, Seen, SignatureError},
};

/// How the third line begins.
pub(super) const TRUSTED: &str = "trusted comment: ";

/// A signature of minisign, whose trusted comment was verified when it was read.
#[derive(Debug, Clone)]
pub(in crate::signature) struct Minisign {
    key: crate::PublicKey,
    need: Need,
    bytes: [u8; 64],
    comment: String,
}

impl Minisign {
    pub(in crate::signature) fn read(
        key: &PublicKey,
        file: &[u8],
        hash: Option<Algorithm>,
    ) -> Result<Self, SignatureError> {
        if let Some(hash) = hash {
            return Err(SignatureError::Hash {
                kind: Kind::Ed25519,
                hash,
            });
        }
        let [_, signature, trusted, global] = lines(file).map_err(SignatureError::malformed)?;
        let content = bytes::<74>(signature).map_err(SignatureError::malformed)?;
        let global = bytes::<64>(global).map_err(SignatureError::malformed)?;
        let comment = trusted
            .strip_prefix(TRUSTED)
            .ok_or_else(|| SignatureError::malformed("its third line is no trusted comment"))?;
        let [a, b, rest @ ..] = *content;
        let need = match [a, b] {
            PREHASHED => Need::Digest(Algorithm::Blake2b512),
            LEGACY => Need::Whole,
            _ => {
                return Err(SignatureError::malformed(
                    "its algorithm is none of ED and Ed",
                ));
            }
        };
        let (mut number, mut bytes) = ([0; 8], [0; 64]);
        number.copy_from_slice(&rest[..8]);
        bytes.copy_from_slice(&rest[8..]);
        if Number(number) != key.number {
            return Err(SignatureError::OtherKey {
                expected: key.number.to_string(),
                found: Number(number).to_string(),
            });
        }
        key.key
            .verify_message(Scheme::Ed25519, &commented(&bytes, comment), &*global)
            .map_err(|_| SignatureError::TrustedComment { key: key.key.id() })?;
        Ok(Self {
            key: key.key.clone(),
            need,
            bytes,
            comment: comment.to_owned(),
        })
    }

    pub(in crate::signature) const fn need(&self) -> Need {
        self.need
    }

    pub(in crate::signature) fn verify(&self, seen: &Seen<'_>) -> Result<Evidence, SignatureError> {
        let digest = match self.need {
            Need::Digest(algorithm) => {
                let digest = seen.digest(algorithm)?;
                self.key
                    .verify_message(Scheme::Ed25519, digest.as_bytes(), &self.bytes)?;
                digest
            }
            Need::Whole => {
                let (digest, whole) = seen.whole()?;
                // The algorithm isn't signed: who has a signature over a digest can call it a legacy
                // one, of a file that is that digest.
                if whole.len() == Algorithm::Blake2b512.digest_length() {
                    return Err(SignatureError::malformed(
                        "a legacy one of 64 bytes may be one of another file, whose digest they are",
                    ));
                }
                self.key
                    .verify_message(Scheme::Ed25519, whole, &self.bytes)?;
                digest
            }
        };
        Ok(Evidence {
            key: self.id(),
            digest,
            how: format!("minisign: Ed25519 over {}", self.need),
            signed_at: signed_at(&self.comment),
            comment: Some(self.comment.clone()),
            rule: "minisign signature by the given key",
        })
    }

    const fn id(&self) -> KeyId {
        self.key.id()
    }
}

/// What the second signature covers.
pub(super) fn commented(signature: &[u8], comment: &str) -> Vec<u8> {
    [signature, comment.as_bytes()].concat()
}

/// The time that a trusted comment names, in minisign's own words: `timestamp:` and seconds.
fn signed_at(comment: &str) -> Option<u64> {
    comment
        .split('\t')
        .find_map(|field| field.strip_prefix("timestamp:"))
        .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?
        .parse()
        .ok()
}
