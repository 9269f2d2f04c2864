//! Why a signed manifest, or the tree that it speaks of, is refused.

use std::{io, path::PathBuf};

use crate::{Digest, KeyError, KeyId, certificate::CertificateError};

use super::{Method, json::Malformed};

/// Every code of [`ManifestError`], but those of the [`CertificateError`] and the [`KeyError`] in it.
pub const CODES: &[&str] = &[
    "manifest.ambiguous_name",
    "manifest.bundle_malformed",
    "manifest.bundle_too_large",
    "manifest.bundle_unsupported",
    "manifest.cancelled",
    "manifest.empty",
    "manifest.file_changed",
    "manifest.file_differs",
    "manifest.file_missing",
    "manifest.file_special",
    "manifest.file_unlisted",
    "manifest.io",
    "manifest.key_unsuitable",
    "manifest.keyless_refused",
    "manifest.not_listed",
    "manifest.other_key",
    "manifest.other_kind",
    "manifest.other_method",
    "manifest.root_digest",
    "manifest.signature_invalid",
    "manifest.statement_malformed",
    "manifest.statement_unsafe",
    "manifest.statement_unsupported",
    "manifest.symlink",
    "manifest.symlink_directory",
    "manifest.symlink_outside",
    "manifest.tree_too_large",
    "manifest.trusted_root_malformed",
    "manifest.unreadable",
    "manifest.unshardable",
];

