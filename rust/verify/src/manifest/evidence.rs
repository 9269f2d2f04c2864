//! What was verified, and by whom it was signed.

use std::fmt;

use crate::{Algorithm, Digest, KeyId, certificate::Holder};

use super::{Identity, Serialization, text::shown};

/// How a bundle names its signer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// A key that the verifier has.
    Key,
    /// A certificate, and a chain to a root that the verifier has.
    Certificate,
    /// A certificate for an identity, valid for minutes, and logs that vouch for the time.
    Sigstore,
}

impl Method {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Certificate => "certificate",
            Self::Sigstore => "sigstore",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Who signed.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Signer {
    /// Whoever holds this key.
    Key(KeyId),
    /// Whoever holds this certificate.
    Certificate(Box<Holder>),
    /// Whoever was this identity at that time.
    Sigstore(Box<Identity>),
}

impl Signer {
    /// How it is named.
    pub const fn method(&self) -> Method {
        match self {
            Self::Key(_) => Method::Key,
            Self::Certificate(_) => Method::Certificate,
            Self::Sigstore(_) => Method::Sigstore,
        }
    }

    /// The key that the signature was verified with.
    pub fn key(&self) -> KeyId {
        match self {
            Self::Key(id) => *id,
            Self::Certificate(holder) => holder.key.id(),
            Self::Sigstore(identity) => identity.key.id(),
        }
    }
}

impl fmt::Display for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(id) => write!(f, "the key {id}"),
            Self::Certificate(holder) => {
                let subject = shown(&holder.subject);
                write!(f, "\"{subject}\" with the key {}", holder.key.id())
            }
            Self::Sigstore(identity) => {
                let (who, issuer) = (shown(&identity.identity), shown(&identity.issuer));
                write!(f, "\"{who}\", as {issuer} says")
            }
        }
    }
}

/// That a tree is what was signed.
#[derive(Debug, Clone)]
pub struct Evidence {
    /// Who signed it.
    pub signer: Signer,
    /// What the signer called it; printable. It is nothing that was checked.
    pub model: String,
    /// SHA-256 over all digests in the statement: the name of exactly this content.
    pub root: Digest,
    /// What the files were hashed with.
    pub algorithm: Algorithm,
    /// How they are listed.
    pub serialization: Serialization,
    /// Files that were hashed.
    pub files: usize,
    /// Files that the statement lists.
    pub listed: usize,
    /// Bytes that were hashed.
    pub bytes: u64,
}
