//! What `openssl` signs is verified here, and what is signed here `openssl` verifies.
#![allow(clippy::unwrap_used)]

mod support;

use strongroom_verify::{
    Algorithm, Hasher, PrivateKey, Scheme,
    key::Kind,
    signature::{Evidence, Need, Seen, SignatureError, TrustedKey, sign},
};
use support::{Bench, KINDS, message};

/// Reads key and signature first, then the bytes once, as a load does.
fn verify(
    key: &[u8],
    signature: &[u8],
    hash: Option<Algorithm>,
    message: &[u8],
) -> Result<Evidence, SignatureError> {
    let signature = TrustedKey::from_file(key)
        .unwrap()
        .signature(signature, hash)?;
    let (algorithm, whole) = match signature.need() {
        Need::Digest(algorithm) => (algorithm, None),
        Need::Whole => (Algorithm::Sha256, Some(message)),
    };
    let digests = [Hasher::digest(algorithm, message)];
    signature.verify(&Seen {
        digests: &digests,
        whole,
    })
}

/// The kinds of OpenSSL's keys but Ed25519, which signs no digests.
fn digested() -> impl Iterator<Item = &'static (&'static str, &'static str)> {
    KINDS.iter().filter(|(name, _)| *name != "Ed25519")
}

/// A key in key.pem and pub.pem; returns the public one.
fn pair(bench: &Bench, options: &str) -> Vec<u8> {
    bench.openssl(&format!("genpkey {options} -out key.pem"));
    bench.openssl("pkey -in key.pem -pubout -out pub.pem");
    bench.read("pub.pem")
}

/// Holds a good signature to its file, and to none other.
fn holds(key: &[u8], signature: &[u8], hash: Option<Algorithm>, how: &str) {
    let evidence = verify(key, signature, hash, &message()).unwrap();
    assert_eq!(evidence.how, how);
    assert_eq!(evidence.key, TrustedKey::from_file(key).unwrap().id());
    assert_eq!(
        evidence.digest,
        Hasher::digest(evidence.digest.algorithm(), &message())
    );
    let mut other = message();
    other[50_000] ^= 1;
    let error = verify(key, signature, hash, &other).unwrap_err();
    assert_eq!(error.code(), "signature.invalid");
}

#[test]
fn dgst_sign_with_every_key_and_every_hash() {
    let bench = Bench::new();
    for &(name, options) in digested() {
        let key = pair(&bench, options);
        for hash in Algorithm::SHA2 {
            bench.openssl(&format!("dgst -{hash} -sign key.pem -out sig message"));
            let signature = bench.read("sig");
            let how = if name.starts_with("RSA") {
                format!("RSASSA-PKCS1-v1_5 of {name} over {hash}")
            } else {
                format!("ECDSA on {name} over {hash}")
            };
            holds(&key, &signature, Some(hash), &how);
            // Without the name, the rule says which: any other hash is refused, not guessed.
            let by_rule = verify(&key, &signature, None, &message());
            let kind = PrivateKey::from_pem(&bench.read("key.pem"), None).unwrap();
            if kind.public().kind().hash() == Some(hash) {
                by_rule.unwrap();
            } else {
                assert_eq!(by_rule.unwrap_err().code(), "signature.invalid");
            }
            for other in Algorithm::SHA2.into_iter().filter(|&other| other != hash) {
                let error = verify(&key, &signature, Some(other), &message()).unwrap_err();
                assert_eq!(error.code(), "signature.invalid", "{name} {hash} {other}");
            }
        }
    }
}

#[test]
fn pss_with_a_salt_of_any_length() {
    let bench = Bench::new();
    for &(name, options) in digested().filter(|(name, _)| name.starts_with("RSA")) {
        let key = pair(&bench, options);
        for hash in Algorithm::SHA2 {
            // Without the option OpenSSL takes the longest that fits.
            for salt in ["", "-1", "-3", "0", "1", "20", "47", "150"] {
                let option = match salt {
                    "" => String::new(),
                    salt => format!("-sigopt rsa_pss_saltlen:{salt}"),
                };
                bench.openssl(&format!(
                    "dgst -{hash} -sigopt rsa_padding_mode:pss {option} -sign key.pem -out sig message"
                ));
                let how = format!("RSASSA-PSS of {name} over {hash}");
                holds(&key, &bench.read("sig"), Some(hash), &how);
            }
        }
        // MGF1 with another hash than the message's is another scheme.
        bench.openssl(
            "dgst -sha256 -sigopt rsa_padding_mode:pss -sigopt rsa_mgf1_md:sha1 -sign key.pem -out sig message",
        );
        let error = verify(&key, &bench.read("sig"), None, &message()).unwrap_err();
        assert_eq!(error.code(), "signature.invalid");
    }
}

