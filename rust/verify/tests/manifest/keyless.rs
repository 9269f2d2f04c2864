//! The keyless method, on a bundle that was signed with the public instance of Sigstore.

use serde_json::{Value, json};
use strongroom_verify::{
    Algorithm, Hasher,
    manifest::{Ignored, ManifestError, Scope, Signer, Trust, TrustedRoot, Verified, read},
};

use crate::support::{KEY, code, go_on, json_of, listing, tree, wrap};

const BUNDLE: &[u8] = include_bytes!("../vectors/model-signing-1.1.0-sigstore.sig");
const ROOT: &[u8] = include_bytes!("../vectors/sigstore-trusted-root.json");
const IDENTITY: &str = "stefanb@us.ibm.com";
const ISSUER: &str = "https://sigstore.verify.ibm.com/oauth2";

fn open_by(bundle: &[u8], identity: &str, issuer: &str) -> Result<Verified, ManifestError> {
    let root = TrustedRoot::from_json(ROOT).unwrap();
    read(
        bundle,
        &Trust::Sigstore {
            root: &root,
            identity,
            issuer,
        },
    )
}

fn open(bundle: &Value) -> Result<Verified, ManifestError> {
    open_by(bundle.to_string().as_bytes(), IDENTITY, ISSUER)
}

#[test]
fn a_bundle_of_the_public_instance_verifies_offline() {
    let verified = open_by(BUNDLE, IDENTITY, ISSUER).unwrap();
    let Signer::Sigstore(identity) = verified.signer() else {
        panic!("{:?}", verified.signer())
    };
    assert_eq!(identity.identity, IDENTITY);
    assert_eq!(identity.issuer, ISSUER);
    assert_eq!(identity.signed_at, 1_760_062_340);
    Hasher::digest(Algorithm::Sha256, ROOT)
        .verify(&identity.root)
        .unwrap();
    assert_eq!(verified.signer().method().as_str(), "sigstore");
    assert_eq!(
        verified.names().collect::<Vec<_>>(),
        ["signme-1", "signme-2"]
    );
    let other = tree(&[
        ("signme-1", b"other"),
        ("signme-2", b"other"),
        ("ignore-me", b""),
    ]);
    let refused = verified.check(
        other.path(),
        Scope::Everything,
        &Ignored::default(),
        &mut go_on,
    );
    assert_eq!(code(refused), "manifest.file_differs");
}

#[test]
fn identity_and_issuer_are_exact() {
    for (identity, issuer) in [
        ("", ISSUER),
        ("stefanb", ISSUER),
        ("STEFANB@us.ibm.com", ISSUER),
        ("stefanb@us.ibm.com.example.org", ISSUER),
        ("*", ISSUER),
        (IDENTITY, ""),
        (IDENTITY, "https://sigstore.verify.ibm.com"),
        (IDENTITY, "https://sigstore.verify.ibm.com/oauth2/"),
        (IDENTITY, "https://accounts.google.com"),
        (ISSUER, IDENTITY),
    ] {
        let refused = open_by(BUNDLE, identity, issuer);
        assert_eq!(
            code(refused),
            "manifest.keyless_refused",
            "{identity} {issuer}"
        );
    }
}

#[test]
fn what_is_asked_for_is_one_line_that_need_not_be_cut() {
    for text in ["x".repeat(1025), "a\nb".into(), "a\0b".into()] {
        for (identity, issuer) in [(&*text, ISSUER), (IDENTITY, &*text)] {
            let error = open_by(BUNDLE, identity, issuer).unwrap_err();
            assert_eq!(error.code(), "manifest.keyless_refused");
            assert!(error.to_string().contains("1024 characters"), "{error}");
        }
    }
}

