//! A certificate, and what it says about itself.

use std::time::Duration;

use rustls_pki_types::SubjectPublicKeyInfoDer;
use webpki::RawPublicKeyEntity;
use x509_cert::{
    Certificate,
    der::{
        Decode, Encode, Reader, SliceReader, Tag, Tagged,
        asn1::{AnyRef, ObjectIdentifier},
        oid::AssociatedOid,
    },
    ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage, NameConstraints, SubjectAltName},
    name::Name,
};

use crate::{Algorithm, Digest, Hasher, PublicKey, manifest::shown};

use super::CertificateError;

const CODE_SIGNING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.3");
/// Characters of the longest name: as many as a policy can write.
pub(crate) const LONGEST_NAME: usize = 1024;

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
    /// The distinguished name, whole: signers are told apart by it.
    pub(super) name: String,
    /// The same, as messages show it.
    pub(super) subject: String,
    certificate: Certificate,
}

impl Parsed {
    pub(super) fn from_der(der: &[u8], what: &'static str) -> Result<Self, CertificateError> {
        let certificate = Certificate::from_der(der)
            .map_err(|error| CertificateError::malformed(what, &error))?;
        let name = name_of(certificate.tbs_certificate().subject())
            .map_err(|reason| CertificateError::malformed(what, &reason))?;
        let parsed = Self {
            subject: shown(&name),
            name,
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

    /// Whether it was signed by its own key. That issuer and subject are the same proves nothing:
    /// anybody can write a root's name and key into a certificate of another fingerprint.
    pub(super) fn is_self_signed(&self) -> bool {
        self.is_self_issued() && self.verify_by_own_key().is_some()
    }

    fn verify_by_own_key(&self) -> Option<()> {
        let certificate = &self.certificate;
        if certificate.signature_algorithm() != certificate.tbs_certificate().signature() {
            return None;
        }
        // As it was signed, not as it would be encoded again.
        let signed = SliceReader::new(&self.der)
            .and_then(|mut reader| {
                reader.sequence(|fields| {
                    let signed = fields.tlv_bytes()?;
                    let _algorithm = fields.tlv_bytes()?;
                    let _signature = fields.tlv_bytes()?;
                    Ok::<_, x509_cert::der::Error>(signed)
                })
            })
            .ok()?;
        let algorithm = certificate.signature_algorithm().to_der().ok()?;
        let algorithm = AnyRef::from_der(&algorithm).ok()?;
        let signature = certificate.signature().as_bytes()?;
        let spki = SubjectPublicKeyInfoDer::from(self.spki().ok()?);
        let key = RawPublicKeyEntity::try_from(&spki).ok()?;
        webpki::ALL_VERIFICATION_ALGS
            .iter()
            .filter(|known| known.signature_alg_id().as_ref() == algorithm.value())
            .find_map(|known| key.verify_signature(*known, signed, signature).ok())
    }

    /// Its key; `what` names that in messages.
    pub(super) fn public_key(&self, what: &'static str) -> Result<PublicKey, CertificateError> {
        let malformed = |error: &dyn std::fmt::Display| CertificateError::malformed(what, error);
        let spki = self.spki().map_err(|error| malformed(&error))?;
        PublicKey::from_spki(&spki).map_err(|error| malformed(&error))
    }

    fn spki(&self) -> x509_cert::der::Result<Vec<u8>> {
        self.certificate
            .tbs_certificate()
            .subject_public_key_info()
            .to_der()
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

/// A distinguished name as RFC 4514 writes it, to its last character; one that would have to be cut
/// or changed to be shown is refused, as two of them could then look like one.
fn name_of(name: &Name) -> Result<String, String> {
    let text = name.to_string();
    if text.chars().nth(LONGEST_NAME).is_some() {
        return Err(format!("its name has more than {LONGEST_NAME} characters"));
    }
    // The text has those of ASCII escaped; what isn't text is written in hexadecimal digits.
    let controls = name.iter().any(|attribute| {
        let value = &attribute.value;
        matches!(
            value.tag(),
            Tag::PrintableString | Tag::Utf8String | Tag::Ia5String | Tag::TeletexString
        ) && value.value().iter().any(u8::is_ascii_control)
    });
    if controls || text.chars().any(char::is_control) {
        return Err("its name has control characters".to_owned());
    }
    Ok(text)
}
