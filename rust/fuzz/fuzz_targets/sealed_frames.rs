//! The frames of a sealed model whose header is authentic: the input changes a message that was
//! sealed, and whatever is opened is a frame of what was sealed, in its place.

#![no_main]

use std::{num::NonZeroUsize, sync::LazyLock};

use libfuzzer_sys::{
    arbitrary::{self, Arbitrary},
    fuzz_target,
};
use strongroom_seal::{EncryptionContext, RawKeyring, SealError, Sealed, Secret, Writer};

const FRAME: usize = 32;

#[derive(Debug, Arbitrary)]
struct Change {
    /// Kind of the change: overwrite, insert, remove, copy.
    kind: u8,
    at: u16,
    from: u16,
    bytes: Vec<u8>,
}

struct Message {
    keyring: RawKeyring,
    sealed: Vec<u8>,
    plaintext: Vec<u8>,
}

static MESSAGE: LazyLock<Message> = LazyLock::new(|| {
    let key = Secret::filled(|_| Ok::<_, SealError>(())).expect("zeros");
    let keyring = RawKeyring::new("fuzz", "key", &key).expect("a name");
    let plaintext: Vec<u8> = (0..5 * FRAME as u8 + 7).collect();
    let mut rest = &plaintext[..];
    let mut sealed = Vec::new();
    Writer::with_frame_length(&[&keyring], &EncryptionContext::new(), FRAME as u32)
        .expect("a header")
        .seal::<SealError>(
            NonZeroUsize::MIN,
            |buffer| {
                let (now, later) = rest.split_at(buffer.len().min(rest.len()));
                buffer[..now.len()].copy_from_slice(now);
                rest = later;
                Ok(now.len())
            },
            |bytes| {
                sealed.extend_from_slice(bytes);
                Ok(())
            },
        )
        .expect("a message");
    Message {
        keyring,
        sealed,
        plaintext,
    }
});

fuzz_target!(|changes: Vec<Change>| {
    let mut sealed = MESSAGE.sealed.clone();
    for change in changes {
        let length = change.bytes.len();
        let at = usize::from(change.at) % (sealed.len() + 1);
        let end = (at + length).min(sealed.len());
        match change.kind % 4 {
            0 => sealed[at..end].copy_from_slice(&change.bytes[..end - at]),
            1 => drop(sealed.splice(at..at, change.bytes)),
            2 => drop(sealed.drain(at..end)),
            _ => {
                let from = usize::from(change.from) % (sealed.len() + 1);
                let count = (end - at).min(sealed.len() - from);
                sealed.copy_within(from..from + count, at);
            }
        }
        sealed.truncate(1 << 16);
    }
    let context = EncryptionContext::new();
    let opened = match Sealed::open(&sealed[..], &[&MESSAGE.keyring], &context) {
        Ok(opened) => opened,
        Err(error) => {
            assert_ne!(sealed, MESSAGE.sealed);
            assert!(!error.to_string().contains(char::is_control));
            return;
        }
    };
    // The final frame is authentic, and with it the length.
    assert_eq!(opened.length(), MESSAGE.plaintext.len() as u64);
    let mut scratch = opened.scratch().expect("memory");
    let mut whole = true;
    for (index, expected) in MESSAGE.plaintext.chunks(FRAME).enumerate() {
        match opened.frame(index as u64, &mut scratch) {
            Ok(plaintext) => assert_eq!(plaintext, expected),
            Err(_) => whole = false,
        }
    }
    assert_eq!(whole, sealed == MESSAGE.sealed);
    let mut out = vec![1; MESSAGE.plaintext.len()];
    match opened.read_into(NonZeroUsize::MIN, &mut out) {
        Ok(()) => assert!(whole && out == MESSAGE.plaintext),
        Err(_) => assert!(!whole && out.iter().all(|&byte| byte == 0)),
    }
});
