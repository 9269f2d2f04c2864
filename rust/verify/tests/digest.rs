//! Digests against the vectors of FIPS 180-4, and what their text form refuses.
#![allow(clippy::unwrap_used)]

use strongroom_verify::{Algorithm, CODES, Digest, Hasher, VerifyError};

/// (algorithm, message, digest): the examples of FIPS 180-4, and the empty message.
const VECTORS: &[(Algorithm, &str, &str)] = &[
    (
        Algorithm::Sha256,
        "",
        "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    ),
    (
        Algorithm::Sha256,
        "abc",
        "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    ),
    (
        Algorithm::Sha384,
        "abc",
        "sha384:cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed\
         8086072ba1e7cc2358baeca134c825a7",
    ),
    (
        Algorithm::Sha512,
        "abc",
        "sha512:ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
         2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
    ),
];

/// (algorithm, digest of "abc"): the example of RFC 7693, and of BLAKE3's test vectors.
const BLAKE: &[(Algorithm, &str)] = &[
    (
        Algorithm::Blake2b512,
        "blake2b:ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d1\
         7d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925ab92386edd4009923",
    ),
    (
        Algorithm::Blake3,
        "blake3:6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85",
    ),
];

fn digest(algorithm: Algorithm, message: &[u8]) -> Digest {
    let mut hasher = Hasher::new(algorithm);
    hasher.update(message);
    hasher.finish()
}

#[test]
fn standard_vectors() {
    for &(algorithm, message, expected) in VECTORS {
        let found = digest(algorithm, message.as_bytes());
        assert_eq!(found.to_string(), expected);
        assert_eq!(found.algorithm(), algorithm);
        expected.parse::<Digest>().unwrap().verify(&found).unwrap();
    }
}

#[test]
fn blake_hashes_but_is_no_checksum() {
    for &(algorithm, expected) in BLAKE {
        assert_eq!(digest(algorithm, b"abc").to_string(), expected);
        let error = expected.parse::<Digest>().unwrap_err();
        assert_eq!(error.code(), "checksum.unknown_algorithm");
        assert!(!error.next_step().contains("blake"));
    }
}

#[test]
fn pieces_hash_like_the_whole() {
    let message: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    for algorithm in Algorithm::ALL {
        let mut hasher = Hasher::new(algorithm);
        for piece in message.chunks(777) {
            hasher.update(piece);
        }
        digest(algorithm, &message)
            .verify(&hasher.finish())
            .unwrap();
    }
}

#[test]
fn either_case_is_read_and_lower_case_is_written() {
    let (_, _, lower) = VECTORS[1];
    let upper = format!("sha256:{}", lower[7..].to_uppercase());
    assert_ne!(upper, lower);
    assert_eq!(upper.parse::<Digest>().unwrap().to_string(), lower);
}

#[test]
fn every_flipped_bit_is_a_mismatch_that_names_both_digests() {
    for algorithm in Algorithm::ALL {
        let expected = digest(algorithm, b"abc");
        for bit in 0..8 * algorithm.digest_length() {
            let mut bytes = expected.as_bytes().to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let found = Digest::from_bytes(algorithm, &bytes).unwrap();
            let error = expected.verify(&found).unwrap_err();
            assert_eq!(error.code(), "checksum.mismatch");
            let message = error.to_string();
            assert!(message.contains(&expected.to_string()), "{message}");
            assert!(message.contains(&found.to_string()), "{message}");
        }
    }
}

#[test]
fn digests_of_different_algorithms_never_match() {
    let expected = Digest::from_bytes(Algorithm::Sha384, &[0; 48]).unwrap();
    let found = Digest::from_bytes(Algorithm::Sha512, &[0; 64]).unwrap();
    assert_eq!(
        expected.verify(&found).unwrap_err().code(),
        "checksum.mismatch"
    );
}

#[test]
fn malformed_text_is_refused() {
    let digits = &VECTORS[1].2[7..];
    for (text, code) in [
        (String::new(), "checksum.malformed"),
        (digits.to_owned(), "checksum.malformed"),
        ("sha256:".to_owned(), "checksum.malformed"),
        (format!("sha256:{}", &digits[1..]), "checksum.malformed"),
        (format!("sha256:{digits}0"), "checksum.malformed"),
        (format!("sha256: {}", &digits[1..]), "checksum.malformed"),
        (format!("sha256:{digits}\n"), "checksum.malformed"),
        (format!("sha256:{}g", &digits[1..]), "checksum.malformed"),
        (format!("sha256:{}é", &digits[2..]), "checksum.malformed"),
        (format!("sha384:{digits}"), "checksum.malformed"),
        (format!(":{digits}"), "checksum.unknown_algorithm"),
        (format!("SHA256:{digits}"), "checksum.unknown_algorithm"),
        (format!("md5:{digits}"), "checksum.unknown_algorithm"),
        (format!(" sha256:{digits}"), "checksum.unknown_algorithm"),
    ] {
        let error = text.parse::<Digest>().unwrap_err();
        assert_eq!(error.code(), code, "{text:?}");
        assert!(error.next_step().contains("sha256:"), "{text:?}");
    }
}

#[test]
fn a_long_name_is_cut_in_the_message() {
    let error = format!("{}:00", "é".repeat(1 << 16))
        .parse::<Digest>()
        .unwrap_err();
    assert_eq!(error.code(), "checksum.unknown_algorithm");
    assert!(error.to_string().len() < 100);
}

#[test]
fn bytes_of_another_length_are_refused() {
    let error = Digest::from_bytes(Algorithm::Sha256, &[0; 31]).unwrap_err();
    assert_eq!(error.code(), "checksum.malformed");
}

#[test]
fn the_codes_are_those_of_the_errors() {
    let found = digest(Algorithm::Sha256, b"abc");
    let errors = [
        VerifyError::Malformed {
            reason: String::new(),
        },
        VerifyError::Mismatch {
            expected: Box::new(found),
            found: Box::new(found),
        },
        VerifyError::Parts {
            expected: 2,
            found: 1,
        },
        VerifyError::UnknownAlgorithm {
            name: String::new(),
        },
    ];
    assert_eq!(errors.map(|error| error.code()), CODES);
}
