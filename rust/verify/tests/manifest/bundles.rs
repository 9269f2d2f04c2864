//! Bundles and envelopes.

use base64ct::{Base64, Encoding};
use serde_json::{Value, json};
use strongroom_verify::{
    PrivateKey,
    key::Kind,
    manifest::{LARGEST_BUNDLE, ManifestError, Options, Signer, Trust, Verified, read},
};

use crate::support::{
    KEY, code, json_of, listing, model, pointers, signed, statement_of, verify, wrap, wrap_by,
};

fn open(bundle: &Value) -> Result<Verified, ManifestError> {
    read(bundle.to_string().as_bytes(), &Trust::Key(KEY.public()))
}

fn sound() -> Value {
    let payload = listing(&[("a", b"a"), ("b/c", b"c")]).to_string();
    let bundle = wrap(payload.as_bytes());
    open(&bundle).unwrap();
    bundle
}

#[test]
fn keys_of_all_three_curves_sign_and_verify() {
    for kind in [Kind::P256, Kind::P384, Kind::P521] {
        let key = PrivateKey::generate(kind).unwrap();
        let model = model();
        let signing = strongroom_verify::manifest::Signing::Key(&key);
        let bundle = strongroom_verify::manifest::sign(
            model.path(),
            &signing,
            &Options::default(),
            &mut crate::support::go_on,
        )
        .unwrap();
        let verified = read(&bundle, &Trust::Key(key.public())).unwrap();
        assert!(matches!(verified.signer(), Signer::Key(id) if *id == key.id()));
        assert_eq!(verified.signer().method().as_str(), "key");
        assert_eq!(
            verified.names().collect::<Vec<_>>(),
            ["config.json", "weights/a.gguf", "weights/empty"]
        );
    }
}

#[test]
fn keys_that_the_format_does_not_take_are_refused_to_verify_and_to_sign() {
    let model = model();
    for kind in [Kind::Ed25519, Kind::Rsa { bits: 2048 }] {
        let key = PrivateKey::generate(kind).unwrap();
        let bundle = sound().to_string();
        let read = read(bundle.as_bytes(), &Trust::Key(key.public()));
        assert_eq!(code(read), "manifest.key_unsuitable");
        let signed = strongroom_verify::manifest::sign(
            model.path(),
            &strongroom_verify::manifest::Signing::Key(&key),
            &Options::default(),
            &mut crate::support::go_on,
        );
        assert_eq!(code(signed), "manifest.key_unsuitable");
    }
}

#[test]
fn a_bundle_without_any_field_is_refused() {
    let sound = sound();
    // What may be absent: the log's entries and the key's id have no part in this method.
    let optional = ["", "/verificationMaterial/tlogEntries"];
    for pointer in pointers(&sound) {
        if optional.contains(&&*pointer) {
            continue;
        }
        let mut bundle = sound.clone();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        match bundle.pointer_mut(parent).unwrap() {
            Value::Object(fields) => drop(fields.remove(name)),
            Value::Array(items) => drop(items.remove(name.parse().unwrap())),
            _ => unreachable!(),
        }
        assert_eq!(
            code(open(&bundle)),
            "manifest.bundle_malformed",
            "{pointer}"
        );
    }
}

#[test]
fn a_field_of_another_type_is_refused() {
    let sound = sound();
    for pointer in pointers(&sound) {
        for other in [
            json!(null),
            json!(true),
            json!(0),
            json!(-1.5),
            json!(""),
            json!("x"),
            json!([]),
            json!({}),
            json!([[]]),
        ] {
            let mut bundle = sound.clone();
            let value = bundle.pointer_mut(&pointer).unwrap();
            // The same type, or a value that is as good: nothing to see here.
            let harmless = pointer == "/verificationMaterial/tlogEntries" && other.is_array()
                || pointer == "/verificationMaterial/publicKey" && other == json!({});
            if harmless {
                continue;
            }
            *value = other.clone();
            let found = code(open(&bundle));
            let text_for_text = other.is_string()
                && ["/mediaType", "/dsseEnvelope/payloadType"].contains(&&*pointer);
            if text_for_text {
                assert_eq!(found, "manifest.bundle_unsupported", "{pointer} {other}");
            } else {
                assert_eq!(found, "manifest.bundle_malformed", "{pointer} {other}");
            }
        }
    }
}

