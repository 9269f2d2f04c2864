//! Records: sealed, opened, changed, moved, and under other keys.
#![allow(clippy::unwrap_used)]

use std::collections::HashSet;

use strongroom_seal::{
    SealError, Secret,
    record::{
        Binding, DataCipher, DataError, DataKey, Envelope, Item, Items, KeyName, Kind, MAX_CONTEXT,
        MAX_ENVELOPE, MAX_KEYS, MAX_PLAINTEXT,
    },
};

mod support;

const PAIRS: [(&str, &str); 2] = [("tenant", "acme"), ("record", "note/7")];

fn key(id: &str, version: u32, byte: u8) -> DataKey {
    let secret = Secret::filled(|key| {
        key.fill(byte);
        Ok::<_, SealError>(())
    });
    DataKey::new(KeyName::new(id, version).unwrap(), secret.unwrap())
}

fn cipher() -> DataCipher {
    DataCipher::new(vec![key("app", 2, 2), key("app", 1, 1)]).unwrap()
}

fn binding() -> Binding {
    Binding::new("data", PAIRS).unwrap()
}

fn seal(cipher: &DataCipher, plaintext: &[u8]) -> Vec<u8> {
    let mut draft = cipher.draft(Kind::Bytes, plaintext.len()).unwrap();
    draft.extend(plaintext).unwrap();
    cipher.seal(draft, &binding()).unwrap()
}

fn code(cipher: &DataCipher, envelope: &[u8], binding: &Binding) -> &'static str {
    cipher.open(envelope.to_vec(), binding).unwrap_err().code()
}

#[test]
fn what_was_sealed_comes_back() {
    let cipher = cipher();
    for length in [0, 1, 15, 16, 17, 255, 4096, 100_000] {
        for kind in [Kind::Bytes, Kind::Buffer, Kind::Text, Kind::Value] {
            let plaintext = support::plaintext(length);
            // In pieces, with room for nothing: it grows.
            let mut draft = cipher.draft(kind, 0).unwrap();
            for piece in plaintext.chunks(777) {
                draft.extend(piece).unwrap();
            }
            let envelope = cipher.seal(draft, &binding()).unwrap();
            let opened = cipher.open(envelope, &binding()).unwrap();
            assert_eq!((opened.kind(), opened.plaintext()), (kind, &plaintext[..]));
        }
    }
}

#[test]
fn no_two_envelopes_have_a_nonce() {
    let cipher = cipher();
    let envelopes: HashSet<_> = (0..1000).map(|_| seal(&cipher, b"same")).collect();
    assert_eq!(envelopes.len(), 1000);
    let nonce = |envelope: &Vec<u8>| envelope[7 + 3 + 36..7 + 3 + 48].to_vec();
    let nonces: HashSet<_> = envelopes.iter().map(nonce).collect();
    assert_eq!(nonces.len(), 1000);
}

#[test]
fn every_changed_bit_and_every_cut_is_refused() {
    let cipher = cipher();
    let envelope = seal(&cipher, b"some plaintext");
    for at in 0..envelope.len() {
        for bit in 0..8 {
            let mut changed = envelope.clone();
            changed[at] ^= 1 << bit;
            let code = code(&cipher, &changed, &binding());
            match at {
                0..4 => assert_eq!(code, "data.not_envelope"),
                4..6 => assert_eq!(code, "data.unsupported"),
                // The length of the id, and the id.
                6..10 => assert!(
                    ["data.unknown_key", "data.malformed", "data.truncated"].contains(&code),
                    "{at}.{bit}: {code}"
                ),
                // The key's version: 3 is another key, and no other is there.
                10..14 => assert!(
                    ["data.unknown_key", "data.authentication"].contains(&code),
                    "{at}.{bit}: {code}"
                ),
                _ => assert_eq!(code, "data.authentication", "{at}.{bit}"),
            }
        }
    }
    for end in 0..envelope.len() {
        let expected = match end {
            0 => "data.not_envelope",
            // A header, a byte and a tag could be all of another one.
            _ if end >= 7 + 3 + 48 + 17 => "data.authentication",
            _ => "data.truncated",
        };
        assert_eq!(
            code(&cipher, &envelope[..end], &binding()),
            expected,
            "{end}"
        );
    }
    let longer = [&envelope[..], &[0]].concat();
    assert_eq!(code(&cipher, &longer, &binding()), "data.authentication");
}

