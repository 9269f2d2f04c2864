//! Every way for a signature's file to be wrong, and the code of each.
#![allow(clippy::unwrap_used)]

use base64ct::{Base64, Encoding};
use strongroom_verify::{
    Algorithm, Hasher, PrivateKey, Scheme,
    key::Kind,
    signature::{
        CODES, Evidence, Need, Seen, SignatureError, TrustedKey, minisign::SecretKey, sign,
    },
};

const MESSAGE: &[u8] = b"the bytes of a model";

fn verify(
    key: &TrustedKey,
    file: &[u8],
    hash: Option<Algorithm>,
) -> Result<Evidence, SignatureError> {
    let signature = key.signature(file, hash)?;
    let (algorithm, whole) = match signature.need() {
        Need::Digest(algorithm) => (algorithm, None),
        Need::Whole => (Algorithm::Sha256, Some(MESSAGE)),
    };
    let digests = [Hasher::digest(algorithm, MESSAGE)];
    signature.verify(&Seen {
        digests: &digests,
        whole,
    })
}

fn code(key: &TrustedKey, file: &[u8], hash: Option<Algorithm>) -> &'static str {
    let error = verify(key, file, hash).unwrap_err();
    assert!(CODES.contains(&error.code()));
    assert!(!error.next_step().is_empty());
    error.code()
}

/// A key of each kind, and its signature of the message by the rule.
fn detached() -> Vec<(TrustedKey, Vec<u8>)> {
    [
        (Kind::P256, Scheme::Ecdsa),
        (Kind::P384, Scheme::Ecdsa),
        (Kind::P521, Scheme::Ecdsa),
        (Kind::Ed25519, Scheme::Ed25519),
        (Kind::Rsa { bits: 2048 }, Scheme::RsaPkcs1),
        (Kind::Rsa { bits: 2048 }, Scheme::RsaPss),
    ]
    .into_iter()
    .map(|(kind, scheme)| {
        let key = PrivateKey::generate(kind).unwrap();
        let signature = key.sign_message(scheme, MESSAGE).unwrap();
        (TrustedKey::Pem(key.public().clone()), signature)
    })
    .collect()
}

#[test]
fn a_signature_under_a_key_of_another_algorithm() {
    let all = detached();
    for (i, (_, signature)) in all.iter().enumerate() {
        for (j, (key, _)) in all.iter().enumerate() {
            if i == j {
                verify(key, signature, None).unwrap();
            } else {
                let code = code(key, signature, None);
                assert!(matches!(code, "signature.invalid" | "signature.malformed"));
            }
        }
    }
}

#[test]
fn a_hash_that_such_a_key_does_not_sign() {
    for (key, signature) in detached() {
        for hash in [Algorithm::Blake2b512, Algorithm::Blake3] {
            assert_eq!(code(&key, &signature, Some(hash)), "signature.hash");
        }
        let TrustedKey::Pem(public) = &key else {
            unreachable!()
        };
        if public.kind() == Kind::Ed25519 {
            for hash in Algorithm::SHA2 {
                assert_eq!(code(&key, &signature, Some(hash)), "signature.hash");
            }
        }
    }
}

#[test]
fn truncated_extended_and_flipped() {
    for (key, signature) in detached() {
        let TrustedKey::Pem(public) = &key else {
            unreachable!()
        };
        for length in 0..signature.len() {
            assert_eq!(
                code(&key, &signature[..length], None),
                "signature.malformed"
            );
        }
        for more in [&b"\n"[..], b"\0", b" ", &signature] {
            let file = [&signature[..], more].concat();
            assert_eq!(code(&key, &file, None), "signature.malformed", "{more:?}");
        }
        for byte in 0..signature.len() {
            let mut other = signature.clone();
            other[byte] ^= 0x40;
            // Where s of Ed25519 or the number of RSA grows too large, too.
            let code = code(&key, &other, None);
            let expected = match public.kind() {
                Kind::P256 | Kind::P384 | Kind::P521 => {
                    matches!(code, "signature.invalid" | "signature.malformed")
                }
                _ => code == "signature.invalid",
            };
            assert!(expected, "{code}");
        }
        for file in [
            &b""[..],
            b"\n",
            b"-----BEGIN SIGNATURE-----",
            &[0; 64],
            &[0; 256],
            &[0xff; 256],
        ] {
            let code = code(&key, file, None);
            assert!(matches!(code, "signature.invalid" | "signature.malformed"));
        }
        let long = [&signature[..], &[0; 16 << 10]].concat();
        assert_eq!(code(&key, &long, None), "signature.too_long");
    }
}

