//! Certificates: chains that lead to a pinned root, and every way in which they don't.

use std::time::Duration;

use base64ct::{Base64, Encoding};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384,
    PKCS_ECDSA_P521_SHA256, PKCS_ED25519, PKCS_RSA_SHA256, SignatureAlgorithm, date_time_ymd,
};
use serde_json::json;
use strongroom_verify::{
    PrivateKey,
    certificate::{CertificateError, Chain, Roots},
    manifest::{ManifestError, Options, Signer, Signing, Trust, Verified, read, sign},
};

use crate::support::{KEY, code, go_on, json_of, model};

/// 2026-01-01, when everything here is valid.
const NOW: Duration = Duration::from_secs(1_767_225_600);

/// A certificate, its key, and what issued it.
struct Made {
    params: CertificateParams,
    key: KeyPair,
    pem: String,
}

impl Made {
    fn private(&self) -> PrivateKey {
        PrivateKey::from_pem(self.key.serialize_pem().as_bytes(), None).unwrap()
    }
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(2025, 1, 1);
    params.not_after = date_time_ymd(2030, 1, 1);
    params
}

fn authority(name: &str) -> CertificateParams {
    let mut params = params(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn publisher() -> CertificateParams {
    let mut params = params("publisher");
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
    params
}

fn issue(params: CertificateParams, issuer: Option<&Made>) -> Made {
    issue_with(params, issuer, &PKCS_ECDSA_P256_SHA256)
}

fn issue_with(
    params: CertificateParams,
    issuer: Option<&Made>,
    algorithm: &'static SignatureAlgorithm,
) -> Made {
    let key = KeyPair::generate_for(algorithm).unwrap();
    let certificate = match issuer {
        None => params.self_signed(&key),
        Some(made) => params.signed_by(&key, &Issuer::from_params(&made.params, &made.key)),
    };
    let pem = certificate.unwrap().pem();
    Made { params, key, pem }
}

fn bundle_by(signer: &Made, chain: &[&Made], now: Duration) -> Result<Vec<u8>, ManifestError> {
    let pem: String = [signer]
        .iter()
        .chain(chain)
        .map(|made| &*made.pem)
        .collect();
    let chain = Chain::from_pem(pem.as_bytes())?;
    let key = signer.private();
    let signing = Signing::Certificate {
        key: &key,
        chain: &chain,
        now,
    };
    sign(model().path(), &signing, &Options::default(), &mut go_on)
}

/// A bundle whose signer is what signing would refuse: the certificates put into a bundle by hand.
fn forced(signer: &Made, chain: &[&Made]) -> Vec<u8> {
    let payload = crate::support::listing(&[("a", b"a")]).to_string();
    let mut bundle = crate::support::wrap_by(&signer.private(), payload.as_bytes());
    let certificates: Vec<_> = [signer]
        .iter()
        .chain(chain)
        .map(|made| {
            let (_, der) = pem_rfc7468::decode_vec(made.pem.trim().as_bytes()).unwrap();
            json!({ "rawBytes": Base64::encode_string(&der) })
        })
        .collect();
    bundle["verificationMaterial"] =
        json!({ "x509CertificateChain": { "certificates": certificates } });
    bundle.to_string().into_bytes()
}

fn pinned(roots: &[&Made]) -> Roots {
    let pem: String = roots.iter().map(|made| &*made.pem).collect();
    Roots::from_pem(pem.as_bytes()).unwrap()
}

fn open_at(bundle: &[u8], roots: &[&Made], now: Duration) -> Result<Verified, ManifestError> {
    read(
        bundle,
        &Trust::Certificate {
            roots: &pinned(roots),
            now,
        },
    )
}

fn open(bundle: &[u8], roots: &[&Made]) -> Result<Verified, ManifestError> {
    open_at(bundle, roots, NOW)
}

/// The code with which a chain of root, intermediate and signer is refused.
fn refused(root: CertificateParams, between: CertificateParams, own: CertificateParams) -> String {
    let root = issue(root, None);
    let between = issue(between, Some(&root));
    let signer = issue(own, Some(&between));
    code(open(&forced(&signer, &[&between]), &[&root])).to_owned()
}

#[test]
fn chains_to_a_pinned_root_verify_on_every_curve() {
    for algorithm in [
        &PKCS_ECDSA_P256_SHA256,
        &PKCS_ECDSA_P384_SHA384,
        // The key is what counts here: the certificate is signed by its issuer.
        &PKCS_ECDSA_P521_SHA256,
    ] {
        let root = issue(authority("root"), None);
        let between = issue(authority("between"), Some(&root));
        let signer = issue_with(publisher(), Some(&between), algorithm);
        let bundle = bundle_by(&signer, &[&between], NOW).unwrap();
        let verified = open(&bundle, &[&root]).unwrap();
        let Signer::Certificate(holder) = verified.signer() else {
            panic!("{:?}", verified.signer())
        };
        assert_eq!(holder.subject, "CN=publisher");
        assert_eq!(holder.root_subject, "CN=root");
        assert_eq!(holder.key.id(), signer.private().id());
        assert_eq!(
            holder.authorities,
            [root.private().id(), between.private().id()]
        );
        assert_eq!(holder.not_after, 1_893_456_000);
        assert_eq!(verified.signer().method().as_str(), "certificate");
    }
}

#[test]
fn the_way_may_be_direct_or_in_the_pinned_file_or_hold_the_root_too() {
    let root = issue(authority("root"), None);
    let between = issue(authority("between"), Some(&root));
    let direct = issue(publisher(), Some(&root));
    open(&bundle_by(&direct, &[], NOW).unwrap(), &[&root]).unwrap();
    let signer = issue(publisher(), Some(&between));
    let alone = bundle_by(&signer, &[], NOW).unwrap();
    open(&alone, &[&root, &between]).unwrap();
    assert_eq!(code(open(&alone, &[&root])), "certificate.untrusted");
    let all = bundle_by(&signer, &[&between, &root], NOW).unwrap();
    open(&all, &[&root]).unwrap();
    // Order doesn't matter, nor what has no part in it.
    let stranger = issue(authority("stranger"), None);
    let mixed = bundle_by(&signer, &[&stranger, &root, &between], NOW).unwrap();
    open(&mixed, &[&stranger, &root]).unwrap();
}

#[test]
fn another_root_is_refused_also_under_the_same_name() {
    let root = issue(authority("root"), None);
    let same_name = issue(authority("root"), None);
    let other = issue(authority("other"), None);
    let between = issue(authority("between"), Some(&root));
    let signer = issue(publisher(), Some(&between));
    let bundle = bundle_by(&signer, &[&between, &root], NOW).unwrap();
    for pinned in [&same_name, &other] {
        assert_eq!(code(open(&bundle, &[pinned])), "certificate.untrusted");
    }
    // A root in the bundle is pinned by nobody.
    let forged = issue(authority("between"), Some(&other));
    let mimic = issue(publisher(), Some(&forged));
    let bundle = bundle_by(&mimic, &[&forged, &other, &between], NOW).unwrap();
    assert_eq!(code(open(&bundle, &[&root])), "certificate.untrusted");
}

#[test]
fn a_pinned_authority_below_the_root_is_no_root() {
    let root = issue(authority("root"), None);
    let between = issue(authority("between"), Some(&root));
    let error = Roots::from_pem(between.pem.as_bytes()).unwrap_err();
    assert_eq!(error.code(), "certificate.no_root");
    assert!(error.next_step().contains("root"));
}

#[test]
fn a_root_is_signed_by_its_own_key_on_every_algorithm() {
    for algorithm in [
        &PKCS_ECDSA_P256_SHA256,
        &PKCS_ECDSA_P384_SHA384,
        &PKCS_ECDSA_P521_SHA256,
        &PKCS_ED25519,
        &PKCS_RSA_SHA256,
    ] {
        let root = issue_with(authority("root"), None, algorithm);
        let signer = issue(publisher(), Some(&root));
        open(&bundle_by(&signer, &[], NOW).unwrap(), &[&root]).unwrap();
    }
}

#[test]
fn a_root_s_name_and_key_in_a_stranger_s_certificate_are_no_root() {
    let root = issue(authority("root"), None);
    let signer = issue(publisher(), Some(&root));
    let bundle = bundle_by(&signer, &[], NOW).unwrap();
    let stranger = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let twin = authority("root")
        .signed_by(&root.key, &Issuer::from_params(&root.params, &stranger))
        .unwrap()
        .pem();
    assert_eq!(
        Roots::from_pem(twin.as_bytes()).unwrap_err().code(),
        "certificate.no_root"
    );
    // Beside the root it changes nothing.
    let fingerprint = |pem: &str| {
        let roots = Roots::from_pem(pem.as_bytes()).unwrap();
        let trust = Trust::Certificate {
            roots: &roots,
            now: NOW,
        };
        let verified = read(&bundle, &trust).unwrap();
        let Signer::Certificate(holder) = verified.signer() else {
            panic!()
        };
        holder.root
    };
    let alone = fingerprint(&root.pem);
    alone
        .verify(&fingerprint(&format!("{twin}{}", root.pem)))
        .unwrap();
}

#[test]
fn no_flipped_bit_leaves_a_root_a_root() {
    let root = issue(authority("root"), None);
    let (_, der) = pem_rfc7468::decode_vec(root.pem.trim().as_bytes()).unwrap();
    for bit in 0..8 * der.len() {
        let mut der = der.clone();
        der[bit / 8] ^= 1 << (bit % 8);
        let pem =
            pem_rfc7468::encode_string("CERTIFICATE", pem_rfc7468::LineEnding::LF, &der).unwrap();
        let code = Roots::from_pem(pem.as_bytes()).unwrap_err().code();
        assert!(
            ["certificate.no_root", "certificate.malformed"].contains(&code),
            "{bit}: {code}"
        );
    }
}

/// The name of a signer with this common name, as it is told apart, and as a message shows it.
fn named(common: &str) -> Result<(String, String), ManifestError> {
    let root = issue(authority("root"), None);
    let mut own = publisher();
    own.distinguished_name.push(DnType::CommonName, common);
    let signer = issue(own, Some(&root));
    let verified = open(&forced(&signer, &[]), &[&root])?;
    let Signer::Certificate(holder) = verified.signer() else {
        panic!()
    };
    Ok((holder.subject.clone(), verified.signer().to_string()))
}

#[test]
fn signers_are_told_apart_by_their_whole_names() {
    let long = |end: &str| format!("{}{end}", "é".repeat(1000));
    let (first, second) = (named(&long("a")).unwrap(), named(&long("b")).unwrap());
    assert_eq!(first.0, format!("CN={}", long("a")));
    assert_eq!(second.0, format!("CN={}", long("b")));
    // What messages show is short all the same.
    assert!(first.1.chars().count() < 250, "{}", first.1);
    let (name, shown) = named("O'Neil \\u{202e} \u{202e}").unwrap();
    assert_eq!(name, "CN=O'Neil \\\\u{202e} \u{202e}");
    assert!(!shown.contains('\u{202e}'), "{shown}");
}

#[test]
fn a_name_that_no_line_has_room_for_is_refused() {
    for name in [
        "x".repeat(1022),
        "a\0b".into(),
        "a\nb".into(),
        "a\u{85}b".into(),
    ] {
        assert_eq!(code(named(&name)), "certificate.malformed", "{name:?}");
    }
    named(&"x".repeat(1021)).unwrap();
}

#[test]
fn a_pinned_signer_that_signed_itself_verifies_and_is_held_to_the_same() {
    let own = issue(publisher(), None);
    let bundle = bundle_by(&own, &[], NOW).unwrap();
    let verified = open(&bundle, &[&own]).unwrap();
    let Signer::Certificate(holder) = verified.signer() else {
        panic!()
    };
    holder.root.verify(&holder.certificate).unwrap();
    assert_eq!(holder.authorities, [own.private().id()]);
    // Also where openssl req -x509 made an authority of it.
    let mut params = publisher();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = issue(params, None);
    open(&bundle_by(&authority, &[], NOW).unwrap(), &[&authority]).unwrap();
    // Another one of the same name isn't it.
    let other = issue(publisher(), None);
    assert_eq!(code(open(&bundle, &[&other])), "certificate.untrusted");
    let mut params = publisher();
    params.key_usages = vec![KeyUsagePurpose::KeyEncipherment];
    let unusable = issue(params, None);
    let bundle = forced(&unusable, &[]);
    assert_eq!(code(open(&bundle, &[&unusable])), "certificate.key_usage");
    let mut params = publisher();
    params.not_after = date_time_ymd(2025, 6, 1);
    let expired = issue(params, None);
    let bundle = forced(&expired, &[]);
    assert_eq!(code(open(&bundle, &[&expired])), "certificate.expired");
}

#[test]
fn everyone_on_the_way_has_to_be_valid_now() {
    let early = || date_time_ymd(2025, 6, 1);
    let late = || date_time_ymd(2026, 6, 1);
    for place in 0..3 {
        for (expired, expected) in [
            (true, "certificate.expired"),
            (false, "certificate.not_yet_valid"),
        ] {
            let mut all = [authority("root"), authority("between"), publisher()];
            if expired {
                all[place].not_after = early();
            } else {
                all[place].not_before = late();
            }
            let [root, between, own] = all;
            assert_eq!(refused(root, between, own), expected, "{place}");
        }
    }
}

#[test]
fn clocks_that_are_far_off_prove_nothing() {
    let root = issue(authority("root"), None);
    let signer = issue(publisher(), Some(&root));
    let bundle = bundle_by(&signer, &[], NOW).unwrap();
    for (now, expected) in [
        (0, "certificate.not_yet_valid"),
        (1, "certificate.not_yet_valid"),
        (1_735_689_599, "certificate.not_yet_valid"),
        (1_893_456_001, "certificate.expired"),
        (253_402_300_800, "certificate.expired"),
        (u64::MAX, "certificate.expired"),
    ] {
        let found = code(open_at(&bundle, &[&root], Duration::from_secs(now)));
        assert_eq!(found, expected, "{now}");
    }
    for now in [1_735_689_600, 1_893_456_000] {
        open_at(&bundle, &[&root], Duration::from_secs(now)).unwrap();
    }
}

#[test]
fn the_signers_key_is_for_digital_signatures() {
    for usages in [
        vec![],
        vec![KeyUsagePurpose::KeyEncipherment],
        vec![KeyUsagePurpose::KeyCertSign],
        vec![KeyUsagePurpose::ContentCommitment],
    ] {
        let mut own = publisher();
        own.key_usages = usages;
        let found = refused(authority("root"), authority("between"), own);
        assert_eq!(found, "certificate.key_usage");
    }
}

#[test]
fn the_signers_certificate_is_for_code() {
    for usages in [
        vec![],
        vec![ExtendedKeyUsagePurpose::ServerAuth],
        vec![ExtendedKeyUsagePurpose::EmailProtection],
        vec![ExtendedKeyUsagePurpose::Any],
    ] {
        let mut own = publisher();
        own.extended_key_usages = usages;
        let found = refused(authority("root"), authority("between"), own);
        assert_eq!(found, "certificate.extended_key_usage");
    }
    for place in 0..2 {
        let mut all = [authority("root"), authority("between")];
        all[place].extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let [root, between] = all;
        let found = refused(root, between, publisher());
        assert_eq!(found, "certificate.extended_key_usage", "{place}");
    }
}

#[test]
fn authorities_may_sign_certificates() {
    for place in 0..2 {
        let mut all = [authority("root"), authority("between")];
        all[place].key_usages = vec![KeyUsagePurpose::CrlSign];
        let [root, between] = all;
        let found = refused(root, between, publisher());
        assert_eq!(found, "certificate.key_usage", "{place}");
        let mut all = [authority("root"), authority("between")];
        all[place].is_ca = IsCa::ExplicitNoCa;
        let [root, between] = all;
        let found = refused(root, between, publisher());
        assert_eq!(found, "certificate.authority", "{place}");
    }
    // One that says nothing about its key restricts nothing.
    let mut root = authority("root");
    root.key_usages = vec![];
    let root = issue(root, None);
    let signer = issue(publisher(), Some(&root));
    open(&bundle_by(&signer, &[], NOW).unwrap(), &[&root]).unwrap();
}

#[test]
fn an_authority_signs_no_models() {
    let mut own = publisher();
    own.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let found = refused(authority("root"), authority("between"), own);
    assert_eq!(found, "certificate.authority");
}

#[test]
fn every_authority_limits_those_below_it() {
    // A root that allows none below it: webpki doesn't look.
    let mut root = authority("root");
    root.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let found = refused(root.clone(), authority("between"), publisher());
    assert_eq!(found, "certificate.path_length");
    let pinned = issue(root, None);
    let direct = issue(publisher(), Some(&pinned));
    open(&bundle_by(&direct, &[], NOW).unwrap(), &[&pinned]).unwrap();
    // And an intermediate.
    let root = issue(authority("root"), None);
    let mut first = authority("first");
    first.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let first = issue(first, Some(&root));
    let second = issue(authority("second"), Some(&first));
    let signer = issue(publisher(), Some(&second));
    let bundle = forced(&signer, &[&second, &first]);
    assert_eq!(code(open(&bundle, &[&root])), "certificate.path_length");
}

#[test]
fn restrictions_that_are_not_understood_are_refused() {
    let unknown = || {
        let mut extension =
            CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99_999, 1], vec![5, 0]);
        extension.set_criticality(true);
        extension
    };
    for place in 0..3 {
        let mut all = [authority("root"), authority("between"), publisher()];
        all[place].custom_extensions = vec![unknown()];
        let [root, between, own] = all;
        let found = refused(root, between, own);
        assert_eq!(found, "certificate.critical_extension", "{place}");
    }
    let mut own = publisher();
    own.custom_extensions = vec![unknown(), unknown()];
    let found = refused(authority("root"), authority("between"), own);
    assert_eq!(found, "certificate.malformed");
}