/// A manifest that proves nothing, or a tree that isn't the one that was signed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// A name that others would read differently, or can't be written at all.
    #[error("the name \"{name}\" can't be listed: {reason}")]
    AmbiguousName {
        /// Printable.
        name: String,
        /// Why.
        reason: &'static str,
    },
    /// No bundle, or not to the letter.
    #[error("the signature is no Sigstore bundle: {}{reason}", place(at))]
    BundleMalformed {
        /// The field.
        at: String,
        /// What is wrong with it.
        reason: String,
    },
    /// More bytes than any model's bundle.
    #[error("the signature has more than {limit} bytes")]
    BundleTooLarge {
        /// What is read at most.
        limit: usize,
    },
    /// A bundle of another kind.
    #[error("the bundle can't be verified: {reason}")]
    BundleUnsupported {
        /// What it is instead.
        reason: String,
    },
    /// The caller's progress callback asked for the end.
    #[error("checking {path:?} was cancelled")]
    Cancelled {
        /// The tree.
        path: PathBuf,
    },
    /// The signer's certificate.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// There is nothing to sign, or nothing was named to be checked.
    #[error("of {path:?} there is no file to sign or to check")]
    Empty {
        /// The tree.
        path: PathBuf,
    },
    /// It was written to meanwhile.
    #[error("\"{name}\" changed while it was read: {reason}")]
    FileChanged {
        /// Printable.
        name: String,
        /// What was seen.
        reason: &'static str,
    },
    /// Other bytes than those that were signed.
    #[error("\"{name}\" is not what was signed: {reason}")]
    FileDiffers {
        /// Printable.
        name: String,
        /// Digests, or sizes.
        reason: String,
    },
    /// Listed, and not there.
    #[error("\"{name}\" was signed, and is missing")]
    FileMissing {
        /// Printable.
        name: String,
    },
    /// Neither a file nor a directory.
    #[error("\"{name}\" is no regular file")]
    FileSpecial {
        /// Printable.
        name: String,
    },
    /// There, and neither listed nor ignored.
    #[error("\"{name}\"{} was not signed", others(*more))]
    FileUnlisted {
        /// Printable; the first in order.
        name: String,
        /// How many more there are.
        more: usize,
    },
    /// The kernel refused something else.
    #[error("can't {action} {path:?}: {error}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// For what.
        path: PathBuf,
        /// The kernel's answer.
        error: io::Error,
    },
    /// A key that can't be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The format signs with ECDSA alone.
    #[error("the key {key} is {kind}, and the format takes P-256, P-384 and P-521")]
    KeyUnsuitable {
        /// The key.
        key: KeyId,
        /// What it is.
        kind: crate::key::Kind,
    },
    /// Not by this identity, or not as the logs have it.
    #[error("the signature is not by the identity that was expected: {reason}")]
    KeylessRefused {
        /// What failed; printable.
        reason: String,
    },
    /// What the caller is about to use isn't in the list.
    #[error("\"{name}\" is not among the files that were signed")]
    NotListed {
        /// Printable.
        name: String,
    },
    /// The bundle names another key than the one to verify with.
    #[error("the signature names another key than {expected}")]
    OtherKey {
        /// The key that was given.
        expected: KeyId,
    },
    /// A file's signature over a directory, or the other way.
    #[error("the signature is of {signed}, and {path:?} is {found}")]
    OtherKind {
        /// What was signed.
        signed: &'static str,
        /// What was given.
        path: PathBuf,
        /// What that is.
        found: &'static str,
    },
    /// A bundle of one method, and trust in another.
    #[error("the bundle was signed with the method {found}, and {expected} was expected")]
    OtherMethod {
        /// The bundle's.
        found: Method,
        /// The caller's.
        expected: Method,
    },
    /// The list doesn't hash to what the subject says.
    #[error("the statement contradicts itself: its root is {expected}, its resources have {found}")]
    RootDigest {
        /// The subject's.
        expected: Box<Digest>,
        /// Recomputed.
        found: Box<Digest>,
    },
    /// Not by this signer, or not over these bytes.
    #[error("the signature over the statement is not by {signer}")]
    SignatureInvalid {
        /// Whom it was held to.
        signer: String,
    },
    /// No in-toto statement, or not to the letter.
    #[error("the statement is malformed: {}{reason}", place(at))]
    StatementMalformed {
        /// The field.
        at: String,
        /// What is wrong with it.
        reason: String,
    },
    /// It lists what no model may list.
    #[error("the statement lists \"{name}\": {reason}")]
    StatementUnsafe {
        /// Printable.
        name: String,
        /// Why that is refused.
        reason: String,
    },
    /// Another predicate, hash or method.
    #[error("the statement can't be verified: {reason}")]
    StatementUnsupported {
        /// What it asks for.
        reason: String,
    },
    /// A symbolic link that nobody allowed.
    #[error("\"{name}\" is a symbolic link, which the signature doesn't allow")]
    Symlink {
        /// Printable.
        name: String,
    },
    /// A symbolic link to a directory: what is reached through it has names that nobody signed.
    #[error("\"{name}\" is a symbolic link to a directory, or lies behind one")]
    SymlinkDirectory {
        /// Printable.
        name: String,
    },
    /// A symbolic link that leaves the tree, or ends nowhere.
    #[error("the symbolic link \"{name}\" leads out of the tree, or nowhere in it")]
    SymlinkOutside {
        /// Printable.
        name: String,
    },
    /// More entries or levels than any model has.
    #[error("{path:?} has more than {limit} {what}")]
    TreeTooLarge {
        /// The tree.
        path: PathBuf,
        /// How many are looked at.
        limit: usize,
        /// Of what.
        what: &'static str,
    },
    /// No `trusted_root.json`.
    #[error("the trusted root is malformed: {reason}")]
    TrustedRootMalformed {
        /// What is wrong with it; printable.
        reason: String,
    },
    /// The user of this process may not read it.
    #[error("no permission to read {path:?}")]
    Unreadable {
        /// Which.
        path: PathBuf,
    },
    /// Shards can't list it.
    #[error("\"{name}\" can't be listed in shards: {reason}")]
    Unshardable {
        /// Printable.
        name: String,
        /// Why.
        reason: &'static str,
    },
}