#[test]
fn malleable_der() {
    let key = PrivateKey::generate(Kind::P256).unwrap();
    let trusted = TrustedKey::Pem(key.public().clone());
    // Whose r has no sign byte, so that one can be put in front of it.
    let der = loop {
        let der = key.sign_message(Scheme::Ecdsa, MESSAGE).unwrap();
        if der[3] == 32 && der.len() == 70 {
            break der;
        }
    };
    verify(&trusted, &der, None).unwrap();
    let r = &der[4..36];
    let s = &der[38..];
    let integer = |sign: &[u8], number: &[u8]| {
        let length = u8::try_from(sign.len() + number.len()).unwrap();
        [&[2, length], sign, number].concat()
    };
    let sequence = |header: &[u8], parts: &[&[u8]]| {
        let content = parts.concat();
        [header, &[u8::try_from(content.len()).unwrap()], &content].concat()
    };
    let (plain_r, plain_s) = (integer(&[], r), integer(&[], s));
    assert_eq!(sequence(&[0x30], &[&plain_r, &plain_s]), der);
    for file in [
        // A zero more, a longer length, an indefinite length.
        sequence(&[0x30], &[&integer(&[0], r), &plain_s]),
        sequence(&[0x30], &[&plain_r, &integer(&[0], s)]),
        sequence(&[0x30, 0x81], &[&plain_r, &plain_s]),
        [&[0x30, 0x80][..], &plain_r, &plain_s, &[0, 0]].concat(),
        // A number less, a number more, another type, negative, none.
        sequence(&[0x30], &[&plain_r]),
        sequence(&[0x30], &[&plain_r, &plain_s, &plain_s]),
        sequence(&[0x30], &[&plain_r, &plain_s, &[5, 0]]),
        sequence(&[0x30], &[&[&[4, 32], r].concat(), &plain_s]),
        sequence(&[0x30], &[&plain_r, &[2, 1, 0x80]]),
        sequence(&[0x30], &[&plain_r, &[2, 0]]),
        sequence(&[0x30], &[]),
    ] {
        assert_eq!(
            code(&trusted, &file, None),
            "signature.malformed",
            "{file:02x?}"
        );
    }
    for file in [
        sequence(&[0x30], &[&plain_r, &[2, 1, 0]]),
        sequence(&[0x30], &[&[2, 1, 0], &plain_s]),
        sequence(&[0x30], &[&[2, 1, 0], &[2, 1, 0]]),
        sequence(&[0x30], &[&[2, 1, 1], &[2, 1, 1]]),
        sequence(&[0x30], &[&plain_s, &plain_r]),
    ] {
        assert_eq!(
            code(&trusted, &file, None),
            "signature.invalid",
            "{file:02x?}"
        );
    }
}

