//! Certificates of strangers, in PEM and as a bundle has them: never a panic, never trusted.

#![no_main]

use std::{sync::LazyLock, time::Duration};

use libfuzzer_sys::fuzz_target;
use strongroom_verify::certificate::{self, Chain, Roots};

static ROOTS: LazyLock<Roots> = LazyLock::new(|| {
    Roots::from_pem(include_bytes!("../keys/root.crt")).expect("a sound certificate")
});

fuzz_target!(|input: &[u8]| {
    if let Err(error) = Roots::from_pem(input) {
        assert!(!error.to_string().contains(char::is_control));
    }
    let _ = Chain::from_pem(input);
    // The signer's, then others, each with its length before it.
    let mut rest = input;
    let mut chain = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk::<2>() {
        let length = usize::from(u16::from_le_bytes(*length)).min(after.len());
        let (der, after) = after.split_at(length);
        chain.push(der.to_vec());
        rest = after;
    }
    let now = Duration::from_secs(1_767_225_600);
    let error = certificate::verify(&chain, &ROOTS, now).expect_err("nobody issued it");
    assert!(!error.to_string().contains(char::is_control));
});
