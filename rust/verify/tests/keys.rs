//! Keys as OpenSSL writes them, both ways, and what is refused of keys.
#![allow(clippy::unwrap_used)]

mod support;

use strongroom_verify::{
    KeyError, PrivateKey, PublicKey, Scheme,
    key::{CODES, Kind},
};
use support::{Bench, KINDS};

fn public(file: &[u8]) -> Result<PublicKey, KeyError> {
    PublicKey::from_pem(file)
}

fn code(file: &[u8]) -> &'static str {
    let error = public(file).unwrap_err();
    assert!(CODES.contains(&error.code()));
    assert!(!error.next_step().is_empty());
    error.code()
}

fn private_code(file: &[u8], passphrase: Option<&[u8]>) -> &'static str {
    PrivateKey::from_pem(file, passphrase).unwrap_err().code()
}

/// A key of this kind, with its public half beside it.
fn pair(bench: &Bench, options: &str) -> (Vec<u8>, Vec<u8>) {
    bench.openssl(&format!("genpkey {options} -out key.pem"));
    bench.openssl("pkey -in key.pem -pubout -out pub.pem");
    (bench.read("key.pem"), bench.read("pub.pem"))
}

#[test]
fn what_openssl_writes_is_read() {
    let bench = Bench::new();
    for &(name, options) in KINDS {
        let (private, written) = pair(&bench, options);
        let key = public(&written).unwrap();
        assert_eq!(key.kind().to_string(), name);
        assert_eq!(key.to_pem().unwrap().as_bytes(), written, "{name}");
        // The id is the SHA-256 of the DER.
        bench.openssl("pkey -pubin -in pub.pem -outform DER -out pub.der");
        let digest = String::from_utf8(bench.openssl("dgst -sha256 -r pub.der")).unwrap();
        assert_eq!(key.id().to_string(), format!("sha256:{}", &digest[..64]));
        let private = PrivateKey::from_pem(&private, None).unwrap();
        assert_eq!(private.public(), &key);
        let printed = format!("{private:?} {key:?}");
        assert_eq!(
            printed,
            format!("PrivateKey({name} {0}) PublicKey({name} {0})", key.id())
        );
    }
}

#[test]
fn what_is_generated_openssl_reads() {
    let bench = Bench::new();
    bench.write("pass", b"correct horse");
    for kind in [
        Kind::P256,
        Kind::P384,
        Kind::P521,
        Kind::Ed25519,
        Kind::Rsa { bits: 2048 },
    ] {
        let key = PrivateKey::generate(kind).unwrap();
        assert_eq!(key.public().kind(), kind);
        bench.write("key.pem", key.to_pem(None).unwrap().as_bytes());
        let public = bench.openssl("pkey -in key.pem -pubout");
        assert_eq!(key.public().to_pem().unwrap().as_bytes(), public);
        if kind != Kind::P256 {
            continue;
        }
        // The same again, encrypted.
        let encrypted = key.to_pem(Some(b"correct horse")).unwrap();
        assert!(encrypted.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"));
        bench.write("key.pem", encrypted.as_bytes());
        let public = bench.openssl("pkey -in key.pem -passin file:pass -pubout");
        assert_eq!(key.public().to_pem().unwrap().as_bytes(), public);
        let again = PrivateKey::from_pem(encrypted.as_bytes(), Some(b"correct horse")).unwrap();
        assert_eq!(again.public(), key.public());
    }
}

#[test]
fn keys_that_openssl_encrypted_are_read_with_their_passphrase_alone() {
    let bench = Bench::new();
    bench.write("pass", b"correct horse");
    for &(name, options) in KINDS {
        let (plain, written) = pair(&bench, options);
        for method in ["-v2 aes-256-cbc", "-v2 aes-128-cbc", "-scrypt"] {
            bench.openssl(&format!(
                "pkcs8 -topk8 -in key.pem {method} -passout file:pass -out encrypted.pem"
            ));
            let file = bench.read("encrypted.pem");
            let key = PrivateKey::from_pem(&file, Some(b"correct horse")).unwrap();
            assert_eq!(key.public(), &public(&written).unwrap(), "{name} {method}");
            assert_eq!(private_code(&file, None), "key.encrypted");
            assert_eq!(private_code(&file, Some(b"wrong")), "key.passphrase");
            assert_eq!(private_code(&file, Some(b"")), "key.passphrase");
        }
        assert_eq!(private_code(&plain, Some(b"any")), "key.not_encrypted");
        assert_eq!(code(&bench.read("encrypted.pem")), "key.private");
    }
}

#[test]
fn older_forms_of_private_keys_are_read() {
    let bench = Bench::new();
    for &(name, options) in KINDS {
        if name == "Ed25519" {
            continue;
        }
        let (_, written) = pair(&bench, options);
        let old = bench.openssl("pkey -in key.pem -traditional");
        assert!(!old.starts_with(b"-----BEGIN PRIVATE KEY"), "{name}");
        let key = PrivateKey::from_pem(&old, None).unwrap();
        assert_eq!(key.public(), &public(&written).unwrap());
        assert_eq!(private_code(&old, Some(b"any")), "key.not_encrypted");
        assert_eq!(code(&old), "key.private");
        bench.write("pass", b"correct horse");
        let encrypted = bench.openssl("pkey -in key.pem -traditional -aes128 -passout file:pass");
        assert_eq!(
            private_code(&encrypted, Some(b"correct horse")),
            "key.malformed"
        );
    }
}

#[test]
fn a_signature_of_each_kind_is_verified_and_not_by_another_key() {
    for kind in [
        Kind::P256,
        Kind::P384,
        Kind::P521,
        Kind::Ed25519,
        Kind::Rsa { bits: 2048 },
    ] {
        let key = PrivateKey::generate(kind).unwrap();
        let other = PrivateKey::generate(kind).unwrap();
        for scheme in [
            Scheme::Ecdsa,
            Scheme::Ed25519,
            Scheme::RsaPkcs1,
            Scheme::RsaPss,
        ] {
            if kind.signs_with(scheme) {
                let signature = key.sign_message(scheme, b"bytes").unwrap();
                key.public()
                    .verify_message(scheme, b"bytes", &signature)
                    .unwrap();
                for (public, message) in [(key.public(), &b"byte"[..]), (other.public(), b"bytes")]
                {
                    let error = public
                        .verify_message(scheme, message, &signature)
                        .unwrap_err();
                    assert_eq!(error.code(), "signature.invalid");
                }
            } else {
                let signed = key.sign_message(scheme, b"bytes").unwrap_err();
                assert_eq!(signed.code(), "signature.scheme");
                let error = key
                    .public()
                    .verify_message(scheme, b"bytes", b"")
                    .unwrap_err();
                assert_eq!(error.code(), "signature.scheme");
            }
        }
    }
}