#[test]
fn it_opens_in_its_place_alone() {
    let cipher = cipher();
    let envelope = seal(&cipher, b"x");
    let more = [PAIRS[0], PAIRS[1], ("x", "")];
    for other in [
        Binding::new("other", PAIRS),
        Binding::new("dat", PAIRS),
        Binding::new("data", [("tenant", "acma"), ("record", "note/7")]),
        Binding::new("data", [("tenant", "acme"), ("record", "note/8")]),
        // The same bytes, cut elsewhere.
        Binding::new("data", [("tenant", "acmen"), ("record", "ote/7")]),
        Binding::new("data", more),
    ] {
        assert_eq!(
            code(&cipher, &envelope, &other.unwrap()),
            "data.authentication"
        );
    }
    let turned = Binding::new("data", [PAIRS[1], PAIRS[0]]).unwrap();
    cipher.open(envelope, &turned).unwrap();
}

#[test]
fn keys_are_rotated_and_swapped_ones_are_refused() {
    let old = DataCipher::new(vec![key("app", 1, 1)]).unwrap();
    let envelope = seal(&old, b"old");
    assert_eq!(Envelope::parse(&envelope).unwrap().key.version(), 1);
    let cipher = cipher();
    let again = cipher.reencrypt(envelope.clone(), &binding()).unwrap();
    assert_eq!(Envelope::parse(&again).unwrap().key.version(), 2);
    assert_eq!(
        cipher.open(again.clone(), &binding()).unwrap().plaintext(),
        b"old"
    );
    assert_eq!(code(&old, &again, &binding()), "data.unknown_key");
    let swapped = DataCipher::new(vec![key("app", 2, 1), key("app", 1, 2)]).unwrap();
    for envelope in [envelope, again] {
        assert_eq!(code(&swapped, &envelope, &binding()), "data.authentication");
    }
}

#[test]
fn keyrings_contexts_and_purposes_that_cannot_be() {
    let refused = |keys| DataCipher::new(keys).unwrap_err().code();
    assert_eq!(refused(vec![]), "data.keyring");
    assert_eq!(
        refused(vec![key("a", 1, 0), key("a", 1, 1)]),
        "data.keyring"
    );
    let many = |count| {
        let versions = (0_u32..).take(count);
        versions.map(|version| key("a", version, 0)).collect()
    };
    assert_eq!(refused(many(MAX_KEYS + 1)), "data.keyring");
    DataCipher::new(many(MAX_KEYS)).unwrap();
    for id in ["", "a b", "ü", "a\n", &"a".repeat(65)] {
        assert_eq!(KeyName::new(id, 1).unwrap_err().code(), "data.keyring");
    }
    let context = |pairs: &[(&str, &str)]| Binding::new("data", pairs.iter().copied());
    for pairs in [
        &[][..],
        &[("tenant", "t")],
        &[("record", "r")],
        &[("tenant", ""), ("record", "r")],
        &[("tenant", "t"), ("record", "r"), ("", "x")],
        &[("tenant", "t"), ("record", "r"), ("tenant", "u")],
        &[("tenant", "t"), ("record", &"r".repeat(MAX_CONTEXT))],
    ] {
        assert_eq!(context(pairs).unwrap_err().code(), "data.context");
    }
    let rest = MAX_CONTEXT - 4 - 4 * 4 - "tenant".len() - 1 - "record".len();
    context(&[("tenant", "t"), ("record", &"r".repeat(rest))]).unwrap();
    let longer = "r".repeat(rest + 1);
    assert!(context(&[("tenant", "t"), ("record", &longer)]).is_err());
    for purpose in ["", &"p".repeat(256)] {
        assert_eq!(
            Binding::new(purpose, PAIRS).unwrap_err().code(),
            "data.purpose"
        );
    }
}