#[test]
fn a_root_that_was_renewed_is_as_good_as_one_of_its_certificates() {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let mut old = authority("root");
    old.not_after = date_time_ymd(2025, 6, 1);
    let old_pem = old.self_signed(&key).unwrap().pem();
    let new = authority("root");
    let new_pem = new.self_signed(&key).unwrap().pem();
    let root = Made {
        params: new,
        key,
        pem: new_pem.clone(),
    };
    let signer = issue(publisher(), Some(&root));
    let bundle = bundle_by(&signer, &[], NOW).unwrap();
    for (pem, valid) in [
        (format!("{old_pem}{new_pem}"), true),
        (format!("{new_pem}{old_pem}"), true),
        (old_pem, false),
    ] {
        let roots = Roots::from_pem(pem.as_bytes()).unwrap();
        let read = read(
            &bundle,
            &Trust::Certificate {
                roots: &roots,
                now: NOW,
            },
        );
        if valid {
            read.unwrap();
        } else {
            assert_eq!(code(read), "certificate.expired");
        }
    }
}

#[test]
fn a_signature_by_another_key_than_the_certificates_is_refused() {
    let root = issue(authority("root"), None);
    let signer = issue(publisher(), Some(&root));
    let other = issue(publisher(), Some(&root));
    let mut bundle = json_of(&bundle_by(&signer, &[], NOW).unwrap());
    let theirs = json_of(&bundle_by(&other, &[], NOW).unwrap());
    bundle["verificationMaterial"] = theirs["verificationMaterial"].clone();
    let refused = open(bundle.to_string().as_bytes(), &[&root]);
    assert_eq!(code(refused), "manifest.signature_invalid");
}

