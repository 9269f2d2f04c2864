//! Verifying who signed a bundle.

use std::time::Duration;

use crate::{
    PublicKey, Scheme,
    certificate::{self, Roots},
    key::Kind,
};

use super::{
    ManifestError, Method, Signer, TrustedRoot, Verified,
    bundle::{Bundle, Material},
    envelope::Envelope,
    keyless,
    statement::Statement,
};

/// Whose signature is accepted.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Trust<'a> {
    /// By this key.
    Key(&'a PublicKey),
    /// By a certificate that one of these roots vouches for.
    Certificate {
        /// What the operator pinned.
        roots: &'a Roots,
        /// The time to hold certificates to, since 1970.
        now: Duration,
    },
    /// By an identity, at a time that logs vouch for.
    Sigstore {
        /// The authorities and logs.
        root: &'a TrustedRoot,
        /// The identity in the certificate, exactly.
        identity: &'a str,
        /// Who has to have vouched for it, exactly.
        issuer: &'a str,
    },
}

impl Trust<'_> {
    const fn method(&self) -> Method {
        match self {
            Self::Key(_) => Method::Key,
            Self::Certificate { .. } => Method::Certificate,
            Self::Sigstore { .. } => Method::Sigstore,
        }
    }
}

/// Verifies a bundle's signature, then reads the statement in it.
///
/// # Errors
/// [`ManifestError`]: `bundle_…`, `statement_…`, `other_method`, `other_key`, `key_unsuitable`,
/// `signature_invalid`, `keyless_refused`, `root_digest`, and the codes of certificates.
pub fn read(bundle: &[u8], trust: &Trust<'_>) -> Result<Verified, ManifestError> {
    let Bundle { material, envelope } = Bundle::read(bundle)?;
    match (*trust, &material) {
        (Trust::Key(key), Material::Key { hint }) => {
            suits(key)?;
            if let Some(hint) = hint
                && *hint != hint_of(key)?
            {
                return Err(ManifestError::OtherKey { expected: key.id() });
            }
            signed_by(key, Signer::Key(key.id()), &envelope)
        }
        (Trust::Certificate { roots, now }, Material::Chain(chain)) => {
            let holder = certificate::verify(chain, roots, now)?;
            let key = holder.key.clone();
            signed_by(&key, Signer::Certificate(Box::new(holder)), &envelope)
        }
        (
            Trust::Sigstore {
                root,
                identity,
                issuer,
            },
            Material::Keyless(certificate),
        ) => {
            let (identity, statement) =
                keyless::verify(bundle, &envelope, certificate, root, identity, issuer)?;
            let signer = Signer::Sigstore(Box::new(identity));
            Ok(Verified::new(signer, statement))
        }
        _ => Err(ManifestError::OtherMethod {
            found: material.method(),
            expected: trust.method(),
        }),
    }
}

/// Verifies the envelope's signature by a key that is trusted, then reads what it is around.
fn signed_by(
    key: &PublicKey,
    signer: Signer,
    envelope: &Envelope,
) -> Result<Verified, ManifestError> {
    suits(key)?;
    // The curve decides the hash, so there is none for a bundle to choose.
    key.verify_message(Scheme::Ecdsa, &envelope.signed_bytes(), &envelope.signature)
        .map_err(|_| ManifestError::SignatureInvalid {
            signer: signer.to_string(),
        })?;
    let statement = Statement::read(&envelope.payload)?;
    Ok(Verified::new(signer, statement))
}

/// The format signs with ECDSA on three curves.
pub(super) fn suits(key: &PublicKey) -> Result<(), ManifestError> {
    match key.kind() {
        Kind::P256 | Kind::P384 | Kind::P521 => Ok(()),
        kind => Err(ManifestError::KeyUnsuitable {
            key: key.id(),
            kind,
        }),
    }
}

/// How the reference names a key: the SHA-256 of its PEM, in hexadecimal digits.
pub(super) fn hint_of(key: &PublicKey) -> Result<String, ManifestError> {
    let digest = crate::Hasher::digest(crate::Algorithm::Sha256, key.to_pem()?.as_bytes());
    Ok(base16ct::lower::encode_string(digest.as_bytes()))
}
