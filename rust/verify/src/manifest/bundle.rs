//! The Sigstore bundle v0.3: an envelope, and what names whoever signed it.

use std::borrow::Cow;

use base64ct::{Base64, Encoding};
use serde_json::json;

use super::{
    ManifestError, Method,
    envelope::{self, Envelope},
    json::{self, At, Malformed, Object, Value},
    text,
};

/// Bytes of the largest bundle that is read: the list of about a hundred thousand files.
pub const LARGEST_BUNDLE: usize = 32 << 20;

const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

/// Most certificates of a chain, and bytes of the largest.
const LONGEST_CHAIN: usize = 8;
const LARGEST_CERTIFICATE: usize = 16 << 10;

/// A bundle that nobody has verified yet.
#[derive(Debug)]
pub(super) struct Bundle {
    pub(super) material: Material,
    pub(super) envelope: Envelope,
}

/// What names the signer; trusted for nothing.
#[derive(Debug)]
pub(super) enum Material {
    /// A key, by the hint that the reference writes: the SHA-256 of its PEM.
    Key { hint: Option<String> },
    /// Certificates in DER: the signer's, then its issuers.
    Chain(Vec<Vec<u8>>),
    /// A certificate of the keyless method, in DER; the logs vouch for its time.
    Keyless(Vec<u8>),
}

impl Material {
    pub(super) const fn method(&self) -> Method {
        match self {
            Self::Key { .. } => Method::Key,
            Self::Chain(_) => Method::Certificate,
            Self::Keyless(_) => Method::Sigstore,
        }
    }
}

impl Bundle {
    /// Reads one.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, ManifestError> {
        if bytes.len() > LARGEST_BUNDLE {
            return Err(ManifestError::BundleTooLarge {
                limit: LARGEST_BUNDLE,
            });
        }
        let at = &At::Root;
        let mut fields = json::parse(bytes)
            .and_then(|value| value.object(at))
            .map_err(ManifestError::bundle)?;
        let media_type = fields
            .text(at, "mediaType", 256)
            .map_err(ManifestError::bundle)?;
        if media_type != MEDIA_TYPE {
            return Err(ManifestError::BundleUnsupported {
                reason: format!(
                    "it is of the type \"{}\", not {MEDIA_TYPE}",
                    text::shown(&media_type)
                ),
            });
        }
        if fields.optional("messageSignature").is_some() {
            return Err(ManifestError::BundleUnsupported {
                reason: "it signs a message, not a statement".to_owned(),
            });
        }
        let material = fields
            .field(at, "verificationMaterial")
            .and_then(|value| Material::read(value, &At::Field(at, "verificationMaterial")))
            .map_err(ManifestError::bundle)?;
        let envelope = fields
            .field(at, "dsseEnvelope")
            .map_err(ManifestError::bundle)?;
        let envelope = Envelope::read(envelope, &At::Field(at, "dsseEnvelope"))?;
        fields.finish(at).map_err(ManifestError::bundle)?;
        Ok(Self { material, envelope })
    }

    /// A bundle's bytes.
    pub(super) fn write(material: &Material, payload: &[u8], signature: &[u8]) -> Vec<u8> {
        let material = match material {
            Material::Key { hint } => json!({ "publicKey": { "hint": hint }, "tlogEntries": [] }),
            Material::Chain(chain) => {
                let certificates: Vec<_> = chain
                    .iter()
                    .map(|der| json!({ "rawBytes": Base64::encode_string(der) }))
                    .collect();
                json!({
                    "x509CertificateChain": { "certificates": certificates },
                    "tlogEntries": [],
                })
            }
            Material::Keyless(der) => json!({
                "certificate": { "rawBytes": Base64::encode_string(der) },
            }),
        };
        json!({
            "mediaType": MEDIA_TYPE,
            "verificationMaterial": material,
            "dsseEnvelope": Envelope::to_json(payload, signature),
        })
        .to_string()
        .into_bytes()
    }
}

impl Material {
    fn read(value: Value<'_>, at: &At<'_>) -> Result<Self, Malformed> {
        let mut fields = value.object(at)?;
        let key = fields.optional("publicKey");
        let chain = fields.optional("x509CertificateChain");
        let certificate = fields.optional("certificate");
        // Proofs of the logs: the keyless method reads them, the others rest on nothing in them.
        if let Some(entries) = fields.optional("tlogEntries") {
            entries.array(&At::Field(at, "tlogEntries"))?;
        }
        if let Some(stamps) = fields.optional("timestampVerificationData") {
            stamps.object(&At::Field(at, "timestampVerificationData"))?;
        }
        fields.finish(at)?;
        match (key, chain, certificate) {
            (Some(key), None, None) => read_key(key, &At::Field(at, "publicKey")),
            (None, Some(chain), None) => read_chain(chain, &At::Field(at, "x509CertificateChain")),
            (None, None, Some(certificate)) => {
                let at = At::Field(at, "certificate");
                read_certificate(certificate, &at).map(Self::Keyless)
            }
            _ => Err(at.malformed(
                "it holds none, or several, of publicKey, x509CertificateChain and certificate",
            )),
        }
    }
}

fn read_key(value: Value<'_>, at: &At<'_>) -> Result<Material, Malformed> {
    let mut fields = value.object(at)?;
    let hint = optional_text(&mut fields, at, "hint", 256)?;
    // What model-signing 1.0 wrote besides. The key is the caller's, whatever stands here.
    optional_text(&mut fields, at, "rawBytes", 4096)?;
    optional_text(&mut fields, at, "keyDetails", 256)?;
    fields.finish(at)?;
    Ok(Material::Key {
        hint: hint.filter(|hint| !hint.is_empty()).map(Cow::into_owned),
    })
}

fn optional_text<'a>(
    fields: &mut Object<'a>,
    at: &At<'_>,
    name: &'static str,
    longest: usize,
) -> Result<Option<Cow<'a, str>>, Malformed> {
    fields
        .optional(name)
        .map(|value| value.text(&At::Field(at, name), longest))
        .transpose()
}

fn read_chain(value: Value<'_>, at: &At<'_>) -> Result<Material, Malformed> {
    let mut fields = value.object(at)?;
    let at_certificates = At::Field(at, "certificates");
    let certificates = fields.field(at, "certificates")?.array(&at_certificates)?;
    fields.finish(at)?;
    if !(1..=LONGEST_CHAIN).contains(&certificates.len()) {
        return Err(at_certificates.malformed(format!(
            "it holds {} certificates, not 1 to {LONGEST_CHAIN}",
            certificates.len()
        )));
    }
    certificates
        .into_iter()
        .enumerate()
        .map(|(index, value)| read_certificate(value, &At::Item(&at_certificates, index)))
        .collect::<Result<_, _>>()
        .map(Material::Chain)
}

fn read_certificate(value: Value<'_>, at: &At<'_>) -> Result<Vec<u8>, Malformed> {
    let mut fields = value.object(at)?;
    let der = envelope::bytes(
        fields.field(at, "rawBytes")?,
        &At::Field(at, "rawBytes"),
        LARGEST_CERTIFICATE,
    )?;
    fields.finish(at)?;
    Ok(der)
}