#[test]
fn a_field_that_is_unknown_or_there_twice_is_refused() {
    let sound = sound();
    for pointer in pointers(&sound) {
        let mut bundle = sound.clone();
        let Some(fields) = bundle.pointer_mut(&pointer).unwrap().as_object_mut() else {
            continue;
        };
        fields.insert("extra".into(), json!(1));
        assert_eq!(
            code(open(&bundle)),
            "manifest.bundle_malformed",
            "{pointer}"
        );
    }
    let text = sound.to_string();
    for name in [
        "mediaType",
        "verificationMaterial",
        "publicKey",
        "tlogEntries",
        "dsseEnvelope",
        "payload",
        "payloadType",
        "signatures",
        "sig",
    ] {
        let twice = text.replacen(
            &format!("\"{name}\":"),
            &format!("\"{name}\":null,\"{name}\":"),
            1,
        );
        assert_ne!(twice, text);
        let refused = read(twice.as_bytes(), &Trust::Key(KEY.public()));
        assert_eq!(code(refused), "manifest.bundle_malformed", "{name}");
    }
}

#[test]
fn fields_that_are_too_long_are_refused() {
    for (pointer, found) in [
        ("/mediaType", "manifest.bundle_malformed"),
        ("/dsseEnvelope/payloadType", "manifest.bundle_malformed"),
        (
            "/dsseEnvelope/signatures/0/sig",
            "manifest.bundle_malformed",
        ),
    ] {
        let mut bundle = sound();
        *bundle.pointer_mut(pointer).unwrap() = json!("A".repeat(4_000));
        assert_eq!(code(open(&bundle)), found, "{pointer}");
    }
    for field in ["hint", "rawBytes", "keyDetails"] {
        let mut bundle = sound();
        bundle["verificationMaterial"]["publicKey"] = json!({ field: "a".repeat(5_000) });
        assert_eq!(code(open(&bundle)), "manifest.bundle_malformed", "{field}");
    }
    let mut bundle = sound();
    bundle["dsseEnvelope"]["signatures"][0]["keyid"] = json!("a".repeat(300));
    assert_eq!(code(open(&bundle)), "manifest.bundle_malformed");
    let large = vec![b' '; LARGEST_BUNDLE + 1];
    let refused = read(&large, &Trust::Key(KEY.public()));
    assert_eq!(code(refused), "manifest.bundle_too_large");
}

#[test]
fn no_json_at_all_and_bombs_are_refused_quickly() {
    for bytes in [
        Vec::new(),
        b"\0".to_vec(),
        b"{".to_vec(),
        b"[]".to_vec(),
        b"null".to_vec(),
        b"-----BEGIN PUBLIC KEY-----".to_vec(),
        vec![0xff; 64],
        "[".repeat(1 << 20).into_bytes(),
        "{\"a\":".repeat(1 << 20).into_bytes(),
        format!("{{\"mediaType\":\"{}\"}}", "\\u0000".repeat(1 << 16)).into_bytes(),
    ] {
        let refused = read(&bytes, &Trust::Key(KEY.public()));
        assert_eq!(code(refused), "manifest.bundle_malformed");
    }
    let mut sound = sound().to_string();
    sound.push('x');
    let refused = read(sound.as_bytes(), &Trust::Key(KEY.public()));
    assert_eq!(code(refused), "manifest.bundle_malformed");
}

#[test]
fn no_signature_and_two_signatures_are_refused() {
    let mut bundle = sound();
    bundle["dsseEnvelope"]["signatures"] = json!([]);
    assert_eq!(code(open(&bundle)), "manifest.bundle_malformed");
    let mut bundle = sound();
    let signature = bundle["dsseEnvelope"]["signatures"][0].clone();
    bundle["dsseEnvelope"]["signatures"] = json!([signature, signature]);
    assert_eq!(code(open(&bundle)), "manifest.bundle_malformed");
}

