//! The DSSE envelope: raw bytes, and a signature over them and their type.

use base64ct::{Base64, Encoding};

use super::{
    ManifestError,
    json::{At, Malformed, Value},
};

/// The one type of payload.
const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// Longest signature: ECDSA on P-521 has 139 bytes.
const LONGEST_SIGNATURE: usize = 1 << 10;

/// A payload that nobody has verified yet.
#[derive(Debug)]
pub(super) struct Envelope {
    pub(super) payload: Vec<u8>,
    pub(super) signature: Vec<u8>,
}

impl Envelope {
    /// Reads one with exactly one signature.
    pub(super) fn read(value: Value<'_>, at: &At<'_>) -> Result<Self, ManifestError> {
        let mut fields = value.object(at).map_err(ManifestError::bundle)?;
        let payload_type = fields
            .text(at, "payloadType", 256)
            .map_err(ManifestError::bundle)?;
        if payload_type != PAYLOAD_TYPE {
            return Err(ManifestError::BundleUnsupported {
                reason: format!(
                    "its payload is of the type \"{}\", not {PAYLOAD_TYPE}",
                    super::text::shown(&payload_type)
                ),
            });
        }
        Self::parts(fields, at).map_err(ManifestError::bundle)
    }

    fn parts(mut fields: super::json::Object<'_>, at: &At<'_>) -> Result<Self, Malformed> {
        let payload = bytes(
            fields.field(at, "payload")?,
            &At::Field(at, "payload"),
            usize::MAX,
        )?;
        let at_signatures = At::Field(at, "signatures");
        let mut signatures = fields.field(at, "signatures")?.array(&at_signatures)?;
        fields.finish(at)?;
        let (Some(signature), true) = (signatures.pop(), signatures.is_empty()) else {
            return Err(at_signatures.malformed("it holds no signature, or several"));
        };
        let at = At::Item(&at_signatures, 0);
        let mut fields = signature.object(&at)?;
        let signature = bytes(
            fields.field(&at, "sig")?,
            &At::Field(&at, "sig"),
            LONGEST_SIGNATURE,
        )?;
        // A hint that DSSE allows; whose signature it is, is decided by the key alone.
        if let Some(id) = fields
            .optional("keyid")
            // model-signing 1.0 wrote null.
            .filter(|id| !matches!(id, Value::Null))
        {
            id.text(&At::Field(&at, "keyid"), 256)?;
        }
        fields.finish(&at)?;
        Ok(Self { payload, signature })
    }

    /// What the signature is over.
    pub(super) fn signed_bytes(&self) -> Vec<u8> {
        pre_authentication_encoding(&self.payload)
    }

    /// The envelope's JSON.
    pub(super) fn to_json(payload: &[u8], signature: &[u8]) -> serde_json::Value {
        serde_json::json!({
            "payload": Base64::encode_string(payload),
            "payloadType": PAYLOAD_TYPE,
            "signatures": [{ "sig": Base64::encode_string(signature), "keyid": "" }],
        })
    }
}

/// PAE of DSSE v1: `DSSEv1`, the type and the payload, each with its length before it.
pub(super) fn pre_authentication_encoding(payload: &[u8]) -> Vec<u8> {
    let mut encoded = format!(
        "DSSEv1 {} {PAYLOAD_TYPE} {} ",
        PAYLOAD_TYPE.len(),
        payload.len()
    )
    .into_bytes();
    encoded.extend_from_slice(payload);
    encoded
}

/// Bytes in base64: the standard alphabet, padded, without anything between; at most `longest`, and
/// not none.
pub(super) fn bytes(value: Value<'_>, at: &At<'_>, longest: usize) -> Result<Vec<u8>, Malformed> {
    let text = value.text(at, longest.saturating_mul(2))?;
    let bytes = Base64::decode_vec(&text).map_err(|_| at.malformed("it is no canonical base64"))?;
    match bytes.len() {
        0 => Err(at.malformed("it is empty")),
        length if length > longest => {
            Err(at.malformed(format!("it has {length} bytes, more than {longest}")))
        }
        _ => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_encoding_is_that_of_dsse() {
        // The form of the protocol's own example, with the one type that is used here.
        assert_eq!(
            pre_authentication_encoding(b"hello world"),
            b"DSSEv1 28 application/vnd.in-toto+json 11 hello world"
        );
    }
}