#[test]
fn every_flipped_bit_of_a_certificate_is_refused() {
    let root = issue(authority("root"), None);
    let signer = issue(publisher(), Some(&root));
    let sound = json_of(&bundle_by(&signer, &[], NOW).unwrap());
    let pointer = "/verificationMaterial/x509CertificateChain/certificates/0/rawBytes";
    let der = Base64::decode_vec(sound.pointer(pointer).unwrap().as_str().unwrap()).unwrap();
    for bit in 0..8 * der.len() {
        let mut der = der.clone();
        der[bit / 8] ^= 1 << (bit % 8);
        let mut bundle = sound.clone();
        *bundle.pointer_mut(pointer).unwrap() = json!(Base64::encode_string(&der));
        let found = code(open(bundle.to_string().as_bytes(), &[&root]));
        assert!(
            found.starts_with("certificate.") || found == "manifest.signature_invalid",
            "{bit}: {found}"
        );
    }
    for length in 1..der.len() {
        let mut bundle = sound.clone();
        *bundle.pointer_mut(pointer).unwrap() = json!(Base64::encode_string(&der[..length]));
        let found = code(open(bundle.to_string().as_bytes(), &[&root]));
        assert_eq!(found, "certificate.malformed", "{length}");
    }
}

#[test]
fn files_of_certificates_hold_nothing_else() {
    let root = issue(authority("root"), None);
    let sound = &root.pem;
    for spoilt in [
        String::new(),
        "x".into(),
        KEY.public().to_pem().unwrap(),
        format!("{sound}{}", root.key.serialize_pem()),
        format!("{sound}-----BEGIN CERTIFICATE-----\n"),
        sound.replace("MI", "M*"),
        sound.replace("END CERTIFICATE", "END CRTIFICATE"),
        sound[..sound.len() / 2].to_owned(),
        "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n".into(),
        " ".repeat(2 << 20),
    ] {
        for error in [
            Roots::from_pem(spoilt.as_bytes()).map(drop).unwrap_err(),
            Chain::from_pem(spoilt.as_bytes()).map(drop).unwrap_err(),
        ] {
            assert_eq!(error.code(), "certificate.malformed", "{spoilt}");
        }
    }
    assert!(Roots::from_pem(&[0xff; 100]).is_err());
    // Names between the blocks, as in files of many roots.
    Roots::from_pem(format!("# root\n{sound}\n# again\n{sound}").as_bytes()).unwrap();
}

