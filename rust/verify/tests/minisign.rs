//! What `minisign` signs is verified here, and what is signed here `minisign` verifies.
#![allow(clippy::unwrap_used)]

mod support;

use std::process::Command;

use strongroom_verify::{
    Algorithm, Hasher,
    signature::{Evidence, Need, Seen, SignatureError, TrustedKey, minisign::SecretKey},
};
use support::{Bench, message};

fn verify(key: &[u8], signature: &[u8], message: &[u8]) -> Result<Evidence, SignatureError> {
    let signature = TrustedKey::from_file(key)
        .unwrap()
        .signature(signature, None)?;
    let (algorithm, whole) = match signature.need() {
        Need::Digest(algorithm) => (algorithm, None),
        Need::Whole => (Algorithm::Sha256, Some(message)),
    };
    let digests = [Hasher::digest(algorithm, message)];
    signature.verify(&Seen {
        digests: &digests,
        whole,
    })
}

/// A key pair without a passphrase in m.key and m.pub; returns the public one.
fn pair(bench: &Bench) -> Vec<u8> {
    bench.minisign(&["-G", "-W", "-f", "-p", "m.pub", "-s", "m.key"]);
    bench.read("m.pub")
}

fn signed(bench: &Bench, words: &[&str]) -> Vec<u8> {
    let common = ["-S", "-s", "m.key", "-m", "message", "-x", "sig"];
    bench.minisign(&[&common[..], words].concat());
    bench.read("sig")
}

#[test]
fn both_forms_are_verified_and_say_when() {
    let bench = Bench::new();
    let key = pair(&bench);
    for (words, how, digest) in [
        (
            &[][..],
            "minisign: Ed25519 over blake2b",
            Algorithm::Blake2b512,
        ),
        (
            &["-l"][..],
            "minisign: Ed25519 over the bytes themselves",
            Algorithm::Sha256,
        ),
    ] {
        let before = now();
        let signature = signed(&bench, words);
        let evidence = verify(&key, &signature, &message()).unwrap();
        assert_eq!(evidence.how, how);
        assert_eq!(evidence.digest, Hasher::digest(digest, &message()));
        assert!((before..=now()).contains(&evidence.signed_at.unwrap()));
        assert!(evidence.comment.unwrap().contains("file:message"));
        let mut other = message();
        other[0] ^= 1;
        let error = verify(&key, &signature, &other).unwrap_err();
        assert_eq!(error.code(), "signature.invalid");
        // A comment of one's own says nothing about the time.
        let signature = signed(&bench, &[words, &["-t", "version 3, timestamp:7"]].concat());
        let evidence = verify(&key, &signature, &message()).unwrap();
        assert_eq!(evidence.comment.unwrap(), "version 3, timestamp:7");
        assert_eq!(evidence.signed_at, None);
    }
}

#[test]
fn a_signature_over_a_digest_is_none_of_a_file_that_is_that_digest() {
    let bench = Bench::new();
    let key = pair(&bench);
    let signature = String::from_utf8(signed(&bench, &[])).unwrap();
    let digest = Hasher::digest(Algorithm::Blake2b512, &message());
    // ED becomes Ed: in base64, RUR becomes RWR.
    let retold = signature
        .replacen("\nRUR", "\nRWR", 1)
        .replacen("\nRUS", "\nRWS", 1);
    let retold = retold
        .replacen("\nRUT", "\nRWT", 1)
        .replacen("\nRUQ", "\nRWQ", 1);
    assert_ne!(retold, signature);
    bench.write("digest", digest.as_bytes());
    bench.write("digest.minisig", retold.as_bytes());
    // minisign itself is taken in, which shows that the forgery is a good one.
    bench.minisign(&["-V", "-p", "m.pub", "-m", "digest"]);
    let error = verify(&key, retold.as_bytes(), digest.as_bytes()).unwrap_err();
    assert_eq!(error.code(), "signature.malformed");
}

fn now() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

#[test]
fn minisign_verifies_what_is_signed_here() {
    let bench = Bench::new();
    let public = pair(&bench);
    let theirs = SecretKey::from_file(&bench.read("m.key"), None).unwrap();
    assert_eq!(theirs.public().to_file().as_bytes(), public);
    let ours = SecretKey::generate().unwrap();
    for key in [&theirs, &ours] {
        bench.write("our.pub", key.public().to_file().as_bytes());
        let digests = [Hasher::digest(Algorithm::Blake2b512, &message())];
        let seen = Seen {
            digests: &digests,
            whole: None,
        };
        let signature = key
            .sign(&seen, "timestamp:1700000000\tfile:message")
            .unwrap();
        bench.write("sig", signature.as_bytes());
        let words = ["-V", "-p", "our.pub", "-m", "message", "-x", "sig", "-Q"];
        assert_eq!(
            bench.minisign(&words),
            b"timestamp:1700000000\tfile:message\n"
        );
        let evidence = verify(&bench.read("our.pub"), signature.as_bytes(), &message()).unwrap();
        assert_eq!(evidence.signed_at, Some(1_700_000_000));
        assert_eq!(evidence.key, key.id());
        assert_eq!(
            format!("{key:?}"),
            format!("minisign::SecretKey({})", key.id())
        );
    }
    // And signs with our key.
    bench.write("m.key", ours.to_file(None).unwrap().as_bytes());
    let signature = signed(&bench, &[]);
    verify(ours.public().to_file().as_bytes(), &signature, &message()).unwrap();
    assert_eq!(
        ours.sign(
            &Seen {
                digests: &[],
                whole: None
            },
            ""
        )
        .unwrap_err()
        .code(),
        "signature.incomplete"
    );
}

#[test]
fn an_encrypted_key_goes_both_ways() {
    // Deriving a key takes 1 GiB each time, as minisign has it: one test does all of it.
    let bench = Bench::new();
    let ours = SecretKey::generate().unwrap();
    let file = ours.to_file(Some(b"correct horse")).unwrap();
    assert!(file.starts_with("untrusted comment: minisign encrypted secret key\n"));
    let code = |passphrase: Option<&[u8]>| {
        SecretKey::from_file(file.as_bytes(), passphrase)
            .unwrap_err()
            .code()
    };
    assert_eq!(code(None), "key.encrypted");
    assert_eq!(code(Some(b"wrong")), "key.passphrase");
    // minisign asks the terminal for the passphrase, or standard input where there is none.
    bench.write("m.key", file.as_bytes());
    let script = "printf 'correct horse\\n' | minisign -S -s m.key -m message -x sig";
    let output = Command::new("setsid")
        .args(["sh", "-c", script])
        .current_dir(bench.path(""))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    verify(
        ours.public().to_file().as_bytes(),
        &bench.read("sig"),
        &message(),
    )
    .unwrap();
    // What minisign encrypts is read here.
    let script = "printf 'correct horse\\ncorrect horse\\n' | minisign -G -f -p m.pub -s m.key";
    let output = Command::new("setsid")
        .args(["sh", "-c", script])
        .current_dir(bench.path(""))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let theirs = SecretKey::from_file(&bench.read("m.key"), Some(b"correct horse")).unwrap();
    assert_eq!(theirs.public().to_file().as_bytes(), bench.read("m.pub"));
}
