//! A bundle that model-signing 1.0.0 wrote. The other way, and later versions, are tested in Python
//! against the package itself.

use strongroom_verify::{
    PublicKey,
    manifest::{Ignored, Scope, Trust, read},
};

use crate::support::{go_on, tree};

/// `scripts/tests/v1.0.0-elliptic-key/model.sig` of sigstore/model-transparency, Apache-2.0; the key
/// is the one in it.
const BUNDLE: &[u8] = include_bytes!("../vectors/model-signing-1.0.0-key.sig");
const KEY: &[u8] = include_bytes!("../vectors/model-signing-1.0.0-key.pem");

#[test]
fn a_bundle_of_version_1_0_0_verifies() {
    let key = PublicKey::from_pem(KEY).unwrap();
    let verified = read(BUNDLE, &Trust::Key(&key)).unwrap();
    let model = tree(&[("signme-1", b"signme-1\n")]);
    let path = model.path().join("signme-1");
    let evidence = verified
        .check(&path, Scope::Everything, &Ignored::default(), &mut go_on)
        .unwrap();
    assert_eq!(evidence.model, "signme-1");
    assert_eq!(evidence.signer.key(), key.id());
}