#[test]
fn a_key_signs_only_with_its_own_usable_certificate() {
    let root = issue(authority("root"), None);
    let signer = issue(publisher(), Some(&root));
    let chain = Chain::from_pem(signer.pem.as_bytes()).unwrap();
    let stranger = PrivateKey::generate(strongroom_verify::key::Kind::P256).unwrap();
    let of = |key: &PrivateKey, now| chain.of_key(key.public(), now).map(drop);
    of(&signer.private(), NOW).unwrap();
    let code = |result: Result<(), CertificateError>| result.unwrap_err().code();
    assert_eq!(code(of(&stranger, NOW)), "certificate.other_key");
    assert_eq!(
        code(of(&signer.private(), Duration::ZERO)),
        "certificate.not_yet_valid"
    );
    let mut params = publisher();
    params.extended_key_usages = vec![];
    let unusable = issue(params, Some(&root));
    let refused = bundle_by(&unusable, &[], NOW);
    assert_eq!(
        crate::support::code(refused),
        "certificate.extended_key_usage"
    );
}

#[test]
fn methods_are_not_confused() {
    let root = issue(authority("root"), None);
    let signer = issue(publisher(), Some(&root));
    let bundle = bundle_by(&signer, &[], NOW).unwrap();
    let by_key = read(&bundle, &Trust::Key(signer.private().public()));
    assert_eq!(code(by_key), "manifest.other_method");
    let bundle = crate::support::signed(model().path(), &Options::default());
    assert_eq!(code(open(&bundle, &[&root])), "manifest.other_method");
}
