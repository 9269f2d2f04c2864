//! Every way for a key file to be wrong, and the code of each.
#![allow(clippy::unwrap_used)]

mod support;

use strongroom_verify::{
    KeyError, PrivateKey, PublicKey,
    key::{CODES, Kind},
    signature::{TrustedKey, minisign::SecretKey},
};
use support::{Bench, der};

fn code(file: &[u8]) -> &'static str {
    refused(PublicKey::from_pem(file))
}

fn private_code(file: &[u8], passphrase: Option<&[u8]>) -> &'static str {
    refused(PrivateKey::from_pem(file, passphrase))
}

fn refused<T: std::fmt::Debug>(result: Result<T, KeyError>) -> &'static str {
    let error = result.unwrap_err();
    assert!(CODES.contains(&error.code()));
    assert!(!error.next_step().is_empty());
    error.code()
}

/// The refusal of this `SubjectPublicKeyInfo`, the same in PEM and in DER.
fn spki_code(spki: &[u8]) -> &'static str {
    let code = code(&der::pem("PUBLIC KEY", spki));
    assert_eq!(refused(PublicKey::from_spki(spki)), code);
    code
}

/// A public key of OpenSSL's, made with these options and written with those.
fn openssl(bench: &Bench, options: &str, written: &str) -> Vec<u8> {
    bench.openssl(&format!("genpkey {options} -out key.pem"));
    bench.openssl(&format!("pkey -in key.pem {written} -pubout"))
}

const P256: &str = "-algorithm EC -pkeyopt ec_paramgen_curve:P-256";

#[test]
fn keys_of_other_algorithms_curves_and_encodings() {
    let bench = Bench::new();
    for (options, written, expected) in [
        ("-algorithm X25519", "", "key.unknown_algorithm"),
        ("-algorithm ED448", "", "key.unknown_algorithm"),
        (
            "-algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048",
            "",
            "key.unknown_algorithm",
        ),
        (
            "-algorithm EC -pkeyopt ec_paramgen_curve:secp256k1",
            "",
            "key.unknown_curve",
        ),
        (
            "-algorithm EC -pkeyopt ec_paramgen_curve:brainpoolP256r1",
            "",
            "key.unknown_curve",
        ),
        (P256, "-ec_param_enc explicit", "key.explicit_parameters"),
        (P256, "-ec_conv_form compressed", "key.compressed_point"),
        (P256, "-ec_conv_form hybrid", "key.point"),
        (
            "-algorithm RSA -pkeyopt rsa_keygen_bits:1024",
            "",
            "key.rsa_too_small",
        ),
    ] {
        let key = openssl(&bench, options, written);
        assert_eq!(code(&key), expected, "{options} {written}");
    }
    // The private halves of weak keys are as weak.
    bench.openssl("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:1024 -out key.pem");
    assert_eq!(
        private_code(&bench.read("key.pem"), None),
        "key.rsa_too_small"
    );
    bench.openssl("genpkey -algorithm X25519 -out key.pem");
    assert_eq!(
        private_code(&bench.read("key.pem"), None),
        "key.unknown_algorithm"
    );
}

#[test]
fn numbers_of_rsa_out_of_range() {
    let usual = [1, 0, 1];
    for (modulus, exponent, expected) in [
        (der::ones(1), &usual[..], "key.rsa_too_small"),
        (der::ones(2047), &usual, "key.rsa_too_small"),
        (der::ones(8193), &usual, "key.rsa_too_large"),
        (der::ones(16 << 10), &usual, "key.rsa_too_large"),
        (der::ones(2048), &[1], "key.rsa_exponent"),
        (der::ones(2048), &[2], "key.rsa_exponent"),
        (der::ones(2048), &[1, 0, 0], "key.rsa_exponent"),
        (der::ones(2048), &[2, 0, 0, 0, 1], "key.rsa_exponent"),
        (der::ones(2048), &der::ones(2047), "key.rsa_exponent"),
        // Even: no product of two odd primes.
        (
            [&der::ones(2040)[..], &[0xfe]].concat(),
            &usual,
            "key.malformed",
        ),
    ] {
        let bits = 8 * modulus.len();
        assert_eq!(
            spki_code(&der::rsa(&modulus, exponent)),
            expected,
            "{bits} {exponent:?}"
        );
    }
    let largest = PublicKey::from_spki(&der::rsa(&der::ones(8192), &usual)).unwrap();
    assert_eq!(largest.kind(), Kind::Rsa { bits: 8192 });
    let smallest = PublicKey::from_spki(&der::rsa(&der::ones(2048), &[3])).unwrap();
    assert_eq!(smallest.kind(), Kind::Rsa { bits: 2048 });
}

