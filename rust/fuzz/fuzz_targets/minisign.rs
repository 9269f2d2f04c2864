//! Files of minisign by strangers, public keys, secret keys and signatures: never a panic, and no
//! signature holds that its key didn't make.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use strongroom_verify::{
    Algorithm, Hasher,
    signature::{Seen, TrustedKey, minisign::SecretKey},
};

static OURS: LazyLock<TrustedKey> = LazyLock::new(|| {
    let key = SecretKey::generate().expect("the kernel has random numbers");
    TrustedKey::from_file(key.public().to_file().as_bytes()).expect("what is written is read")
});

fuzz_target!(|input: &[u8]| {
    // The parsers look at what follows the comment; without it nearly nothing would get there.
    let file = [b"untrusted comment: ", input].concat();
    let message = b"bytes that nobody signed";
    let digests = [
        Hasher::digest(Algorithm::Blake2b512, message),
        Hasher::digest(Algorithm::Sha256, message),
    ];
    let seen = Seen {
        digests: &digests,
        whole: Some(message),
    };
    if let Ok(signature) = OURS.signature(&file, None) {
        assert!(signature.verify(&seen).is_err());
    }
    let _ = TrustedKey::from_file(&file);
    let _ = SecretKey::from_file(&file, None);
});
