//! A certificate, and what it says about itself.

use std::time::Duration;

use x509_cert::{
    Certificate,
    der::{Decode, Encode, asn1::ObjectIdentifier, oid::AssociatedOid},
    ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage, NameConstraints, SubjectAltName},
};

use crate::{Algorithm, Digest, Hasher, PublicKey, manifest::shown};

use super::CertificateError;

const CODE_SIGNING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.3");
const ANY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37.0");

/// Critical extensions whose restrictions are checked: by webpki on the way to the anchor, here for
/// all of the chain.
const KNOWN: [ObjectIdentifier; 5] = [
    BasicConstraints::OID,
    KeyUsage::OID,
    ExtendedKeyUsage::OID,
    NameConstraints::OID,
    SubjectAltName::OID,
];

/// A certificate that was read to its last byte.
#[derive(Debug, Clone)]
pub(super) struct Parsed {
    pub(super) der: Vec<u8>,
    pub(super) subject: String,
    certificate: Certificate,
}

impl Parsed {
    pub(super) fn from_der(der: &[u8], what: &'static str) -> Result<Self, CertificateError> {
        let certificate = Certificate::from_der(der)
            .map_err(|error| CertificateError::malformed(what, &error))?;
        let parsed = Self {
            subject: shown(&certificate.tbs_certificate().subject().to_string()),
            der: der.to_vec(),
            certificate,
        };
        parsed.no_extension_twice(what)?;
        Ok(parsed)
    }

    /// SHA-256 of its DER.
    pub(super) fn fingerprint(&self) -> Digest {
        Hasher::digest(Algorithm::Sha256, &self.der)
    }

    /// Whether issuer and subject are the same.
    pub(super) fn is_self_issued(&self) -> bool {
        let certificate = self.certificate.tbs_certificate();
        certificate.issuer() == certificate.subject()
    }

    pub(super) fn public_key(&self) -> Result<PublicKey, CertificateError> {
        let malformed = |error: &dyn std::fmt::Display| {
            CertificateError::malformed("key in the signer's certificate", error)
        };
        let spki = self
            .certificate
            .tbs_certificate()
            .subject_public_key_info()
            .to_der()
            .map_err(|error| malformed(&error))?;
        PublicKey::from_spki(&spki).map_err(|error| malformed(&error))
    }

    /// Its first and last valid second, as seconds since 1970.
    pub(super) fn validity(&self) -> (u64, u64) {
        let validity = self.certificate.tbs_certificate().validity();
        (
            validity.not_before.to_unix_duration().as_secs(),
            validity.not_after.to_unix_duration().as_secs(),
        )
    }

    pub(super) fn valid_at(&self, now: Duration) -> Result<(), CertificateError> {
        let validity = self.certificate.tbs_certificate().validity();
        let (not_before, not_after) = self.validity();
        // To the second, as certificates are: the last one is valid to its end.
        if now.as_secs() > not_after {
            return Err(CertificateError::Expired {
                subject: self.subject.clone(),
                not_after: validity.not_after.to_date_time().to_string(),
            });
        }
        if now.as_secs() < not_before {
            return Err(CertificateError::NotYetValid {
                subject: self.subject.clone(),
                not_before: validity.not_before.to_date_time().to_string(),
            });
        }
        Ok(())
    }

    /// Whether it says that it is an authority.
    pub(super) fn is_authority(&self) -> Result<bool, CertificateError> {
        let constraints: Option<BasicConstraints> = self.extension()?;
        Ok(constraints.is_some_and(|constraints| constraints.ca))
    }

    /// A certificate that signs models: for digital signatures, and for code.
    pub(super) fn signs_models(&self) -> Result<(), CertificateError> {
        let usage: Option<KeyUsage> = self.extension()?;
        if !usage.is_some_and(|usage| usage.digital_signature()) {
            return Err(self.key_may_not("sign digitally"));
        }
        match self.extension::<ExtendedKeyUsage>()? {
            Some(usage) if usage.0.contains(&CODE_SIGNING) => {}
            _ => return Err(self.not_for_code()),
        }
        self.no_unknown_restriction()
    }

    /// A certificate that signs others, with so many authorities between it and the signer.
    pub(super) fn signs_certificates(&self, below: usize) -> Result<(), CertificateError> {
        let authority: Option<BasicConstraints> = self.extension()?;
        let Some(constraints) = authority.filter(|constraints| constraints.ca) else {
            return Err(CertificateError::Authority {
                subject: self.subject.clone(),
                reason: "signed another, but it is no authority",
            });
        };
        if let Some(allowed) = constraints.path_len_constraint.map(usize::from)
            && below > allowed
        {
            return Err(CertificateError::PathLength {
                subject: self.subject.clone(),
                allowed,
                found: below,
            });
        }
        // Absent, it restricts nothing (RFC 5280, 4.2.1.3): many roots are like that.
        if let Some(usage) = self.extension::<KeyUsage>()?
            && !usage.key_cert_sign()
        {
            return Err(self.key_may_not("sign certificates"));
        }
        if let Some(usage) = self.extension::<ExtendedKeyUsage>()?
            && !usage.0.contains(&CODE_SIGNING)
            && !usage.0.contains(&ANY_USAGE)
        {
            return Err(self.not_for_code());
        }
        self.no_unknown_restriction()
    }

    fn extension<T>(&self) -> Result<Option<T>, CertificateError>
    where
        T: for<'a> Decode<'a, Error = x509_cert::der::Error> + AssociatedOid,
    {
        self.certificate
            .tbs_certificate()
            .get_extension::<T>()
            .map(|found| found.map(|(_, extension)| extension))
            .map_err(|error| CertificateError::malformed("certificate's extension", &error))
    }

    fn no_extension_twice(&self, what: &'static str) -> Result<(), CertificateError> {
        let mut seen: Vec<_> = self.extensions().map(|(oid, _)| oid).collect();
        seen.sort_unstable();
        if seen.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(CertificateError::malformed(
                what,
                &"it has an extension twice",
            ));
        }
        Ok(())
    }

    fn no_unknown_restriction(&self) -> Result<(), CertificateError> {
        match self
            .extensions()
            .find(|(oid, critical)| *critical && !KNOWN.contains(oid))
        {
            None => Ok(()),
            Some((oid, _)) => Err(CertificateError::CriticalExtension {
                subject: self.subject.clone(),
                oid: oid.to_string(),
            }),
        }
    }

    fn extensions(&self) -> impl Iterator<Item = (ObjectIdentifier, bool)> {
        self.certificate
            .tbs_certificate()
            .extensions()
            .into_iter()
            .flatten()
            .map(|extension| (extension.extn_id, extension.critical))
    }

    fn key_may_not(&self, purpose: &'static str) -> CertificateError {
        CertificateError::KeyUsage {
            subject: self.subject.clone(),
            purpose,
        }
    }

    fn not_for_code(&self) -> CertificateError {
        CertificateError::ExtendedKeyUsage {
            subject: self.subject.clone(),
        }
    }
}