#[test]
fn der_that_says_more_or_less_than_a_key() {
    let point = PrivateKey::generate(Kind::P256)
        .unwrap()
        .public()
        .as_bytes()
        .to_vec();
    let named = der::oid(der::P256);
    let good = der::spki(der::EC, &named, &point);
    PublicKey::from_spki(&good).unwrap();
    let rsa_key = der::tlv(
        0x30,
        &[&der::integer(&der::ones(2048)), &der::integer(&[1, 0, 1])],
    );
    let mut negative = rsa_key.clone();
    negative.remove(8);
    for (spki, expected) in [
        (der::spki(der::EC, &[], &point), "key.malformed"),
        (der::spki(der::EC, der::NULL, &point), "key.malformed"),
        (der::spki(der::EC, &named, &[]), "key.point"),
        // The point at infinity, and one byte.
        (der::spki(der::EC, &named, &[0]), "key.point"),
        (der::spki(der::EC, &named, &point[..64]), "key.point"),
        (
            der::spki(der::EC, &named, &[&point[..], &[0]].concat()),
            "key.point",
        ),
        (
            der::spki(der::EC, &named, &[&[4][..], &[0; 64]].concat()),
            "key.point",
        ),
        (
            der::spki(der::EC, &named, &[&[4][..], &[0xff; 64]].concat()),
            "key.point",
        ),
        (der::spki(der::ED25519, &[], &[1; 31]), "key.malformed"),
        (der::spki(der::ED25519, &[], &[1; 33]), "key.malformed"),
        (
            der::spki(der::ED25519, der::NULL, &[1; 32]),
            "key.malformed",
        ),
        (der::spki(der::RSA, &[], &rsa_key), "key.malformed"),
        (der::spki(der::RSA, der::NULL, &[]), "key.malformed"),
        (der::spki(der::RSA, der::NULL, &negative), "key.malformed"),
        (
            der::spki(der::RSA, der::NULL, &[&rsa_key[..], &[5, 0]].concat()),
            "key.trailing",
        ),
        // A key of one algorithm under the name of another.
        (der::spki(der::RSA, der::NULL, &point), "key.malformed"),
        (der::spki(der::EC, &named, &rsa_key), "key.point"),
        // Bits that are no bytes; another type; twice; in a longer form.
        (
            der::tlv(
                0x30,
                &[
                    &der::tlv(0x30, &[&der::oid(der::ED25519)]),
                    &der::tlv(3, &[&[1], &[2; 32]]),
                ],
            ),
            "key.malformed",
        ),
        (
            der::tlv(
                0x30,
                &[
                    &der::tlv(0x30, &[&der::oid(der::ED25519)]),
                    &der::tlv(4, &[&[0], &[2; 32]]),
                ],
            ),
            "key.malformed",
        ),
        (der::tlv(0x31, &[&good[2..]]), "key.malformed"),
        ([&good[..], &good].concat(), "key.trailing"),
        ([&good[..], &[0]].concat(), "key.trailing"),
        ([&[0x30, 0x81][..], &good[1..]].concat(), "key.malformed"),
    ] {
        assert_eq!(spki_code(&spki), expected, "{spki:02x?}");
    }
    for length in 0..good.len() {
        assert_eq!(
            refused(PublicKey::from_spki(&good[..length])),
            "key.malformed"
        );
    }
    // Every bit counts: flipped, it is refused, and never the same key.
    for bit in 0..8 * good.len() {
        let mut other = good.clone();
        other[bit / 8] ^= 1 << (bit % 8);
        refused(PublicKey::from_spki(&other));
    }
}

