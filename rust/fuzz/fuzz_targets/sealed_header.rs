//! The header of a sealed model: never a panic, one encoding of each context, and no words of the
//! file in an error that could break a line.

#![no_main]

use libfuzzer_sys::fuzz_target;
use strongroom_seal::{
    EncryptionContext, Header, MAX_DATA_KEYS, MAX_FRAME_LENGTH, MAX_HEADER, Sealed,
};

fuzz_target!(|bytes: &[u8]| {
    let header = match Header::parse(bytes) {
        Ok(header) => header,
        Err(error) => {
            assert!(!error.to_string().contains(char::is_control));
            return;
        }
    };
    let length = usize::try_from(header.length()).expect("a header's length");
    assert!(length <= bytes.len().min(MAX_HEADER));
    assert!((1..=MAX_DATA_KEYS).contains(&header.data_keys().len()));
    assert!((1..=MAX_FRAME_LENGTH).contains(&header.frame_length()));
    let context = header.context().to_bytes();
    assert_eq!(bytes[37..37 + context.len()], context);
    // What follows the header doesn't matter to it, and nothing less is one.
    assert!(Header::parse(&bytes[..length]).is_ok());
    assert!(Header::parse(&bytes[..length - 1]).is_err());
    for key in header.data_keys() {
        assert!(!key.id().to_string().contains(char::is_control));
    }
    // Without a key it is opened by nobody.
    let error = Sealed::open(bytes, &[], &EncryptionContext::new()).expect_err("no key was given");
    assert!(!error.to_string().contains(char::is_control));
});
