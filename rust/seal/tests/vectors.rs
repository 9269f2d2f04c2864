//! Messages that the AWS Encryption SDK for Python made; `vectors/README.md` says with what.
#![allow(clippy::unwrap_used)]

mod support;

use strongroom_seal::{
    Cost, EncryptionContext, Keyring, PassphraseKeyring, RawKeyring, SealError, Sealed, Secret,
};
use support::threads;
use zeroize::Zeroizing;

fn key(name: &str, first: u8) -> RawKeyring {
    let key = Secret::filled(|key| {
        for (byte, value) in key.iter_mut().zip(first..) {
            *byte = value;
        }
        Ok::<_, SealError>(())
    });
    RawKeyring::new("vectors", name, &key.unwrap()).unwrap()
}

fn opens(sealed: &[u8], keyring: &dyn Keyring, length: usize, pairs: &[(&str, &str)]) {
    let context = EncryptionContext::from_pairs(pairs.iter().copied()).unwrap();
    let sealed = Sealed::open(sealed, &[keyring], &context).unwrap();
    assert_eq!(sealed.context(), &context);
    let mut out = vec![1; length];
    sealed.read_into(threads(2), &mut out).unwrap();
    assert!(out.iter().copied().eq((0..251).cycle().take(length)));
}

#[test]
fn raw_keys() {
    let (one, two) = (key("one", 0), key("two", 32));
    opens(include_bytes!("vectors/empty.sealed"), &one, 0, &[]);
    let frames = include_bytes!("vectors/frames.sealed");
    let pairs = [("model", "smol"), ("ü", "")];
    opens(frames, &one, 300, &pairs);
    opens(frames, &two, 300, &pairs);
    opens(
        include_bytes!("vectors/full.sealed"),
        &two,
        256,
        &pairs[..1],
    );
}

#[test]
fn a_passphrase() {
    let sealed = include_bytes!("vectors/passphrase.sealed");
    // What sealing would cost has no part in opening.
    let words = |words: &str| {
        let words = Zeroizing::new(words.as_bytes().to_vec());
        PassphraseKeyring::new(words, Cost::default()).unwrap()
    };
    opens(sealed, &words("correct horse"), 100, &[("a", "b")]);
    let code = support::refused(sealed, &[&words("correct horse ")]);
    assert_eq!(code, "seal.authentication");
}
