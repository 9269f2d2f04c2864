//! What needs the salt and the nonce in one's own hands: the vectors of `ENVELOPE.md`, which another
//! implementation made, and the limits of a subkey.
#![allow(clippy::unwrap_used)]

use std::{collections::HashSet, sync::Arc, thread};

use super::{cipher::DataCipher, subkey::Limits, subkey::Subkey, *};
use crate::{SealError, Secret};

const VECTORS: &str = include_str!("../../tests/vectors/records.txt");

fn key(id: &str, version: u32, bytes: &[u8]) -> DataKey {
    let secret = Secret::filled(|key| {
        key.copy_from_slice(bytes);
        Ok::<_, SealError>(())
    });
    DataKey::new(KeyName::new(id, version).unwrap(), secret.unwrap())
}

fn hex(digits: &str) -> Vec<u8> {
    let digits = digits.trim_start_matches('-');
    (0..digits.len() / 2)
        .map(|at| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).unwrap())
        .collect()
}

fn text(digits: &str) -> String {
    String::from_utf8(hex(digits)).unwrap()
}

fn limited(messages: u64, blocks: u64) -> DataCipher {
    DataCipher::limited(vec![key("a", 1, &[7; 32])], Limits { messages, blocks }).unwrap()
}

fn binding(purpose: &str) -> Binding {
    Binding::new(purpose, [("tenant", "t"), ("record", "r")]).unwrap()
}

fn seal(cipher: &DataCipher, purpose: &str, plaintext: &[u8]) -> Vec<u8> {
    let mut draft = cipher.draft(Kind::Bytes, 0).unwrap();
    draft.extend(plaintext).unwrap();
    cipher.seal(draft, &binding(purpose)).unwrap()
}

fn salt(envelope: &[u8]) -> [u8; 32] {
    Envelope::parse(envelope).unwrap().salt
}

#[test]
fn known_answers_both_ways() {
    let mut count = 0;
    for vector in VECTORS.split_terminator("\n\n") {
        let field = |name: &str| {
            let mut lines = vector.lines();
            lines
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
                .unwrap()
        };
        let pairs = vector.lines().filter_map(|line| {
            let (key, value) = line.strip_prefix("context ")?.split_once(' ').unwrap();
            Some((text(key), text(value)))
        });
        let binding = Binding::new(field("purpose"), pairs).unwrap();
        let bytes = hex(field("key"));
        let version = field("version").parse().unwrap();
        let cipher = DataCipher::new(vec![key(field("id"), version, &bytes)]).unwrap();
        let (plaintext, envelope) = (hex(field("plaintext")), hex(field("envelope")));

        let opened = cipher.open(envelope.clone(), &binding).unwrap();
        assert_eq!(opened.kind().byte(), plaintext[0]);
        assert_eq!(opened.plaintext(), &plaintext[1..]);

        let parsed = Envelope::parse(&envelope).unwrap();
        let of = key(field("id"), version, &bytes);
        let subkey = Subkey::derive(&of, field("purpose"), parsed.salt).unwrap();
        let mut draft = cipher.draft(opened.kind(), 0).unwrap();
        draft.extend(opened.plaintext()).unwrap();
        let sealed = cipher
            .seal_with(draft, &binding, &subkey, parsed.nonce)
            .unwrap();
        assert_eq!(sealed, envelope, "{}", field("name"));
        count += 1;
    }
    assert_eq!(count, 5);
}

#[test]
fn a_subkey_encrypts_no_more_than_its_count_of_records() {
    let cipher = limited(3, MAX_BLOCKS);
    let salts: Vec<_> = (0..10)
        .map(|_| salt(&seal(&cipher, "data", b"x")))
        .collect();
    let distinct: HashSet<_> = salts.iter().collect();
    assert_eq!(distinct.len(), 4);
    for (number, salts) in salts.chunks(3).enumerate() {
        assert!(salts.iter().all(|salt| *salt == salts[0]), "{number}");
    }
}

#[test]
fn threads_share_one_count() {
    let cipher = Arc::new(limited(10, MAX_BLOCKS));
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let cipher = Arc::clone(&cipher);
            thread::spawn(move || -> Vec<_> {
                let envelopes = (0..25).map(|_| seal(&cipher, "data", b"x"));
                envelopes.map(|envelope| salt(&envelope)).collect()
            })
        })
        .collect();
    let salts: Vec<_> = threads
        .into_iter()
        .flat_map(|thread| thread.join().unwrap())
        .collect();
    let distinct: HashSet<_> = salts.iter().collect();
    assert_eq!(distinct.len(), 10);
    for salt in distinct {
        assert_eq!(salts.iter().filter(|other| *other == salt).count(), 10);
    }
}

#[test]
fn a_subkey_encrypts_no_more_than_its_count_of_blocks() {
    // 65 bytes of plaintext with the kind are 5 blocks, header and context less than 10 with the lengths.
    let cipher = limited(MAX_MESSAGES, 30);
    let salts: Vec<_> = (0..4)
        .map(|_| salt(&seal(&cipher, "data", &[0; 64])))
        .collect();
    assert!(salts[0] == salts[1] && salts[2] == salts[3]);
    assert_ne!(salts[1], salts[2]);
    // What exceeds the limit alone has a subkey to itself.
    let alone = salt(&seal(&cipher, "data", &[0; 4096]));
    assert_ne!(alone, salts[3]);
    assert_ne!(salt(&seal(&cipher, "data", b"x")), alone);
}

#[test]
fn a_purpose_that_was_pushed_out_has_a_new_salt() {
    let cipher = limited(MAX_MESSAGES, MAX_BLOCKS);
    let first = salt(&seal(&cipher, "data", b"x"));
    for number in 0..15 {
        seal(&cipher, &number.to_string(), b"x");
    }
    assert_eq!(salt(&seal(&cipher, "data", b"x")), first);
    for number in 15..31 {
        seal(&cipher, &number.to_string(), b"x");
    }
    let envelope = seal(&cipher, "data", b"x");
    assert_ne!(salt(&envelope), first);
    cipher.open(envelope, &binding("data")).unwrap();
}
