//! Keys, contexts and messages to test with.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::{num::NonZeroUsize, sync::Mutex};

use strongroom_seal::{EncryptionContext, Keyring, RawKeyring, SealError, Sealed, Secret, Writer};

pub const NAMESPACE: &str = "test";

/// The keyring of a key whose bytes are all `byte`.
pub fn raw(name: &str, byte: u8) -> RawKeyring {
    let key = Secret::filled(|key| {
        key.fill(byte);
        Ok::<_, SealError>(())
    });
    RawKeyring::new(NAMESPACE, name, &key.unwrap()).unwrap()
}

pub fn context() -> EncryptionContext {
    EncryptionContext::from_pairs([("model", "a"), ("digest", "sha256:00")]).unwrap()
}

pub fn threads(count: usize) -> NonZeroUsize {
    NonZeroUsize::new(count).unwrap()
}

/// Bytes that don't repeat soon.
pub fn plaintext(length: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        bytes.extend(state.to_be_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Seals in frames of `frame` bytes, pulled in pieces that fit none of them.
pub fn seal(plaintext: &[u8], frame: u32, keyrings: &[&dyn Keyring], threads_: usize) -> Vec<u8> {
    let writer = Writer::with_frame_length(keyrings, &context(), frame).unwrap();
    let expected = writer.sealed_length(plaintext.len() as u64).unwrap();
    let mut rest = plaintext;
    let mut sealed = Vec::new();
    let summary = writer
        .seal::<SealError>(
            threads(threads_),
            |buffer| {
                let count = rest.len().min(buffer.len()).min(777);
                let (now, later) = rest.split_at(count);
                buffer[..count].copy_from_slice(now);
                rest = later;
                Ok(count)
            },
            |bytes| {
                sealed.extend_from_slice(bytes);
                Ok(())
            },
        )
        .unwrap();
    assert_eq!(summary.plaintext, plaintext.len() as u64);
    assert_eq!(summary.sealed, sealed.len() as u64);
    assert_eq!(summary.sealed, expected);
    sealed
}

/// Opens all of it: frame by frame in several threads, and by pieces.
pub fn open(sealed: &[u8], keyrings: &[&dyn Keyring]) -> Result<Vec<u8>, SealError> {
    let sealed = Sealed::open(sealed, keyrings, &context())?;
    let length = usize::try_from(sealed.length()).unwrap();
    let whole = Mutex::new(vec![0; length]);
    sealed.for_each_frame(threads(3), |offset, plaintext| {
        let offset = usize::try_from(offset).unwrap();
        whole.lock().unwrap()[offset..offset + plaintext.len()].copy_from_slice(plaintext);
        Ok::<_, SealError>(())
    })?;
    let whole = whole.into_inner().unwrap();
    let mut out = vec![1; length];
    sealed.read_into(threads(2), &mut out)?;
    assert!(out == whole);
    let mut scratch = sealed.scratch()?;
    let mut piece = vec![0; length.min(1000)];
    for offset in [0, length / 3, length] {
        let count = sealed.read_at(offset as u64, &mut piece, &mut scratch)?;
        assert_eq!(count, piece.len().min(length - offset));
        assert_eq!(piece[..count], whole[offset..offset + count]);
    }
    Ok(whole)
}

/// The code with which opening fails.
pub fn refused(sealed: &[u8], keyrings: &[&dyn Keyring]) -> &'static str {
    open(sealed, keyrings).unwrap_err().code()
}