impl ManifestError {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::AmbiguousName { .. } => "manifest.ambiguous_name",
            Self::BundleMalformed { .. } => "manifest.bundle_malformed",
            Self::BundleTooLarge { .. } => "manifest.bundle_too_large",
            Self::BundleUnsupported { .. } => "manifest.bundle_unsupported",
            Self::Cancelled { .. } => "manifest.cancelled",
            Self::Certificate(error) => error.code(),
            Self::Empty { .. } => "manifest.empty",
            Self::FileChanged { .. } => "manifest.file_changed",
            Self::FileDiffers { .. } => "manifest.file_differs",
            Self::FileMissing { .. } => "manifest.file_missing",
            Self::FileSpecial { .. } => "manifest.file_special",
            Self::FileUnlisted { .. } => "manifest.file_unlisted",
            Self::Io { .. } => "manifest.io",
            Self::Key(error) => error.code(),
            Self::KeyUnsuitable { .. } => "manifest.key_unsuitable",
            Self::KeylessRefused { .. } => "manifest.keyless_refused",
            Self::NotListed { .. } => "manifest.not_listed",
            Self::OtherKey { .. } => "manifest.other_key",
            Self::OtherKind { .. } => "manifest.other_kind",
            Self::OtherMethod { .. } => "manifest.other_method",
            Self::RootDigest { .. } => "manifest.root_digest",
            Self::SignatureInvalid { .. } => "manifest.signature_invalid",
            Self::StatementMalformed { .. } => "manifest.statement_malformed",
            Self::StatementUnsafe { .. } => "manifest.statement_unsafe",
            Self::StatementUnsupported { .. } => "manifest.statement_unsupported",
            Self::Symlink { .. } => "manifest.symlink",
            Self::SymlinkDirectory { .. } => "manifest.symlink_directory",
            Self::SymlinkOutside { .. } => "manifest.symlink_outside",
            Self::TreeTooLarge { .. } => "manifest.tree_too_large",
            Self::TrustedRootMalformed { .. } => "manifest.trusted_root_malformed",
            Self::Unreadable { .. } => "manifest.unreadable",
            Self::Unshardable { .. } => "manifest.unshardable",
        }
    }

    /// What the caller can do about it.
    pub const fn next_step(&self) -> &'static str {
        match self {
            Self::AmbiguousName { .. } => "rename it, or ignore it",
            Self::BundleTooLarge { .. } => {
                "list fewer pieces: sign with larger shards, or whole files"
            }
            Self::BundleMalformed { .. } => {
                "give the model.sig that the publisher made with OpenSSF Model Signing; a detached \
                 signature is verified as such"
            }
            Self::BundleUnsupported { .. } | Self::StatementUnsupported { .. } => {
                "ask the publisher for a signature of OpenSSF Model Signing v1.0"
            }
            Self::Cancelled { .. } => "start again when it should go on",
            Self::Certificate(error) => error.next_step(),
            Self::Empty { .. } => "name the model's directory or file",
            Self::FileChanged { .. } => "wait until the model is complete, then try again",
            Self::FileDiffers { .. } | Self::FileMissing { .. } => {
                "get the model again from its publisher; don't load this one"
            }
            Self::FileSpecial { .. } => "remove it from the model's directory",
            Self::FileUnlisted { .. } => {
                "remove what doesn't belong to the model, or name it as a path to ignore"
            }
            Self::Io { .. } => "check the path, the disk and the limits of this process",
            Self::Key(error) => error.next_step(),
            Self::KeyUnsuitable { .. } => {
                "use a key on P-256, P-384 or P-521, or a detached signature"
            }
            Self::KeylessRefused { .. } => {
                "don't load this model, unless another identity and issuer are the publisher's"
            }
            Self::NotListed { .. } => "load a file that was signed, or sign the model again",
            Self::OtherKey { .. } => "give the public key of whoever signed this model",
            Self::OtherKind { .. } => "name what was signed: the directory, or the file itself",
            Self::OtherMethod { .. } => {
                "give what the method needs: a public key, a certificate chain, or an identity"
            }
            Self::RootDigest { .. } | Self::StatementMalformed { .. } => {
                "ask the publisher to sign the model again"
            }
            Self::SignatureInvalid { .. } => {
                "don't load this model: get it and its signature again from the publisher, and \
                 check the key"
            }
            Self::StatementUnsafe { .. } => {
                "don't load this model: no well-meant signature lists such a path"
            }
            Self::Symlink { .. } => {
                "put the file itself in its place; signing again can allow links inside the tree"
            }
            Self::SymlinkDirectory { .. } => {
                "put the directory itself in its place; only links to files can be signed"
            }
            Self::SymlinkOutside { .. } => "put the file itself in its place",
            Self::TreeTooLarge { .. } => "name the model's own directory, not one above it",
            Self::TrustedRootMalformed { .. } => {
                "give the trusted_root.json of the Sigstore instance, as its TUF repository has it"
            }
            Self::Unreadable { .. } => "give the user of this process the right to read it",
            Self::Unshardable { .. } => "sign with the serialization files instead, or ignore it",
        }
    }

    pub(super) fn bundle(malformed: Malformed) -> Self {
        Self::BundleMalformed {
            at: malformed.at,
            reason: malformed.reason,
        }
    }

    pub(super) fn statement(malformed: Malformed) -> Self {
        Self::StatementMalformed {
            at: malformed.at,
            reason: malformed.reason,
        }
    }
}

