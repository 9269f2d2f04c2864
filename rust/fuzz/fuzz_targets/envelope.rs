//! Envelopes of records, and the values in them: never a panic, one encoding of each, and nothing opens
//! but what was sealed, in its place.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::{
    arbitrary::{self, Arbitrary},
    fuzz_target,
};
use strongroom_seal::{
    SealError, Secret,
    record::{Binding, DataCipher, DataKey, Envelope, Items, KeyName, Kind},
};

#[derive(Debug, Arbitrary)]
enum Input {
    /// An envelope, from its first byte.
    Envelope(Vec<u8>),
    /// A change of one that was sealed: the place, the bytes there, how many are cut off the end.
    Changed(u8, Vec<u8>, u8),
    /// A value that was authentic.
    Value(Vec<u8>),
}

struct Sealed {
    cipher: DataCipher,
    binding: Binding,
    envelope: Vec<u8>,
}

static SEALED: LazyLock<Sealed> = LazyLock::new(|| {
    let secret = Secret::filled(|_| Ok::<_, SealError>(())).expect("zeros");
    let key = DataKey::new(KeyName::new("fuzz", 1).expect("a name"), secret);
    let cipher = DataCipher::new(vec![key]).expect("a keyring");
    let pairs = [("tenant", "t"), ("record", "r")];
    let binding = Binding::new("data", pairs).expect("a context");
    let mut draft = cipher.draft(Kind::Text, 0).expect("room");
    draft.extend(b"plaintext").expect("room");
    let envelope = cipher.seal(draft, &binding).expect("an envelope");
    Sealed {
        cipher,
        binding,
        envelope,
    }
});

fuzz_target!(|input: Input| match input {
    Input::Envelope(bytes) => refused(bytes),
    Input::Changed(at, bytes, cut) => {
        let mut changed = SEALED.envelope.clone();
        let at = usize::from(at) % changed.len();
        let end = (at + bytes.len()).min(changed.len());
        changed.splice(at..end, bytes);
        changed.truncate(changed.len().saturating_sub(usize::from(cut)));
        if changed == SEALED.envelope {
            let opened = SEALED.cipher.open(changed, &SEALED.binding);
            assert_eq!(opened.expect("what was sealed").plaintext(), b"plaintext");
        } else {
            refused(changed);
        }
    }
    Input::Value(bytes) => value(&bytes),
});

fn refused(bytes: Vec<u8>) {
    let parsed = Envelope::parse(&bytes);
    let error = SEALED
        .cipher
        .open(bytes, &SEALED.binding)
        .expect_err("nobody sealed it");
    assert!(!error.to_string().contains(char::is_control));
    match parsed {
        Ok(envelope) if envelope.key.id() == "fuzz" && envelope.key.version() == 1 => {
            assert_eq!(error.code(), "data.authentication");
        }
        Ok(_) => assert_eq!(error.code(), "data.unknown_key"),
        Err(parsed) => assert_eq!(parsed.code(), error.code()),
    }
}

/// What is read is written as it was.
fn value(bytes: &[u8]) {
    let mut items = Items::new(bytes);
    let mut draft = SEALED.cipher.draft(Kind::Value, 0).expect("room");
    let mut read = 0;
    while !items.is_empty() {
        let before = items;
        match items.next() {
            Ok(item) => item.write(&mut draft).expect("an item that was read"),
            Err(error) => {
                assert_eq!(error.code(), "data.malformed");
                items = before;
                break;
            }
        }
        read += 1;
    }
    assert!(read <= bytes.len());
    let rest = items.len();
    let envelope = SEALED
        .cipher
        .seal(draft, &SEALED.binding)
        .expect("an envelope");
    let opened = SEALED.cipher.open(envelope, &SEALED.binding).expect("ours");
    assert_eq!(opened.plaintext(), &bytes[..bytes.len() - rest]);
}
