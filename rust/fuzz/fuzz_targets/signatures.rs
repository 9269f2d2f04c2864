//! Detached signatures of strangers: never a panic, and none holds for bytes that nobody signed.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use strongroom_verify::{
    Algorithm, Hasher, PrivateKey,
    key::Kind,
    signature::{Seen, TrustedKey},
};

static KEYS: LazyLock<Vec<TrustedKey>> = LazyLock::new(|| {
    [
        Kind::P256,
        Kind::P384,
        Kind::P521,
        Kind::Ed25519,
        Kind::Rsa { bits: 2048 },
    ]
    .into_iter()
    .filter_map(|kind| PrivateKey::generate(kind).ok())
    .map(|key| TrustedKey::Pem(key.public().clone()))
    .collect()
});

fuzz_target!(|file: &[u8]| {
    let message = b"bytes that nobody signed";
    let digests = Algorithm::ALL.map(|algorithm| Hasher::digest(algorithm, message));
    let seen = Seen {
        digests: &digests,
        whole: Some(message),
    };
    for key in KEYS.iter() {
        if let Ok(signature) = key.signature(file, None) {
            assert!(signature.verify(&seen).is_err());
        }
    }
});
