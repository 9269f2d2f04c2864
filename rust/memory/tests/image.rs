//! The image: its digest is of its bytes, and nobody can change them.
#![allow(clippy::unwrap_used, unsafe_code)]

use std::{
    fs,
    io::{Read, Seek, SeekFrom},
    ops::ControlFlow,
    os::fd::AsRawFd,
    path::{Path, PathBuf},
    ptr,
};

use rustix::{
    fs::{Mode, OFlags, SealFlags},
    io::Errno,
    mm::{MapFlags, ProtFlags},
};
use strongroom_memory::{Image, ProofError, Unproven, image};
use strongroom_verify::{
    Algorithm, Digest, Hasher, PrivateKey, Scheme,
    key::Kind,
    signature::{Signature, TrustedKey},
};
use tempfile::TempDir;

fn content(size: usize) -> Vec<u8> {
    // A generator of Lehmer's kind (Park and Miller): no two chunks alike.
    let mut state = 1_u64;
    (0..size)
        .map(|_| {
            state = state * 48_271 % 0x7fff_ffff;
            (state & 0xff) as u8
        })
        .collect()
}

fn file(directory: &TempDir, bytes: &[u8]) -> PathBuf {
    let path = directory.path().join("model.gguf");
    fs::write(&path, bytes).unwrap();
    path
}

fn digest(algorithm: Algorithm, bytes: &[u8]) -> Digest {
    let mut hasher = Hasher::new(algorithm);
    hasher.update(bytes);
    hasher.finish()
}

fn read(path: &Path, algorithms: &[Algorithm]) -> Unproven {
    image::read(
        path,
        algorithms,
        None,
        &mut |_, _| ControlFlow::Continue(()),
    )
    .unwrap()
}

fn image_of(bytes: &[u8]) -> Image {
    let directory = TempDir::new().unwrap();
    read(&file(&directory, bytes), &[]).danger_accept()
}

#[test]
fn bytes_and_digests_at_every_edge_of_a_chunk() {
    let directory = TempDir::new().unwrap();
    let chunk = 256 << 10;
    for size in [
        1,
        4095,
        4096,
        4097,
        chunk - 1,
        chunk,
        chunk + 1,
        2 * chunk,
        7 * chunk + 13,
        20 * chunk,
    ] {
        let bytes = content(size);
        let unproven = read(&file(&directory, &bytes), &Algorithm::ALL);
        let digests = Algorithm::ALL.map(|algorithm| digest(algorithm, &bytes));
        assert_eq!(unproven.digests(), digests, "{size}");
        let image = unproven.prove(&digests[2]).unwrap();
        assert_eq!(image.digest(), digests[2]);
        assert_eq!(image.len(), size);
        assert!(*image.map().unwrap() == bytes, "{size}");
    }
}

/// Huge pages are made in batches of 64 MiB before their bytes come; the rest is small pages.
#[test]
fn bytes_at_every_edge_of_a_huge_page() {
    const HUGE: usize = 2 << 20;
    const BATCH: usize = 32 * HUGE;
    let bytes = content(BATCH + 2 * HUGE + 1);
    for size in [
        HUGE - 1,
        HUGE,
        HUGE + 1,
        3 * HUGE - 1,
        BATCH - 1,
        BATCH,
        BATCH + 1,
        BATCH + HUGE,
        BATCH + 2 * HUGE + 1,
    ] {
        let image = image_of(&bytes[..size]);
        assert_eq!(image.len(), size);
        assert!(*image.map().unwrap() == bytes[..size], "{size}");
        assert_eq!(
            image.digest(),
            digest(Algorithm::Sha256, &bytes[..size]),
            "{size}"
        );
    }
}

#[test]
fn another_digest_gives_no_image() {
    let directory = TempDir::new().unwrap();
    let path = file(&directory, b"model");
    let wrong = digest(Algorithm::Sha256, b"other");
    let error = read(&path, &[Algorithm::Sha256]).prove(&wrong).unwrap_err();
    assert_eq!(error.code(), "checksum.mismatch");
    // An algorithm that was not computed fails closed, though the digest would be right.
    let unasked = digest(Algorithm::Sha512, b"model");
    let error = read(&path, &[Algorithm::Sha256])
        .prove(&unasked)
        .unwrap_err();
    assert_eq!(error.code(), "checksum.mismatch");
}

/// A signature of these bytes, still to be held to them.
fn signature(kind: Kind, scheme: Scheme, bytes: &[u8]) -> Signature {
    let key = PrivateKey::generate(kind).unwrap();
    let signature = key.sign_message(scheme, bytes).unwrap();
    TrustedKey::Pem(key.public().clone())
        .signature(&signature, None)
        .unwrap()
}

#[test]
fn a_signature_gives_an_image_and_a_wrong_one_none() {
    let directory = TempDir::new().unwrap();
    let bytes = content(1 << 20);
    let path = file(&directory, &bytes);
    for (kind, scheme, algorithm) in [
        (Kind::P384, Scheme::Ecdsa, Algorithm::Sha384),
        // Over the bytes themselves, which are those of the sealed image.
        (Kind::Ed25519, Scheme::Ed25519, Algorithm::Sha256),
    ] {
        let right = signature(kind, scheme, &bytes);
        let wrong = signature(kind, scheme, &bytes[1..]);
        let digest = digest(algorithm, &bytes);
        let (image, evidence) = read(&path, &[algorithm])
            .prove_signed(&right, None)
            .unwrap();
        assert_eq!((image.digest(), evidence.digest), (digest, digest));
        assert!(*image.map().unwrap() == bytes);
        let error = read(&path, &[algorithm])
            .prove_signed(&wrong, None)
            .unwrap_err();
        let ProofError::Signature(error) = error else {
            panic!("{error}")
        };
        assert_eq!(error.code(), "signature.invalid");
    }
}

