//! A statement that was signed by a trusted key, and is no better for it: never a panic, and what is
//! accepted names only files inside the tree.

#![no_main]

use std::sync::LazyLock;

use base64ct::{Base64, Encoding};
use libfuzzer_sys::fuzz_target;
use strongroom_verify::{
    PrivateKey, Scheme,
    key::Kind,
    manifest::{Trust, read},
};

static KEY: LazyLock<PrivateKey> =
    LazyLock::new(|| PrivateKey::generate(Kind::P256).expect("a key"));

const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

fuzz_target!(|payload: &[u8]| {
    if payload.is_empty() {
        return;
    }
    let mut message =
        format!("DSSEv1 {} {PAYLOAD_TYPE} {} ", PAYLOAD_TYPE.len(), payload.len()).into_bytes();
    message.extend_from_slice(payload);
    let signature = KEY.sign_message(Scheme::Ecdsa, &message).expect("it signs");
    let bundle = format!(
        r#"{{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{{"publicKey":{{}}}},"dsseEnvelope":{{"payload":"{}","payloadType":"{PAYLOAD_TYPE}","signatures":[{{"sig":"{}"}}]}}}}"#,
        Base64::encode_string(payload),
        Base64::encode_string(&signature),
    );
    match read(bundle.as_bytes(), &Trust::Key(KEY.public())) {
        Err(error) => {
            assert!(error.code().starts_with("manifest.statement_") || error.code() == "manifest.root_digest");
            assert!(!error.to_string().contains(char::is_control));
        }
        Ok(verified) => {
            for name in verified.names() {
                assert!(!name.starts_with('/') && !name.contains('\0'));
                assert!(name.split('/').all(|part| !matches!(part, "" | "..")));
            }
        }
    }
});