#[test]
fn the_other_s_of_ecdsa_is_the_same_signature() {
    // n - s instead of s: documented at Scheme::Ecdsa. n of P-256, from FIPS 186.
    const N: [u8; 32] = [
        0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc,
        0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
    ];
    let key = PrivateKey::generate(Kind::P256).unwrap();
    let trusted = TrustedKey::Pem(key.public().clone());
    let (der, other) = loop {
        let der = key.sign_message(Scheme::Ecdsa, MESSAGE).unwrap();
        if der.len() == 70 && der[3] == 32 {
            let mut borrow = 0;
            let mut s = [0; 32];
            for i in (0..32).rev() {
                let difference = i16::from(N[i]) - i16::from(der[38 + i]) - borrow;
                borrow = i16::from(difference < 0);
                s[i] = difference.rem_euclid(256).to_le_bytes()[0];
            }
            if s[0] >= 0x80 {
                let content = [&der[2..36], &[2, 33, 0], &s].concat();
                let length = u8::try_from(content.len()).unwrap();
                break (der, [&[0x30, length][..], &content].concat());
            }
        }
    };
    assert_ne!(der, other);
    // One key, one digest: nothing that is kept tells the two apart.
    let [one, two] = [der, other].map(|file| verify(&trusted, &file, None).unwrap());
    assert_eq!(one, two);
}

fn minisigned() -> (SecretKey, TrustedKey, String) {
    let key = SecretKey::generate().unwrap();
    let digests = [Hasher::digest(Algorithm::Blake2b512, MESSAGE)];
    let seen = Seen {
        digests: &digests,
        whole: None,
    };
    let file = key.sign(&seen, "timestamp:1\tfile:model\thashed").unwrap();
    let trusted = TrustedKey::from_file(key.public().to_file().as_bytes()).unwrap();
    (key, trusted, file)
}