#[test]
fn a_signature_and_a_digest_both_have_to_hold() {
    let directory = TempDir::new().unwrap();
    let path = file(&directory, b"model");
    let right = signature(Kind::P256, Scheme::Ecdsa, b"model");
    let both = [Algorithm::Sha512, Algorithm::Sha256];
    let sha512 = digest(Algorithm::Sha512, b"model");
    let (image, evidence) = read(&path, &both)
        .prove_signed(&right, Some(&sha512))
        .unwrap();
    assert_eq!(image.digest(), sha512);
    assert_eq!(evidence.digest, digest(Algorithm::Sha256, b"model"));
    let other = digest(Algorithm::Sha512, b"other");
    let error = read(&path, &both)
        .prove_signed(&right, Some(&other))
        .unwrap_err();
    assert!(matches!(error, ProofError::Digest(_)));
    // A digest that was not computed fails closed, though the signature would be right.
    let error = read(&path, &both[..1])
        .prove_signed(&right, None)
        .unwrap_err();
    let ProofError::Signature(error) = error else {
        panic!("{error}")
    };
    assert_eq!(error.code(), "signature.incomplete");
}

#[test]
fn without_an_algorithm_it_is_sha256() {
    let directory = TempDir::new().unwrap();
    let found = read(&file(&directory, b"model"), &[]).danger_accept();
    assert_eq!(found.digest(), digest(Algorithm::Sha256, b"model"));
}

#[test]
fn every_way_to_change_it_is_refused() {
    let bytes = content(10_000);
    let image = image_of(&bytes);
    // The file mode lets its owner open it for writing; the seals have the last word.
    let reopened = image.reopen().unwrap();
    let path = format!("/proc/self/fd/{}", reopened.as_raw_fd());
    let writable = rustix::fs::open(path, OFlags::RDWR, Mode::empty()).unwrap();
    assert_eq!(rustix::io::pwrite(&writable, b"x", 0), Err(Errno::PERM));
    assert_eq!(
        rustix::io::pwrite(&writable, b"x", 10_000),
        Err(Errno::PERM)
    );
    assert_eq!(rustix::fs::ftruncate(&writable, 1), Err(Errno::PERM));
    assert_eq!(rustix::fs::ftruncate(&writable, 20_000), Err(Errno::PERM));
    assert_eq!(
        rustix::fs::fcntl_add_seals(&writable, SealFlags::empty()),
        Err(Errno::PERM)
    );
    // SAFETY: a new mapping, refused; nothing refers to it.
    let mapped = unsafe {
        rustix::mm::mmap(
            ptr::null_mut(),
            4096,
            ProtFlags::READ | ProtFlags::WRITE,
            MapFlags::SHARED,
            &writable,
            0,
        )
    };
    assert_eq!(mapped.map(|_| ()), Err(Errno::PERM));
    let seals = rustix::fs::fcntl_get_seals(&writable).unwrap();
    for seal in [
        SealFlags::SEAL,
        SealFlags::SHRINK,
        SealFlags::GROW,
        SealFlags::WRITE,
    ] {
        assert!(seals.contains(seal), "{seals:?}");
    }
    assert!(*image.map().unwrap() == bytes);
}

#[test]
fn a_mapping_can_not_be_made_writable() {
    let image = image_of(&content(4096));
    let mapping = image.map().unwrap();
    // SAFETY: refused; were it granted, the mapping would only gain a right.
    let result = unsafe {
        rustix::mm::mprotect(
            mapping.as_ptr().cast_mut().cast(),
            4096,
            rustix::mm::MprotectFlags::READ | rustix::mm::MprotectFlags::WRITE,
        )
    };
    assert_eq!(result, Err(Errno::ACCESS));
}

#[test]
fn reopened_descriptors_are_read_only_and_share_no_offset() {
    let image = image_of(b"0123456789");
    let mut first = fs::File::from(image.reopen().unwrap());
    let mut second = fs::File::from(image.reopen().unwrap());
    assert_eq!(
        rustix::io::pwrite(&first, b"x", 0).unwrap_err(),
        Errno::BADF
    );
    first.seek(SeekFrom::Start(4)).unwrap();
    let mut text = String::new();
    second.read_to_string(&mut text).unwrap();
    assert_eq!(text, "0123456789");
    text.clear();
    first.read_to_string(&mut text).unwrap();
    assert_eq!(text, "456789");
}

#[test]
fn bytes_outlive_the_image_while_they_are_mapped() {
    let bytes = content(100_000);
    let image = image_of(&bytes);
    let clone = image.clone();
    let mapping = image.map().unwrap();
    drop((image, clone));
    assert!(*mapping == bytes);
}

#[test]
fn debug_shows_no_bytes() {
    let image = image_of(b"SECRET");
    let shown = format!("{image:?} {:?}", image.map().unwrap());
    assert!(!shown.contains("SECRET"), "{shown}");
    assert!(shown.contains("<6 bytes>"), "{shown}");
}
