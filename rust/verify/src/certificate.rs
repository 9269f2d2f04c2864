//! Certificates: whose key it is, as far as a pinned root says so.
//!
//! `rustls-webpki` builds the path and checks its signatures. What it leaves to its callers is
//! checked on every path it finds: the usages of each key, the length that each authority allows
//! (the root too), and that the root itself is valid now.

mod error;
mod parsed;
mod pem;

use std::{cell::RefCell, time::Duration};

use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use webpki::{EndEntityCert, KeyUsage, VerifiedPath, anchor_from_trusted_cert};

use crate::{Digest, KeyId, PublicKey};

pub use error::{CODES, CertificateError};
pub(crate) use parsed::LONGEST_NAME;
pub use pem::LONGEST_FILE;

use parsed::Parsed;

/// The object identifier of code signing, without tag and length.
const CODE_SIGNING: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 3];

const SIGNERS_KEY: &str = "key in the signer's certificate";
const AUTHORITYS_KEY: &str = "key in an authority's certificate";

/// What the operator pinned: roots, and authorities below them that a chain may need.
#[derive(Debug, Clone)]
pub struct Roots {
    roots: Vec<Parsed>,
    intermediates: Vec<Parsed>,
}

impl Roots {
    /// Reads a file of PEM blocks. Those that signed themselves, which is verified, are roots, or
    /// signers that are pinned themselves; the others only help to find the way.
    ///
    /// # Errors
    /// [`CertificateError`]: `malformed`, `no_root`.
    pub fn from_pem(file: &[u8]) -> Result<Self, CertificateError> {
        let what = "file of pinned certificates";
        let certificates = pem::blocks(file, what)?
            .iter()
            .map(|der| Parsed::from_der(der, what))
            .collect::<Result<Vec<_>, _>>()?;
        let count = certificates.len();
        let (roots, intermediates): (Vec<_>, Vec<_>) =
            certificates.into_iter().partition(Parsed::is_self_signed);
        if roots.is_empty() {
            return Err(CertificateError::NoRoot { count });
        }
        Ok(Self {
            roots,
            intermediates,
        })
    }
}

/// Who signed, as far as the certificates say.
#[derive(Debug, Clone)]
pub struct Holder {
    /// The key that signatures are verified with.
    pub key: PublicKey,
    /// The distinguished name, as RFC 4514 writes it: whole, and not for showing as it is.
    pub subject: String,
    /// SHA-256 of the certificate.
    pub certificate: Digest,
    /// The pinned root's distinguished name, in the same way.
    pub root_subject: String,
    /// SHA-256 of the pinned root, or of the pinned signer itself.
    pub root: Digest,
    /// The keys of that root and of the authorities between, which all vouched for the signer.
    pub authorities: Vec<KeyId>,
    /// Last second of the certificate's validity, since 1970.
    pub not_after: u64,
}

/// Certificates to sign with: the signer's own, and those that lead towards a root.
#[derive(Debug, Clone)]
pub struct Chain(Vec<Parsed>);