#[test]
fn base64_has_one_spelling() {
    let sound = sound();
    for pointer in ["/dsseEnvelope/payload", "/dsseEnvelope/signatures/0/sig"] {
        let text = sound.pointer(pointer).unwrap().as_str().unwrap().to_owned();
        for spoilt in [
            String::new(),
            format!("{text} "),
            format!("\n{text}"),
            format!("{text}="),
            format!("{}*{}", &text[..8], &text[9..]),
            format!("{}\n{}", &text[..8], &text[8..]),
            text.trim_end_matches('=').to_owned() + "é",
            text[..text.len() - 1].to_owned(),
        ] {
            let mut bundle = sound.clone();
            *bundle.pointer_mut(pointer).unwrap() = json!(spoilt);
            assert_eq!(
                code(open(&bundle)),
                "manifest.bundle_malformed",
                "{spoilt:?}"
            );
        }
    }
    // Bits behind the end: two spellings of one byte.
    let mut bundle = sound;
    bundle["dsseEnvelope"]["signatures"][0]["sig"] = json!("QR==");
    assert_eq!(code(open(&bundle)), "manifest.bundle_malformed");
}

#[test]
fn every_flipped_bit_of_payload_and_signature_is_refused() {
    let sound = sound();
    for pointer in ["/dsseEnvelope/payload", "/dsseEnvelope/signatures/0/sig"] {
        let bytes = Base64::decode_vec(sound.pointer(pointer).unwrap().as_str().unwrap()).unwrap();
        for bit in (0..8 * bytes.len()).step_by(3) {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let mut bundle = sound.clone();
            *bundle.pointer_mut(pointer).unwrap() = json!(Base64::encode_string(&bytes));
            assert_eq!(code(open(&bundle)), "manifest.signature_invalid", "{bit}");
        }
        // Cut short anywhere.
        for length in 1..bytes.len() {
            let mut bundle = sound.clone();
            *bundle.pointer_mut(pointer).unwrap() = json!(Base64::encode_string(&bytes[..length]));
            assert_eq!(
                code(open(&bundle)),
                "manifest.signature_invalid",
                "{length}"
            );
        }
    }
}

#[test]
fn a_signature_of_another_statement_or_by_another_key_is_refused() {
    let mut bundle = sound();
    let other = wrap(listing(&[("a", b"other")]).to_string().as_bytes());
    bundle["dsseEnvelope"]["signatures"] = other["dsseEnvelope"]["signatures"].clone();
    assert_eq!(code(open(&bundle)), "manifest.signature_invalid");
    let stranger = PrivateKey::generate(Kind::P256).unwrap();
    let bundle = wrap_by(&stranger, listing(&[("a", b"a")]).to_string().as_bytes());
    assert_eq!(code(open(&bundle)), "manifest.signature_invalid");
}

#[test]
fn the_hint_names_the_key() {
    let model = model();
    let bundle = signed(model.path(), &Options::default());
    let stranger = PrivateKey::generate(Kind::P256).unwrap();
    let refused = read(&bundle, &Trust::Key(stranger.public()));
    assert_eq!(code(refused), "manifest.other_key");
    for (hint, found) in [("", None), ("0", Some("manifest.other_key"))] {
        let mut bundle = json_of(&bundle);
        bundle["verificationMaterial"]["publicKey"]["hint"] = json!(hint);
        match found {
            None => assert!(open(&bundle).is_ok()),
            Some(found) => assert_eq!(code(open(&bundle)), found),
        }
    }
}

#[test]
fn a_key_in_the_bundle_is_never_the_one_to_verify_with() {
    let stranger = PrivateKey::generate(Kind::P256).unwrap();
    let mut bundle = wrap_by(&stranger, listing(&[("a", b"a")]).to_string().as_bytes());
    bundle["verificationMaterial"]["publicKey"] = json!({
        "rawBytes": stranger.public().to_pem().unwrap(),
        "keyDetails": "PKIX_ECDSA_P256_SHA_256",
    });
    assert_eq!(code(open(&bundle)), "manifest.signature_invalid");
}

#[test]
fn the_hash_follows_the_curve_whatever_the_bundle_says() {
    // P-384 over SHA-256, which OpenSSL would accept when told so.
    let key = PrivateKey::generate(Kind::P384).unwrap();
    let payload = listing(&[("a", b"a")]).to_string();
    let mut bundle = wrap_by(&key, payload.as_bytes());
    bundle["verificationMaterial"]["publicKey"] =
        json!({ "rawBytes": "AA==", "keyDetails": "PKIX_ECDSA_P384_SHA_256" });
    assert!(read(bundle.to_string().as_bytes(), &Trust::Key(key.public())).is_ok());
    // And with the signature of a P-256 key.
    let other = PrivateKey::generate(Kind::P256).unwrap();
    let confused = wrap_by(&other, payload.as_bytes()).to_string();
    let refused = read(confused.as_bytes(), &Trust::Key(key.public()));
    assert_eq!(code(refused), "manifest.signature_invalid");
}

