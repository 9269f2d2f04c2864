//! The keyless method: an identity, a certificate that is valid for minutes, and logs that say when.
//!
//! `sigstore-verify` does it, offline: it knows the authorities and logs from a `trusted_root.json` that
//! the caller has, and asks nobody.

use std::fmt;

use sigstore_verify::{
    VerificationPolicy, Verifier,
    trust_root::TrustedRoot as Root,
    types::{Artifact, Bundle, Sha256Hash, SignatureContent},
};

use crate::{
    Algorithm, Digest, Hasher, PublicKey,
    certificate::{self, CertificateError, LONGEST_NAME},
};

use super::{
    ManifestError,
    bundle::LARGEST_BUNDLE,
    envelope::Envelope,
    json::{self, At, Malformed},
    statement::Statement,
    text,
};

/// Bytes of the longest `trusted_root.json`; the public one has 7 KB.
pub const LARGEST_ROOT: usize = 1 << 20;

/// The authorities and logs of a Sigstore instance.
pub struct TrustedRoot {
    verifier: Verifier,
    digest: Digest,
}

impl TrustedRoot {
    /// Reads a `trusted_root.json`.
    ///
    /// # Errors
    /// [`ManifestError::TrustedRootMalformed`].
    pub fn from_json(file: &[u8]) -> Result<Self, ManifestError> {
        let malformed = |reason: &str| ManifestError::TrustedRootMalformed {
            reason: text::shown(reason),
        };
        if file.len() > LARGEST_ROOT {
            return Err(malformed("it is longer than a megabyte"));
        }
        strictly(file).map_err(|error| malformed(&error.reason))?;
        let text = std::str::from_utf8(file).map_err(|error| malformed(&error.to_string()))?;
        let root = Root::from_json(text).map_err(|error| malformed(&error.to_string()))?;
        let verifier = Verifier::new(&root).map_err(|error| malformed(&error.to_string()))?;
        Ok(Self {
            verifier,
            digest: Hasher::digest(Algorithm::Sha256, file),
        })
    }

    /// SHA-256 of the file.
    pub const fn digest(&self) -> Digest {
        self.digest
    }
}

impl fmt::Debug for TrustedRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TrustedRoot({})", self.digest)
    }
}

/// Without names that are there twice, which parsers read differently; and with all that a signature
/// is held to, since what is absent would be trusted for nothing.
fn strictly(file: &[u8]) -> Result<(), Malformed> {
    let at = &At::Root;
    let mut fields = json::parse(file)?.object(at)?;
    let media_type = fields.text(at, "mediaType", 256)?;
    if !media_type.starts_with("application/vnd.dev.sigstore.trustedroot") {
        return Err(at.malformed("its mediaType is no trusted root's"));
    }
    for name in ["certificateAuthorities", "ctlogs", "tlogs"] {
        let at = &At::Field(at, name);
        if fields.field(&At::Root, name)?.array(at)?.is_empty() {
            return Err(at.malformed(format!("{name} holds nothing")));
        }
    }
    Ok(())
}

/// Who signed, as far as the authority and the logs say.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The one that was asked for, whole: an address, or the name of a workflow.
    pub identity: String,
    /// Who vouched for the identity.
    pub issuer: String,
    /// The key of the certificate.
    pub key: PublicKey,
    /// SHA-256 of the certificate.
    pub certificate: Digest,
    /// SHA-256 of the `trusted_root.json`.
    pub root: Digest,
    /// When it was signed, as a log or a time stamp says; since 1970.
    pub signed_at: u64,
}

/// Verifies a bundle by its certificate, logs and time stamps.
pub(super) fn verify(
    bundle: &[u8],
    envelope: &Envelope,
    certificate: &[u8],
    root: &TrustedRoot,
    identity: &str,
    issuer: &str,
) -> Result<(Identity, Statement), ManifestError> {
    let refused = |reason: String| ManifestError::KeylessRefused {
        reason: text::shown(&reason),
    };
    // They are the certificate's, letter by letter; what tells signers apart is never cut.
    for (what, text) in [("identity", identity), ("issuer", issuer)] {
        if text.chars().nth(LONGEST_NAME).is_some() || text.chars().any(char::is_control) {
            return Err(refused(format!(
                "the {what} has more than {LONGEST_NAME} characters, or control characters"
            )));
        }
    }
    // Before the signature is verified nothing of the statement leaves this function; its root is
    // what the verifier is to find in the signed subject.
    let statement = Statement::read(&envelope.payload)?;
    let subject = Sha256Hash::try_from(statement.root.as_bytes())
        .map_err(|error| refused(error.to_string()))?;
    debug_assert!(bundle.len() <= LARGEST_BUNDLE);
    let text = std::str::from_utf8(bundle).map_err(|error| refused(error.to_string()))?;
    let parsed = Bundle::from_json(text).map_err(|error| refused(error.to_string()))?;
    // Two parsers read the bundle: they have to have read the same bytes.
    match &parsed.content {
        SignatureContent::DsseEnvelope(other)
            if other.payload.as_bytes() == envelope.payload
                && other.signature.sig.as_bytes() == envelope.signature => {}
        _ => return Err(refused("its envelope can be read in two ways".to_owned())),
    }
    let policy = VerificationPolicy::new(identity, issuer);
    let result = root
        .verifier
        .verify(Artifact::from_digest(subject), &parsed, &policy)
        .map_err(|error| refused(error.to_string()))?;
    let everything = result.certificate_verified()
        && result.sct_verified()
        && result.tlog_verified()
        && result.identity_policy_checked();
    let signed_at = result
        .verified_timestamps()
        .iter()
        .min()
        .and_then(|time| u64::try_from(time.as_second()).ok());
    let (true, Some(signed_at)) = (everything, signed_at) else {
        return Err(refused("some of it could not be verified".to_owned()));
    };
    let (key, fingerprint) = certificate::key_of(certificate).map_err(of_certificate)?;
    let identity = Identity {
        identity: identity.to_owned(),
        issuer: issuer.to_owned(),
        key,
        certificate: fingerprint,
        root: root.digest,
        signed_at,
    };
    Ok((identity, statement))
}

fn of_certificate(error: CertificateError) -> ManifestError {
    ManifestError::Certificate(error)
}