#[test]
fn sizes_are_bounded() {
    let cipher = cipher();
    assert_eq!(
        cipher
            .draft(Kind::Bytes, MAX_PLAINTEXT + 1)
            .unwrap_err()
            .code(),
        "data.too_large"
    );
    let mut draft = cipher.draft(Kind::Bytes, MAX_PLAINTEXT).unwrap();
    draft.extend(&vec![1; MAX_PLAINTEXT]).unwrap();
    assert_eq!(draft.extend(&[1]).unwrap_err().code(), "data.too_large");
    let envelope = cipher.seal(draft, &binding()).unwrap();
    assert_eq!(
        cipher.open(envelope, &binding()).unwrap().plaintext().len(),
        MAX_PLAINTEXT
    );
    let mut large = vec![0; MAX_ENVELOPE + 1];
    large[..4].copy_from_slice(b"SRDE");
    assert_eq!(code(&cipher, &large, &binding()), "data.too_large");
}

/// The items of what `write` puts into a value.
fn written(items: &[Item<'_>]) -> Result<Vec<u8>, DataError> {
    let cipher = cipher();
    let mut draft = cipher.draft(Kind::Value, 0)?;
    for item in items {
        item.write(&mut draft)?;
    }
    let envelope = cipher.seal(draft, &binding())?;
    Ok(cipher.open(envelope, &binding())?.plaintext().to_vec())
}

#[test]
fn values_have_one_encoding() {
    let big = [1, 0, 0, 0, 0, 0, 0, 0, 0];
    let items = [
        Item::List(9),
        Item::Null,
        Item::Bool(true),
        Item::Positive(u64::MAX),
        Item::Negative(23),
        Item::BigPositive(&big),
        Item::BigNegative(&big),
        Item::Float(-0.0),
        Item::Text("Zoë"),
        Item::Map(0),
    ];
    let bytes = written(&items).unwrap();
    let mut reading = Items::new(&bytes);
    for item in items {
        assert_eq!(reading.next().unwrap(), item);
    }
    assert!(reading.is_empty());
    for refused in [
        &[][..],
        // Longer than needed.
        &[0x18, 0x17],
        &[0x19, 0x00, 0xff],
        &[0x1a, 0x00, 0x00, 0xff, 0xff],
        &[0x1b, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff],
        // Of no definite length, with bytes alone, other tags, half a float, undefined.
        &[0x9f, 0xff],
        &[0x41, 0x00],
        &[0xc0, 0x60],
        &[0xf9, 0x3c, 0x00],
        &[0xf7],
        // Big integers that are small ones, or no bytes.
        &[0xc2, 0x48, 1, 0, 0, 0, 0, 0, 0, 0],
        &[0xc2, 0x49, 0, 1, 0, 0, 0, 0, 0, 0, 0],
        &[0xc2, 0x60],
        // Infinity, NaN.
        &[0xfb, 0x7f, 0xf0, 0, 0, 0, 0, 0, 0],
        &[0xfb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0],
        // Text that isn't, and what isn't there.
        &[0x61, 0xff],
        &[0x62, b'a'],
        &[0x82, 0xf6],
        &[0xa1, 0x60],
        &[0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    ] {
        let error = Items::new(refused).next().unwrap_err();
        assert_eq!(error.code(), "data.malformed", "{refused:x?}");
    }
    for item in [
        Item::Float(f64::NAN),
        Item::BigPositive(&[1; 8]),
        Item::BigNegative(&[0; 9]),
    ] {
        assert_eq!(written(&[item]).unwrap_err().code(), "data.malformed");
    }
}