fn place(at: &str) -> String {
    if at.is_empty() {
        String::new()
    } else {
        format!("{at}: ")
    }
}

fn others(more: usize) -> String {
    match more {
        0 => String::new(),
        1 => " and one more".to_owned(),
        more => format!(" and {more} more"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{Algorithm, Hasher, PrivateKey, key::Kind};

    #[test]
    fn the_codes_are_those_of_the_errors() {
        let (name, reason, path) = (String::from("a"), String::from("b"), PathBuf::from("c"));
        let key = PrivateKey::generate(Kind::Ed25519).unwrap().id();
        let digest = Box::new(Hasher::digest(Algorithm::Sha256, b""));
        let malformed = || Malformed {
            at: String::new(),
            reason: String::from("b"),
        };
        let reasoned = "b";
        let errors = [
            ManifestError::AmbiguousName {
                name: name.clone(),
                reason: reasoned,
            },
            ManifestError::bundle(malformed()),
            ManifestError::BundleTooLarge { limit: 1 },
            ManifestError::BundleUnsupported {
                reason: reason.clone(),
            },
            ManifestError::Cancelled { path: path.clone() },
            ManifestError::Empty { path: path.clone() },
            ManifestError::FileChanged {
                name: name.clone(),
                reason: reasoned,
            },
            ManifestError::FileDiffers {
                name: name.clone(),
                reason: reason.clone(),
            },
            ManifestError::FileMissing { name: name.clone() },
            ManifestError::FileSpecial { name: name.clone() },
            ManifestError::FileUnlisted {
                name: name.clone(),
                more: 2,
            },
            ManifestError::Io {
                action: "read",
                path: path.clone(),
                error: io::Error::from(io::ErrorKind::Other),
            },
            ManifestError::KeyUnsuitable {
                key,
                kind: Kind::Ed25519,
            },
            ManifestError::KeylessRefused {
                reason: reason.clone(),
            },
            ManifestError::NotListed { name: name.clone() },
            ManifestError::OtherKey { expected: key },
            ManifestError::OtherKind {
                signed: "a",
                path: path.clone(),
                found: "b",
            },
            ManifestError::OtherMethod {
                found: Method::Key,
                expected: Method::Certificate,
            },
            ManifestError::RootDigest {
                expected: digest.clone(),
                found: digest,
            },
            ManifestError::SignatureInvalid {
                signer: name.clone(),
            },
            ManifestError::statement(malformed()),
            ManifestError::StatementUnsafe {
                name: name.clone(),
                reason: reason.clone(),
            },
            ManifestError::StatementUnsupported { reason },
            ManifestError::Symlink { name: name.clone() },
            ManifestError::SymlinkDirectory { name: name.clone() },
            ManifestError::SymlinkOutside { name: name.clone() },
            ManifestError::TreeTooLarge {
                path: path.clone(),
                limit: 1,
                what: "entries",
            },
            ManifestError::TrustedRootMalformed {
                reason: String::from("b"),
            },
            ManifestError::Unreadable { path },
            ManifestError::Unshardable {
                name,
                reason: reasoned,
            },
        ];
        assert_eq!(errors.each_ref().map(ManifestError::code), CODES);
        for error in errors {
            assert!(!error.next_step().is_empty());
        }
    }
}
