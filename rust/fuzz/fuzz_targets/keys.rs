//! Key files of strangers, PEM and DER: never a panic; what is read is written again as it was.

#![no_main]

use libfuzzer_sys::fuzz_target;
use strongroom_verify::{PrivateKey, PublicKey};

fuzz_target!(|input: &[u8]| {
    if let Ok(key) = PublicKey::from_spki(input) {
        assert_eq!(key.as_spki(), input);
        let pem = key.to_pem().expect("a key that was read is written");
        let again = PublicKey::from_pem(pem.as_bytes()).expect("and read again");
        assert_eq!(again.id(), key.id());
    }
    let _ = PublicKey::from_pem(input);
    let _ = PrivateKey::from_pem(input, None);
});