impl Chain {
    /// Reads a file of PEM blocks: the signer's certificate first.
    ///
    /// # Errors
    /// [`CertificateError::Malformed`].
    pub fn from_pem(file: &[u8]) -> Result<Self, CertificateError> {
        let what = "certificate chain";
        pem::blocks(file, what)?
            .iter()
            .map(|der| Parsed::from_der(der, what))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// The DER of each, the signer's first, if that is the one of `key` and signs models.
    ///
    /// # Errors
    /// [`CertificateError`]: `malformed`, `other_key`, `key_usage`, `extended_key_usage`, `expired`,
    /// `not_yet_valid`, `critical_extension`.
    pub fn of_key(&self, key: &PublicKey, now: Duration) -> Result<Vec<Vec<u8>>, CertificateError> {
        let Some(own) = self.0.first() else {
            return Err(CertificateError::malformed(
                "certificate chain",
                &"it is empty",
            ));
        };
        if own.public_key(SIGNERS_KEY)?.id() != key.id() {
            return Err(CertificateError::OtherKey {
                subject: own.subject.clone(),
            });
        }
        own.signs_models()?;
        own.valid_at(now)?;
        Ok(self.0.iter().map(|parsed| parsed.der.clone()).collect())
    }
}

/// Whom `chain` (DER, the signer's first) names, if it leads to one of `roots` at `now`, a time
/// since 1970.
///
/// # Errors
/// [`CertificateError`], all but `no_root` and `other_key`.
pub fn verify(chain: &[Vec<u8>], roots: &Roots, now: Duration) -> Result<Holder, CertificateError> {
    let what = "signer's certificate chain";
    let chain = chain
        .iter()
        .map(|der| Parsed::from_der(der, what))
        .collect::<Result<Vec<_>, _>>()?;
    let Some((signer, others)) = chain.split_first() else {
        return Err(CertificateError::malformed(what, &"it is empty"));
    };
    signer.valid_at(now)?;
    signer.signs_models()?;
    let pinned = roots.roots.iter().find(|root| root.der == signer.der);
    let (root, authorities) = match pinned {
        // Pinned byte for byte: nobody has to vouch for it.
        Some(root) => (root, vec![root.public_key(SIGNERS_KEY)?.id()]),
        None if signer.is_authority()? => {
            return Err(CertificateError::Authority {
                subject: signer.subject.clone(),
                reason: "signed a model, but it is an authority",
            });
        }
        None => path(signer, others, roots, now)?,
    };
    Ok(Holder {
        key: signer.public_key(SIGNERS_KEY)?,
        subject: signer.name.clone(),
        certificate: signer.fingerprint(),
        root_subject: root.name.clone(),
        root: root.fingerprint(),
        authorities,
        not_after: signer.validity().1,
    })
}

/// The key in a certificate that was verified elsewhere, and the certificate's SHA-256.
pub(crate) fn key_of(der: &[u8]) -> Result<(PublicKey, Digest), CertificateError> {
    let parsed = Parsed::from_der(der, "signer's certificate")?;
    Ok((parsed.public_key(SIGNERS_KEY)?, parsed.fingerprint()))
}

/// The root at the end of a path that holds in every respect, and the keys of all authorities on it.
fn path<'r>(
    signer: &Parsed,
    others: &[Parsed],
    roots: &'r Roots,
    now: Duration,
) -> Result<(&'r Parsed, Vec<KeyId>), CertificateError> {
    let malformed = |error: webpki::Error| CertificateError::malformed("certificate chain", &error);
    let signer_der = CertificateDer::from(signer.der.as_slice());
    let end_entity = EndEntityCert::try_from(&signer_der).map_err(malformed)?;
    let root_ders: Vec<_> = roots
        .roots
        .iter()
        .map(|root| CertificateDer::from(root.der.as_slice()))
        .collect();
    let anchors = root_ders
        .iter()
        .map(anchor_from_trusted_cert)
        .collect::<Result<Vec<_>, _>>()
        .map_err(malformed)?;
    let between: Vec<_> = others.iter().chain(&roots.intermediates).collect();
    let intermediates: Vec<_> = between
        .iter()
        .map(|parsed| CertificateDer::from(parsed.der.as_slice()))
        .collect();
    // The last objection to a path, as webpki only learns that there is one.
    let objection: RefCell<Option<CertificateError>> = RefCell::new(None);
    let end: RefCell<Option<(&'r Parsed, Vec<KeyId>)>> = RefCell::new(None);
    let verify_path = |path: &VerifiedPath<'_>| match holds(path, &anchors, roots, now) {
        Ok(found) => {
            *end.borrow_mut() = Some(found);
            Ok(())
        }
        Err(error) => {
            *objection.borrow_mut() = Some(error);
            Err(webpki::Error::UnknownIssuer)
        }
    };
    let built = end_entity.verify_for_usage(
        webpki::ALL_VERIFICATION_ALGS,
        &anchors,
        &intermediates,
        UnixTime::since_unix_epoch(now),
        // `required` would also demand it of authorities, which mostly don't say.
        KeyUsage::required_if_present(CODE_SIGNING),
        None,
        Some(&verify_path),
    );
    if let Err(error) = built {
        return Err(objection
            .into_inner()
            .unwrap_or_else(|| explain(&error, others, now)));
    }
    end.into_inner().ok_or(CertificateError::Untrusted {
        reason: "the path was not looked at".to_owned(),
    })
}

/// Checks what webpki doesn't, of each authority of a path from the signer up to the root.
fn holds<'r>(
    path: &VerifiedPath<'_>,
    anchors: &[TrustAnchor<'_>],
    roots: &'r Roots,
    now: Duration,
) -> Result<(&'r Parsed, Vec<KeyId>), CertificateError> {
    let mut below = 0;
    let mut keys = Vec::new();
    for certificate in path.intermediate_certificates() {
        let parsed = Parsed::from_der(&certificate.der(), "intermediate certificate")?;
        parsed.valid_at(now)?;
        parsed.signs_certificates(below)?;
        keys.push(parsed.public_key(AUTHORITYS_KEY)?.id());
        // Self-issued ones don't count (RFC 5280, 4.2.1.9).
        below += usize::from(!parsed.is_self_issued());
    }
    let mut refused = CertificateError::Untrusted {
        reason: "it ends at no pinned root".to_owned(),
    };
    // Roots are renewed under the same name and key: one of them has to hold.
    for (anchor, root) in anchors.iter().zip(&roots.roots) {
        if anchor == path.anchor() {
            match root
                .valid_at(now)
                .and_then(|()| root.signs_certificates(below))
            {
                Ok(()) => {
                    keys.push(root.public_key(AUTHORITYS_KEY)?.id());
                    keys.reverse();
                    return Ok((root, keys));
                }
                Err(error) => refused = error,
            }
        }
    }
    Err(refused)
}

/// What a failure of webpki's comes from, if one of the authorities is at fault by itself.
fn explain(error: &webpki::Error, others: &[Parsed], now: Duration) -> CertificateError {
    let unrelated = matches!(
        error,
        webpki::Error::UnknownIssuer | webpki::Error::InvalidSignatureForPublicKey
    );
    if !unrelated {
        for (below, parsed) in others.iter().enumerate() {
            let checked = parsed
                .valid_at(now)
                .and_then(|()| parsed.signs_certificates(below));
            if let Err(error) = checked {
                return error;
            }
        }
    }
    CertificateError::Untrusted {
        reason: error.to_string(),
    }
}