#[test]
fn other_kinds_of_bundles_are_named() {
    let mut message = sound();
    let fields = message.as_object_mut().unwrap();
    fields.remove("dsseEnvelope");
    fields.insert("messageSignature".into(), json!({ "signature": "AA==" }));
    assert_eq!(code(open(&message)), "manifest.bundle_unsupported");
    for media_type in [
        "application/vnd.dev.sigstore.bundle+json;version=0.2",
        "application/vnd.dev.sigstore.bundle.v0.4+json",
        "application/json",
    ] {
        let mut bundle = sound();
        bundle["mediaType"] = json!(media_type);
        assert_eq!(code(open(&bundle)), "manifest.bundle_unsupported");
    }
    let mut bundle = sound();
    bundle["dsseEnvelope"]["payloadType"] = json!("application/vnd.in-toto+xml");
    assert_eq!(code(open(&bundle)), "manifest.bundle_unsupported");
    let mut certificate = sound();
    certificate["verificationMaterial"] = json!({
        "x509CertificateChain": { "certificates": [{ "rawBytes": "AA==" }] },
    });
    assert_eq!(code(open(&certificate)), "manifest.other_method");
    certificate["verificationMaterial"] = json!({ "certificate": { "rawBytes": "AA==" } });
    assert_eq!(code(open(&certificate)), "manifest.other_method");
    certificate["verificationMaterial"]["publicKey"] = json!({});
    assert_eq!(code(open(&certificate)), "manifest.bundle_malformed");
}

#[test]
fn chains_of_certificates_are_bounded() {
    for certificates in [
        json!([]),
        json!([{}]),
        json!([{ "rawBytes": "" }]),
        json!([{ "rawBytes": 1 }]),
        json!(["AA=="]),
        json!(vec![json!({ "rawBytes": "AA==" }); 9]),
        json!([{ "rawBytes": "AAAA".repeat(6_000) }]),
    ] {
        let mut bundle = sound();
        bundle["verificationMaterial"] =
            json!({ "x509CertificateChain": { "certificates": certificates } });
        assert_eq!(code(open(&bundle)), "manifest.bundle_malformed");
    }
}

#[test]
fn the_raw_bytes_of_the_payload_are_what_counts() {
    let statement = listing(&[("a", b"a")]);
    // Spaces, another order, escapes: other bytes, and each its own signature.
    let pretty = serde_json::to_string_pretty(&statement).unwrap();
    let mut bundle = wrap(pretty.as_bytes());
    assert!(open(&bundle).is_ok());
    bundle["dsseEnvelope"]["payload"] =
        json!(Base64::encode_string(statement.to_string().as_bytes()));
    assert_eq!(code(open(&bundle)), "manifest.signature_invalid");
}

#[test]
fn what_is_written_is_what_the_reference_writes() {
    let model = model();
    let bundle = json_of(&signed(model.path(), &Options::default()));
    assert_eq!(
        bundle["mediaType"],
        "application/vnd.dev.sigstore.bundle.v0.3+json"
    );
    assert_eq!(bundle["verificationMaterial"]["tlogEntries"], json!([]));
    let hint = bundle["verificationMaterial"]["publicKey"]["hint"].clone();
    assert_eq!(hint.as_str().unwrap().len(), 64);
    assert_eq!(
        bundle["dsseEnvelope"]["payloadType"],
        "application/vnd.in-toto+json"
    );
    let statement = statement_of(bundle.to_string().as_bytes());
    assert_eq!(
        statement["predicate"]["resources"][0]["name"],
        "config.json"
    );
    assert_eq!(
        statement["predicate"]["serialization"],
        json!({ "method": "files", "hash_type": "sha256", "allow_symlinks": false })
    );
    assert!(verify(bundle.to_string().as_bytes(), model.path()).is_ok());
}