#[test]
fn points_of_ed25519_under_which_anybody_could_sign() {
    // With the neutral element for a key, this is a signature of every message.
    let neutral = [&[1][..], &[0; 31]].concat();
    let zeros = [0; 32];
    let ones = [0xff; 32];
    let minus_one = [&[0xec][..], &ones[..30], &[0x7f]].concat();
    let p = [&[0xed][..], &ones[..30], &[0x7f]].concat();
    let eighth = *b"\x26\xe8\x95\x8f\xc2\xb2\x27\xb0\x45\xc3\xf4\x89\xf2\xef\x98\xf0\
                    \xd5\xdf\xac\x05\xd3\xc6\x33\x39\xb1\x38\x02\x88\x6d\x53\xfc\x05";
    for key in [&neutral[..], &zeros, &minus_one, &p, &eighth] {
        for sign in [0, 0x80] {
            let mut key = key.to_vec();
            key[31] ^= sign;
            assert_eq!(spki_code(&der::spki(der::ED25519, &[], &key)), "key.point");
            let content = [b"Ed12345678", &key[..]].concat();
            let file = format!("untrusted comment: x\n{}\n", base64ct::encode(&content));
            assert_eq!(refused(TrustedKey::from_file(file.as_bytes())), "key.point");
        }
    }
}

#[test]
fn files_that_are_not_one_pem_block() {
    let bench = Bench::new();
    let key = openssl(&bench, P256, "");
    let private = bench.read("key.pem");
    let other = openssl(&bench, P256, "");
    bench.openssl("req -x509 -key key.pem -subj /CN=test -out cert.pem");
    let certificate = bench.read("cert.pem");
    bench.write("pub.pem", &key);
    bench.openssl("pkey -pubin -in pub.pem -out pub.der -outform DER");
    for (file, expected) in [
        (b"".to_vec(), "key.malformed"),
        (b"\n".to_vec(), "key.malformed"),
        (b"ssh-ed25519 AAAA me\n".to_vec(), "key.malformed"),
        (bench.read("pub.der"), "key.malformed"),
        (vec![0xff; 100], "key.malformed"),
        (private.clone(), "key.private"),
        (certificate.clone(), "key.certificate"),
        ([&key[..], &other].concat(), "key.several"),
        ([&key[..], &key].concat(), "key.several"),
        ([&key[..], &private].concat(), "key.several"),
        ([&key[..], &certificate].concat(), "key.several"),
        ([&b"my key\n"[..], &key].concat(), "key.trailing"),
        ([&key[..], b"my key\n"].concat(), "key.trailing"),
        ([&key[..], &[0]].concat(), "key.trailing"),
        ([&key[..], &b" ".repeat(32 << 10)].concat(), "key.too_long"),
        (der::pem("RSA PUBLIC KEY", b"anything"), "key.malformed"),
        (der::pem("CERTIFICATE", b"anything"), "key.certificate"),
        (
            der::pem("TRUSTED CERTIFICATE", b"anything"),
            "key.certificate",
        ),
        (der::pem("OPENSSH PRIVATE KEY", b"anything"), "key.private"),
        (der::pem("PUBLIC KEY", b""), "key.malformed"),
    ] {
        let shown = String::from_utf8_lossy(&file).into_owned();
        assert_eq!(code(&file), expected, "{shown}");
        // The same, asked for as a key of whatever format.
        assert_eq!(refused(TrustedKey::from_file(&file)), expected, "{shown}");
    }
    for length in 0..key.len() - 1 {
        refused(PublicKey::from_pem(&key[..length]));
    }
    for position in 0..key.len() - 1 {
        let mut broken = key.clone();
        broken[position] = b'*';
        refused(PublicKey::from_pem(&broken));
    }
    for blanks in [&b""[..], b"\n", b"\r\n \n"] {
        PublicKey::from_pem(&[blanks, &key, blanks].concat()).unwrap();
    }
    // Where a private key belongs.
    for (file, expected) in [
        (key.clone(), "key.public"),
        (certificate, "key.certificate"),
        ([&private[..], &key].concat(), "key.several"),
        ([&private[..], b"x"].concat(), "key.trailing"),
        (b"".to_vec(), "key.malformed"),
        (
            der::pem("OPENSSH PRIVATE KEY", b"anything"),
            "key.malformed",
        ),
        (der::pem("PRIVATE KEY", b"anything"), "key.malformed"),
        (der::pem("EC PRIVATE KEY", b"anything"), "key.malformed"),
        (der::pem("RSA PRIVATE KEY", b"anything"), "key.malformed"),
        (
            der::pem("ENCRYPTED PRIVATE KEY", b"anything"),
            "key.malformed",
        ),
    ] {
        let passphrase = file
            .starts_with(b"-----BEGIN ENCRYPTED")
            .then_some(&b"x"[..]);
        assert_eq!(private_code(&file, passphrase), expected);
    }
    for length in 0..private.len() - 1 {
        refused(PrivateKey::from_pem(&private[..length], None));
    }
}