#[test]
fn every_proof_has_to_be_there_and_to_hold() {
    let sound = json_of(BUNDLE);
    open(&sound).unwrap();
    let entry = "/verificationMaterial/tlogEntries/0";
    for (pointer, value) in [
        ("/verificationMaterial/tlogEntries".to_owned(), json!([])),
        (format!("{entry}/integratedTime"), json!("1760062341")),
        (format!("{entry}/logIndex"), json!("598151087")),
        (
            format!("{entry}/inclusionProof/logIndex"),
            json!("476246823"),
        ),
        (format!("{entry}/inclusionProof/hashes"), json!([])),
        (
            format!("{entry}/inclusionProof/rootHash"),
            json!("AAAA1ekHc4sMtyOk9+rSfb50+v1kFb/0QXYbxrm43gk="),
        ),
        (
            format!("{entry}/logId/keyId"),
            json!("AAAAatQGlz+VWfO6LRygH4QUfY/8W4RFwiT5i5WRgB0="),
        ),
        (format!("{entry}/kindVersion/kind"), json!("hashedrekord")),
        (format!("{entry}/canonicalizedBody"), json!("e30=")),
        (
            format!("{entry}/inclusionProof/checkpoint/envelope"),
            json!("x"),
        ),
    ] {
        let mut bundle = sound.clone();
        *bundle.pointer_mut(&pointer).unwrap() = value;
        assert_eq!(code(open(&bundle)), "manifest.keyless_refused", "{pointer}");
    }
    let mut bundle = sound;
    bundle["verificationMaterial"]["certificate"]["rawBytes"] = json!("AAAA");
    assert_eq!(code(open(&bundle)), "manifest.keyless_refused");
}

#[test]
fn another_statement_and_another_signature_are_refused() {
    let sound = json_of(BUNDLE);
    let other = wrap(listing(&[("a", b"a")]).to_string().as_bytes());
    for field in ["payload", "signatures"] {
        let mut bundle = sound.clone();
        bundle["dsseEnvelope"][field] = other["dsseEnvelope"][field].clone();
        assert_eq!(code(open(&bundle)), "manifest.keyless_refused", "{field}");
    }
    let mut bundle = sound.clone();
    bundle["dsseEnvelope"] = other["dsseEnvelope"].clone();
    assert_eq!(code(open(&bundle)), "manifest.keyless_refused");
    let by_key = read(BUNDLE, &Trust::Key(KEY.public()));
    assert_eq!(code(by_key), "manifest.other_method");
    assert_eq!(code(open(&other)), "manifest.other_method");
}

#[test]
fn another_instances_root_is_refused() {
    let sound: Value = serde_json::from_slice(ROOT).unwrap();
    for field in ["tlogs", "certificateAuthorities", "ctlogs"] {
        let mut root = sound.clone();
        root[field] = json!([]);
        let refused = TrustedRoot::from_json(root.to_string().as_bytes()).map(|_| ());
        assert_eq!(code(refused), "manifest.trusted_root_malformed", "{field}");
    }
    // One that only knows the older authority, and no log that this entry is in.
    for (field, last) in [("certificateAuthorities", false), ("tlogs", true)] {
        let mut root = sound.clone();
        let entries = root[field].as_array_mut().unwrap();
        let kept = if last {
            entries.pop()
        } else {
            Some(entries.remove(0))
        };
        assert!(!entries.is_empty(), "{field}");
        *entries = vec![kept.unwrap()];
        let root = TrustedRoot::from_json(root.to_string().as_bytes()).unwrap();
        let refused = read(
            BUNDLE,
            &Trust::Sigstore {
                root: &root,
                identity: IDENTITY,
                issuer: ISSUER,
            },
        );
        assert_eq!(code(refused), "manifest.keyless_refused", "{field}");
    }
}

#[test]
fn trusted_roots_are_read_strictly() {
    let twice = String::from_utf8(ROOT.to_vec()).unwrap().replacen(
        "\"tlogs\"",
        "\"tlogs\":[],\"tlogs\"",
        1,
    );
    for file in [
        Vec::new(),
        b"{}".to_vec(),
        b"[]".to_vec(),
        BUNDLE.to_vec(),
        ROOT[..ROOT.len() / 2].to_vec(),
        twice.into_bytes(),
        vec![b' '; 2 << 20],
    ] {
        let refused = TrustedRoot::from_json(&file).map(|_| ());
        assert_eq!(code(refused), "manifest.trusted_root_malformed");
    }
}