#[test]
fn pkeyutl_sign_rawin() {
    let bench = Bench::new();
    for &(name, options) in KINDS {
        let key = pair(&bench, options);
        let (word, how) = match name {
            "Ed25519" => ("", "Ed25519 over the bytes themselves".to_owned()),
            name if name.starts_with("RSA") => (
                "-digest sha256",
                format!("RSASSA-PKCS1-v1_5 of {name} over sha256"),
            ),
            name => ("-digest sha512", format!("ECDSA on {name} over sha512")),
        };
        bench.openssl(&format!(
            "pkeyutl -sign -rawin {word} -inkey key.pem -in message -out sig"
        ));
        let hash = match word {
            "-digest sha512" => Some(Algorithm::Sha512),
            "-digest sha256" => Some(Algorithm::Sha256),
            _ => None,
        };
        holds(&key, &bench.read("sig"), hash, &how);
    }
}

#[test]
fn base64_as_openssl_and_coreutils_write_it() {
    let bench = Bench::new();
    for &(name, options) in KINDS {
        let key = pair(&bench, options);
        let how = match name {
            "Ed25519" => {
                bench.openssl("pkeyutl -sign -rawin -inkey key.pem -in message -out sig");
                "Ed25519 over the bytes themselves".to_owned()
            }
            name if name.starts_with("RSA") => {
                bench.openssl("dgst -sha256 -sign key.pem -out sig message");
                format!("RSASSA-PKCS1-v1_5 of {name} over sha256")
            }
            name => {
                bench.openssl("dgst -sha256 -sign key.pem -out sig message");
                format!("ECDSA on {name} over sha256")
            }
        };
        let hash = (name != "Ed25519").then_some(Algorithm::Sha256);
        for text in [
            bench.openssl("base64 -in sig"),
            bench.openssl("base64 -A -in sig"),
            bench.tool("base64", "sig"),
            bench.tool("base64", "-w0 sig"),
        ] {
            holds(&key, &text, hash, &how);
            // Nothing before it, behind it, or in it.
            for (position, more) in [(0, " "), (0, "\n"), (text.len(), "\n\n"), (text.len(), "=")] {
                let mut other = text.clone();
                other.splice(position..position, more.bytes());
                let error = verify(&key, &other, hash, &message()).unwrap_err();
                assert_eq!(
                    error.code(),
                    "signature.malformed",
                    "{name} {more:?} at {position}"
                );
            }
            let mut other = text.clone();
            other[10] = b'*';
            let error = verify(&key, &other, hash, &message()).unwrap_err();
            assert_eq!(error.code(), "signature.malformed");
        }
    }
}

#[test]
fn openssl_verifies_what_is_signed_here() {
    let bench = Bench::new();
    let message = message();
    for &(name, options) in KINDS {
        pair(&bench, options);
        let key = PrivateKey::from_pem(&bench.read("key.pem"), None).unwrap();
        for hash in Algorithm::SHA2 {
            let digests = [Hasher::digest(hash, &message)];
            let seen = Seen {
                digests: &digests,
                whole: Some(&message),
            };
            match key.public().kind() {
                Kind::Ed25519 => {
                    let signature = sign(&key, Scheme::Ed25519, None, &seen).unwrap();
                    bench.write("sig", &signature);
                    bench.openssl(
                        "pkeyutl -verify -rawin -pubin -inkey pub.pem -in message -sigfile sig",
                    );
                }
                Kind::Rsa { .. } => {
                    for (scheme, option) in [
                        (Scheme::RsaPkcs1, ""),
                        (
                            Scheme::RsaPss,
                            "-sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:-1",
                        ),
                    ] {
                        bench.write("sig", &sign(&key, scheme, Some(hash), &seen).unwrap());
                        bench.openssl(&format!(
                            "dgst -{hash} {option} -verify pub.pem -signature sig message"
                        ));
                    }
                }
                kind => match sign(&key, Scheme::Ecdsa, Some(hash), &seen) {
                    Ok(signature) => {
                        bench.write("sig", &signature);
                        bench.openssl(&format!(
                            "dgst -{hash} -verify pub.pem -signature sig message"
                        ));
                        assert!(kind == Kind::P521 || kind.hash() == Some(hash));
                    }
                    Err(error) => {
                        assert_eq!(error.code(), "signature.hash", "{name}");
                        assert!(kind != Kind::P521 && kind.hash() != Some(hash));
                    }
                },
            }
        }
    }
}