// One table of one format.
#[allow(clippy::too_many_lines)]
#[test]
fn minisign_field_by_field() {
    let (key, trusted, file) = minisigned();
    let evidence = verify(&trusted, file.as_bytes(), None).unwrap();
    assert_eq!(evidence.signed_at, Some(1));
    let lines: Vec<&str> = file.lines().collect();
    let [untrusted, signature, comment, global] = lines[..] else {
        panic!("{file}")
    };
    let bytes = Base64::decode_vec(signature).unwrap();
    let with = |position: usize, value: u8| {
        let mut other = bytes.clone();
        other[position] = value;
        Base64::encode_string(&other)
    };
    let global_bytes = Base64::decode_vec(global).unwrap();
    let mut other_global = global_bytes.clone();
    other_global[0] ^= 1;
    let other_global = Base64::encode_string(&other_global);
    let join = |lines: &[&str]| lines.join("\n");
    for (file, expected) in [
        // Every line missing, twice, in another place.
        (join(&[signature, comment, global]), "signature.format"),
        (join(&[untrusted, comment, global]), "signature.malformed"),
        (join(&[untrusted, signature, global]), "signature.malformed"),
        (
            join(&[untrusted, signature, comment]),
            "signature.malformed",
        ),
        (
            join(&[untrusted, untrusted, signature, comment, global]),
            "signature.malformed",
        ),
        (
            join(&[untrusted, signature, signature, comment, global]),
            "signature.malformed",
        ),
        (
            join(&[untrusted, signature, comment, comment, global]),
            "signature.malformed",
        ),
        (
            join(&[untrusted, signature, comment, global, global]),
            "signature.malformed",
        ),
        (
            join(&[untrusted, global, comment, signature]),
            "signature.malformed",
        ),
        (
            join(&[untrusted, signature, untrusted, global]),
            "signature.malformed",
        ),
        (file.repeat(2), "signature.malformed"),
        (format!("{file}\n"), "signature.malformed"),
        // Every field of another length, or no base64.
        (
            join(&[untrusted, &signature[4..], comment, global]),
            "signature.malformed",
        ),
        (
            join(&[untrusted, &format!("{signature}AAAA"), comment, global]),
            "signature.malformed",
        ),
        (
            join(&[untrusted, "", comment, global]),
            "signature.malformed",
        ),
        (
            join(&[untrusted, &format!(" {signature}"), comment, global]),
            "signature.malformed",
        ),
        (
            join(&[untrusted, signature, comment, &global[4..]]),
            "signature.malformed",
        ),
        (
            join(&[untrusted, signature, comment, &format!("{global}=")]),
            "signature.malformed",
        ),
        (
            join(&[untrusted, signature, comment, ""]),
            "signature.malformed",
        ),
        (
            join(&["untrusted comment", signature, comment, global]),
            "signature.format",
        ),
        (
            join(&["untrusted comment:", signature, comment, global]),
            "signature.malformed",
        ),
        (
            join(&[untrusted, signature, "trusted comment", global]),
            "signature.malformed",
        ),
        // Every field of another value.
        (
            join(&[untrusted, &with(0, b'X'), comment, global]),
            "signature.malformed",
        ),
        (
            join(&[untrusted, &with(1, b'x'), comment, global]),
            "signature.malformed",
        ),
        // The digest's signature taken for one over the file.
        (
            join(&[untrusted, &with(1, b'd'), comment, global]),
            "signature.invalid",
        ),
        (
            join(&[untrusted, &with(2, bytes[2] ^ 1), comment, global]),
            "signature.other_key",
        ),
        (
            join(&[untrusted, &with(10, bytes[10] ^ 1), comment, global]),
            "signature.trusted_comment",
        ),
        (
            join(&[untrusted, signature, &format!("{comment}."), global]),
            "signature.trusted_comment",
        ),
        (
            join(&[untrusted, signature, "trusted comment: ", global]),
            "signature.trusted_comment",
        ),
        (
            join(&[untrusted, signature, comment, &other_global]),
            "signature.trusted_comment",
        ),
        (
            format!("{file}{}", "x".repeat(16 << 10)),
            "signature.too_long",
        ),
    ] {
        assert_eq!(code(&trusted, file.as_bytes(), None), expected, "{file}");
    }
    // What nobody signed may be anything; a break in the other style is one.
    let retold = join(&[
        "untrusted comment: by somebody else",
        signature,
        comment,
        global,
    ]);
    verify(&trusted, retold.as_bytes(), None).unwrap();
    verify(&trusted, file.replace('\n', "\r\n").as_bytes(), None).unwrap();
    for length in 0..file.len() - 1 {
        verify(&trusted, &file.as_bytes()[..length], None).unwrap_err();
    }
    for hash in Algorithm::ALL {
        assert_eq!(
            code(&trusted, file.as_bytes(), Some(hash)),
            "signature.hash"
        );
    }
    // By another key that claims the number, or under a key of PEM.
    let other = SecretKey::generate().unwrap();
    let other = TrustedKey::from_file(other.public().to_file().as_bytes()).unwrap();
    assert_eq!(code(&other, file.as_bytes(), None), "signature.other_key");
    let pem = TrustedKey::Pem(
        PrivateKey::generate(Kind::Ed25519)
            .unwrap()
            .public()
            .clone(),
    );
    assert_eq!(code(&pem, file.as_bytes(), None), "signature.format");
    assert_eq!(code(&trusted, &bytes[10..], None), "signature.format");
    for comment in ["two\nlines", "a\rreturn", "a\0nul", &"x".repeat(8001)] {
        let digests = [Hasher::digest(Algorithm::Blake2b512, MESSAGE)];
        let seen = Seen {
            digests: &digests,
            whole: None,
        };
        assert_eq!(
            key.sign(&seen, comment).unwrap_err().code(),
            "signature.malformed"
        );
    }
}

#[test]
fn a_pass_that_did_not_yield_what_is_needed() {
    for (key, file) in detached() {
        let signature = key.signature(&file, None).unwrap();
        let blake = [Hasher::digest(Algorithm::Blake3, MESSAGE)];
        for (digests, whole) in [(&blake[..], None), (&[], Some(MESSAGE))] {
            let error = signature.verify(&Seen { digests, whole }).unwrap_err();
            assert_eq!(error.code(), "signature.incomplete");
        }
    }
    let key = PrivateKey::generate(Kind::Ed25519).unwrap();
    let seen = Seen {
        digests: &[],
        whole: None,
    };
    let error = sign(&key, Scheme::Ed25519, None, &seen).unwrap_err();
    assert_eq!(error.code(), "signature.incomplete");
}