#[test]
fn private_keys_whose_parts_do_not_belong_together() {
    let bench = Bench::new();
    for options in [P256, "-algorithm RSA -pkeyopt rsa_keygen_bits:2048"] {
        bench.openssl(&format!("genpkey {options} -out key.pem"));
        bench.openssl("pkcs8 -topk8 -nocrypt -in key.pem -outform DER -out key.der");
        let mut key = bench.read("key.der");
        // The end is the public point, or the coefficient.
        let last = key.len() - 1;
        key[last] ^= 1;
        let code = private_code(&der::pem("PRIVATE KEY", &key), None);
        assert_eq!(code, "key.inconsistent", "{options}");
    }
    // An Ed25519 key that brings the public key of another one.
    let [one, other] = [1, 2].map(|_| PrivateKey::generate(Kind::Ed25519).unwrap());
    let seed = {
        bench.write("key.pem", one.to_pem(None).unwrap().as_bytes());
        bench.openssl("pkey -in key.pem -outform DER")[16..].to_vec()
    };
    let with = |public: &[u8]| {
        let key = der::tlv(
            0x30,
            &[
                &[2, 1, 1],
                &der::tlv(0x30, &[&der::oid(der::ED25519)]),
                &der::tlv(4, &[&der::tlv(4, &[&seed])]),
                &der::tlv(0x81, &[&[0], public]),
            ],
        );
        PrivateKey::from_pem(&der::pem("PRIVATE KEY", &key), None)
    };
    assert_eq!(with(one.public().as_bytes()).unwrap().id(), one.id());
    assert_eq!(refused(with(other.public().as_bytes())), "key.inconsistent");
}

#[test]
fn encryption_that_asks_for_too_much_or_is_too_old() {
    let bench = Bench::new();
    bench.openssl(&format!("genpkey {P256} -out key.pem"));
    let encrypt = |options: &str| {
        bench.openssl(&format!(
            "pkcs8 -topk8 -in key.pem -passout pass:x -outform DER {options}"
        ))
    };
    let swap = |file: &mut [u8], from: &[u8], to: &[u8]| {
        let position = file
            .windows(from.len())
            .position(|part| part == from)
            .unwrap();
        file[position..position + from.len()].copy_from_slice(to);
    };
    let refusal = |file: &[u8]| private_code(&der::pem("ENCRYPTED PRIVATE KEY", file), Some(b"x"));
    let mut rounds = encrypt("-iter 70000");
    swap(
        &mut rounds,
        &[2, 3, 1, 0x11, 0x70],
        &[2, 3, 0x7f, 0xff, 0xff],
    );
    assert_eq!(refusal(&rounds), "key.encryption");
    // N, r, p of scrypt: more memory, more lanes.
    for (from, to) in [
        (&[0x80, 0, 2, 1, 4][..], &[0x80, 0, 2, 1, 0x7f][..]),
        (&[2, 1, 4, 2, 1, 1], &[2, 1, 4, 2, 1, 0x7f]),
    ] {
        let mut scrypt = encrypt("-scrypt -scrypt_N 32768 -scrypt_r 4");
        swap(&mut scrypt, from, to);
        assert_eq!(refusal(&scrypt), "key.encryption");
    }
    for old in [
        "-v2 des3",
        "-v1 PBE-SHA1-3DES",
        "-v2 aes-256-cbc -v2prf hmacWithSHA1",
    ] {
        assert_eq!(refusal(&encrypt(old)), "key.encryption", "{old}");
    }
    let whole = encrypt("");
    for length in 0..whole.len() {
        refused(PrivateKey::from_pem(
            &der::pem("ENCRYPTED PRIVATE KEY", &whole[..length]),
            Some(b"x"),
        ));
    }
}

