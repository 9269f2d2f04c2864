//! Trees, keys, and bundles that are taken apart, changed and signed again.

use std::{fs, ops::ControlFlow, path::Path, sync::LazyLock};

use base64ct::{Base64, Encoding};
use serde_json::{Value, json};
use strongroom_verify::{
    PrivateKey, Scheme,
    key::Kind,
    manifest::{Evidence, Ignored, ManifestError, Options, Scope, Signing, Trust, read, sign},
};
use tempfile::TempDir;

/// The key that signs here.
pub(crate) static KEY: LazyLock<PrivateKey> =
    LazyLock::new(|| PrivateKey::generate(Kind::P256).unwrap());

pub(crate) const KEY_TYPE: &str = "application/vnd.in-toto+json";

/// A directory with files: by path, with their bytes.
pub(crate) fn tree(files: &[(&str, &[u8])]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (path, bytes) in files {
        let path = directory.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    directory
}

/// Three files, one of them in a directory and one empty.
pub(crate) fn model() -> TempDir {
    tree(&[
        ("config.json", b"{}"),
        ("weights/a.gguf", &[7; 3_000_000]),
        ("weights/empty", b""),
    ])
}

pub(crate) fn go_on(_: u64, _: u64) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

pub(crate) fn signed(root: &Path, options: &Options<'_>) -> Vec<u8> {
    sign(root, &Signing::Key(&KEY), options, &mut go_on).unwrap()
}

/// Reads a bundle by [`KEY`] and holds the whole tree to it.
pub(crate) fn verify(bundle: &[u8], root: &Path) -> Result<Evidence, ManifestError> {
    verify_ignoring(bundle, root, &[])
}

pub(crate) fn verify_ignoring(
    bundle: &[u8],
    root: &Path,
    paths: &[&str],
) -> Result<Evidence, ManifestError> {
    let mut ignored = Ignored::default();
    for path in paths {
        ignored.add(path)?;
    }
    read(bundle, &Trust::Key(KEY.public()))?.check(root, Scope::Everything, &ignored, &mut go_on)
}

/// The code of a refusal, whose message is fit for a terminal.
pub(crate) fn code<T: std::fmt::Debug>(result: Result<T, ManifestError>) -> &'static str {
    let error = result.unwrap_err();
    assert!(!error.next_step().is_empty());
    let message = error.to_string();
    assert!(!message.contains(['\n', '\x1b']), "{message:?}");
    assert!(message.len() < 2_000, "{message:?}");
    error.code()
}

/// The bundle as JSON.
pub(crate) fn json_of(bundle: &[u8]) -> Value {
    serde_json::from_slice(bundle).unwrap()
}

/// The statement in a bundle.
pub(crate) fn statement_of(bundle: &[u8]) -> Value {
    let bundle = json_of(bundle);
    let payload = bundle["dsseEnvelope"]["payload"].as_str().unwrap();
    serde_json::from_slice(&Base64::decode_vec(payload).unwrap()).unwrap()
}

/// A bundle by [`KEY`] around any payload.
pub(crate) fn wrap(payload: &[u8]) -> Value {
    wrap_by(&KEY, payload)
}

pub(crate) fn wrap_by(key: &PrivateKey, payload: &[u8]) -> Value {
    let mut message =
        format!("DSSEv1 {} {KEY_TYPE} {} ", KEY_TYPE.len(), payload.len()).into_bytes();
    message.extend_from_slice(payload);
    let signature = key.sign_message(Scheme::Ecdsa, &message).unwrap();
    json!({
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": { "publicKey": {}, "tlogEntries": [] },
        "dsseEnvelope": {
            "payload": Base64::encode_string(payload),
            "payloadType": KEY_TYPE,
            "signatures": [{ "sig": Base64::encode_string(&signature) }],
        },
    })
}

/// A statement of files: by name, with the bytes that they are said to have.
pub(crate) fn listing(files: &[(&str, &[u8])]) -> Value {
    let digests: Vec<Vec<u8>> = files
        .iter()
        .map(|(_, bytes)| {
            ring::digest::digest(&ring::digest::SHA256, bytes)
                .as_ref()
                .to_vec()
        })
        .collect();
    let resources: Vec<Value> = files
        .iter()
        .zip(&digests)
        .map(|((name, _), digest)| {
            json!({ "name": name, "algorithm": "sha256", "digest": hex(digest) })
        })
        .collect();
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{ "name": "model", "digest": { "sha256": root(&digests) } }],
        "predicateType": "https://model_signing/signature/v1.0",
        "predicate": {
            "serialization": { "method": "files", "hash_type": "sha256", "allow_symlinks": false },
            "resources": resources,
        },
    })
}

/// The root of a list of digests, in hexadecimal digits.
pub(crate) fn root(digests: &[Vec<u8>]) -> String {
    hex(ring::digest::digest(&ring::digest::SHA256, &digests.concat()).as_ref())
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    base16ct::lower::encode_string(bytes)
}

/// Reads a statement that [`KEY`] signed.
pub(crate) fn read_statement(
    statement: &Value,
) -> Result<strongroom_verify::manifest::Verified, ManifestError> {
    read_payload(&statement.to_string())
}

pub(crate) fn read_payload(
    payload: &str,
) -> Result<strongroom_verify::manifest::Verified, ManifestError> {
    let bundle = wrap(payload.as_bytes()).to_string();
    read(bundle.as_bytes(), &Trust::Key(KEY.public()))
}

/// Every way to a value in a document, as JSON pointers; the root's is empty.
pub(crate) fn pointers(value: &Value) -> Vec<String> {
    let mut all = vec![String::new()];
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                all.extend(pointers(value).iter().map(|rest| format!("/{name}{rest}")));
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                all.extend(pointers(value).iter().map(|rest| format!("/{index}{rest}")));
            }
        }
        _ => {}
    }
    all
}
