//! A bundle of strangers: never a panic, never accepted, and no message that steers a terminal.

#![no_main]

use std::{sync::LazyLock, time::Duration};

use libfuzzer_sys::fuzz_target;
use strongroom_verify::{
    PrivateKey,
    certificate::Roots,
    key::Kind,
    manifest::{Trust, read},
};

/// Keys that signed nothing of what a fuzzer comes by.
static KEY: LazyLock<PrivateKey> =
    LazyLock::new(|| PrivateKey::generate(Kind::P256).expect("a key"));
static ROOTS: LazyLock<Roots> = LazyLock::new(|| {
    Roots::from_pem(include_bytes!("../keys/root.crt")).expect("a sound certificate")
});

fuzz_target!(|bundle: &[u8]| {
    let now = Duration::from_secs(1_767_225_600);
    for trust in [Trust::Key(KEY.public()), Trust::Certificate { roots: &ROOTS, now }] {
        let error = read(bundle, &trust).expect_err("nobody signed it");
        assert!(!error.to_string().contains(char::is_control));
    }
});