#[test]
fn keys_of_minisign() {
    let key = SecretKey::generate().unwrap();
    let public = key.public().to_file();
    let secret = key.to_file(None).unwrap();
    assert_eq!(
        TrustedKey::from_file(public.as_bytes()).unwrap().id(),
        key.id()
    );
    let [comment, line] = public.lines().collect::<Vec<_>>()[..] else {
        panic!("{public}")
    };
    let wrong_algorithm = line.replacen("RW", "RX", 1);
    for (file, expected) in [
        (format!("{comment}\n"), "key.malformed"),
        (format!("{comment}\n{line}\n{line}\n"), "key.malformed"),
        (format!("{public}\n"), "key.malformed"),
        (format!("{comment}\n{}\n", &line[4..]), "key.malformed"),
        (format!("{comment}\n{line}AAAA\n"), "key.malformed"),
        (format!("{comment}\n{}*\n", &line[1..]), "key.malformed"),
        (format!("{comment}\n {line}\n"), "key.malformed"),
        (
            format!("{comment}\n{wrong_algorithm}\n"),
            "key.unknown_algorithm",
        ),
        (format!("untrusted comment\n{line}\n"), "key.malformed"),
        (secret.to_string(), "key.private"),
        (format!("{public}{}", "x".repeat(32 << 10)), "key.too_long"),
    ] {
        assert_eq!(
            refused(TrustedKey::from_file(file.as_bytes())),
            expected,
            "{file}"
        );
    }
    for (file, passphrase, expected) in [
        (public.clone(), None, "key.public"),
        (secret.to_string(), Some(&b"x"[..]), "key.not_encrypted"),
        (
            format!("{}\n", secret.lines().next().unwrap()),
            None,
            "key.malformed",
        ),
        (format!("{}x", secret.as_str()), None, "key.malformed"),
        (
            format!("{}{}", secret.as_str(), "x".repeat(32 << 10)),
            None,
            "key.too_long",
        ),
    ] {
        assert_eq!(
            refused(SecretKey::from_file(file.as_bytes(), passphrase)),
            expected
        );
    }
    // Each part of a secret key: algorithm, derivation, checksum's name, limits, number, pair, sum.
    let bytes = base64ct::decode(secret.lines().nth(1).unwrap());
    for (position, flip, passphrase, expected) in [
        (0, 1, None, "key.malformed"),
        (2, 1, None, "key.encryption"),
        (4, 1, None, "key.malformed"),
        (54, 1, None, "key.inconsistent"),
        (62, 1, None, "key.inconsistent"),
        (94, 1, None, "key.inconsistent"),
        (157, 1, None, "key.inconsistent"),
    ] {
        let mut other = bytes.clone();
        other[position] ^= flip;
        let file = format!("untrusted comment: x\n{}\n", base64ct::encode(&other));
        let error = SecretKey::from_file(file.as_bytes(), passphrase);
        assert_eq!(refused(error), expected, "byte {position}");
    }
    // Scrypt past what minisign asks for is not begun.
    for (position, byte) in [(41, 3), (49, 0x41), (45, 1), (53, 0x7f)] {
        let mut other = bytes.clone();
        other[2..4].copy_from_slice(b"Sc");
        other[position] = byte;
        let file = format!("untrusted comment: x\n{}\n", base64ct::encode(&other));
        let error = SecretKey::from_file(file.as_bytes(), Some(b"x"));
        assert_eq!(refused(error), "key.encryption", "byte {position}");
    }
}

mod base64ct {
    use ::base64ct::{Base64, Encoding};

    pub(super) fn decode(text: &str) -> Vec<u8> {
        Base64::decode_vec(text).unwrap()
    }

    pub(super) fn encode(bytes: &[u8]) -> String {
        Base64::encode_string(bytes)
    }
}

#[test]
fn an_rsa_key_of_a_length_that_is_not_made() {
    let error = PrivateKey::generate(Kind::Rsa { bits: 2050 });
    assert_eq!(refused(error), "key.generation");
}
