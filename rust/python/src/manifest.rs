//! Signed manifests of directories and files.

use std::{
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use pyo3::{prelude::*, types::PyByteArray};
use strongroom_memory::Source;
use strongroom_verify::{
    Algorithm, KeyId, PrivateKey, PublicKey,
    certificate::{self, Chain, Roots},
    key,
    manifest::{
        self, Evidence, Ignored, LARGEST_BUNDLE, LARGEST_ROOT, ManifestError, Options, Scope,
        Serialization, Signer, Signing, Trust, TrustedRoot, Verified,
    },
};
use zeroize::Zeroizing;

use crate::{detach, errors::Error, output, passphrase::Passphrase, side_file::Given};

/// That a tree is what was signed.
#[pyclass(frozen, get_all, module = "strongroom._core")]
pub(crate) struct ManifestEvidence {
    method: &'static str,
    key: String,
    subject: Option<String>,
    certificate: Option<String>,
    root_subject: Option<String>,
    root_certificate: Option<String>,
    authorities: Vec<String>,
    not_after: Option<u64>,
    identity: Option<String>,
    issuer: Option<String>,
    trusted_root: Option<String>,
    signed_at: Option<u64>,
    model: String,
    root: String,
    algorithm: &'static str,
    serialization: String,
    files: usize,
    listed: usize,
    size: u64,
    verified_at: u64,
}

impl ManifestEvidence {
    fn new(evidence: Evidence, now: Duration) -> Self {
        let holder = match &evidence.signer {
            Signer::Certificate(holder) => Some(holder),
            _ => None,
        };
        let identity = match &evidence.signer {
            Signer::Sigstore(identity) => Some(identity),
            _ => None,
        };
        Self {
            method: evidence.signer.method().as_str(),
            key: evidence.signer.key().to_string(),
            subject: holder.map(|holder| holder.subject.clone()),
            certificate: holder
                .map(|holder| holder.certificate)
                .or(identity.map(|identity| identity.certificate))
                .map(|digest| digest.to_string()),
            root_subject: holder.map(|holder| holder.root_subject.clone()),
            root_certificate: holder.map(|holder| holder.root.to_string()),
            authorities: holder.map_or_else(Vec::new, |holder| {
                holder.authorities.iter().map(KeyId::to_string).collect()
            }),
            not_after: holder.map(|holder| holder.not_after),
            identity: identity.map(|identity| identity.identity.clone()),
            issuer: identity.map(|identity| identity.issuer.clone()),
            trusted_root: identity.map(|identity| identity.root.to_string()),
            signed_at: identity.map(|identity| identity.signed_at),
            model: evidence.model,
            root: evidence.root.to_string(),
            algorithm: evidence.algorithm.as_str(),
            serialization: evidence.serialization.to_string(),
            files: evidence.files,
            listed: evidence.listed,
            size: evidence.bytes,
            verified_at: now.as_secs(),
        }
    }
}

/// A signed manifest whose signer was verified, for the load of files that it lists.
#[pyclass(frozen, module = "strongroom._core")]
pub(crate) struct Manifest {
    verified: Verified,
    now: Duration,
}

#[pymethods]
impl Manifest {
    /// Reads and verifies a signed manifest, at a path or sent by a host; no file that it lists is opened.
    #[new]
    #[pyo3(
        signature = (path, *, public_key=None, certificates=Vec::new(), identity=None, issuer=None, trusted_root=None, now=None),
        text_signature = "(path, *, public_key=None, certificates=(), identity=None, issuer=None, trusted_root=None, now=None)"
    )]
    fn new(
        py: Python<'_>,
        path: Given,
        public_key: Option<PathBuf>,
        certificates: Vec<PathBuf>,
        identity: Option<String>,
        issuer: Option<String>,
        trusted_root: Option<PathBuf>,
        now: Option<u64>,
    ) -> Result<Self, Error> {
        let now = time(now);
        let whom = Whom {
            public_key,
            certificates,
            identity,
            issuer,
            trusted_root,
        };
        let verified = detach::run(py, || whom.verify(&path, now))?;
        Ok(Self { verified, now })
    }

    /// The files that were signed, in order; `.` alone for a single file.
    #[getter]
    fn names(&self) -> Vec<&str> {
        self.verified.names().collect()
    }
}

impl Manifest {
    /// What was signed.
    pub(crate) const fn verified(&self) -> &Verified {
        &self.verified
    }

    /// That `files` of `bytes` in all are what was signed.
    pub(crate) fn evidence(&self, files: usize, bytes: u64) -> ManifestEvidence {
        let verified = &self.verified;
        let evidence = Evidence {
            signer: verified.signer().clone(),
            model: verified.model(),
            root: verified.root(),
            algorithm: verified.algorithm(),
            serialization: verified.serialization(),
            files,
            listed: verified.names().count(),
            bytes,
        };
        ManifestEvidence::new(evidence, self.now)
    }
}

/// Whose signature is accepted: exactly one of a key, roots, and an identity.
struct Whom {
    public_key: Option<PathBuf>,
    certificates: Vec<PathBuf>,
    identity: Option<String>,
    issuer: Option<String>,
    trusted_root: Option<PathBuf>,
}

impl Whom {
    /// Reads whom to trust, and only then what a stranger wrote.
    fn verify(self, given: &Given, now: Duration) -> Result<Verified, Error> {
        let bundle = |trust: &Trust<'_>| {
            let bundle = given.read(LARGEST_BUNDLE)?;
            manifest::read(&bundle, trust)
                .map_err(|error| Error::from(error).in_file(&given.name()))
        };
        match (
            self.public_key,
            &self.certificates[..],
            self.identity,
            self.issuer,
            self.trusted_root,
        ) {
            (Some(key), [], None, None, None) => {
                let file = Source::read_small(&key, key::LONGEST_FILE)?;
                let key =
                    PublicKey::from_pem(&file).map_err(|error| Error::from(error).in_file(&key))?;
                bundle(&Trust::Key(&key))
            }
            (None, roots @ [_, ..], None, None, None) => {
                let roots = Roots::from_pem(&joined(roots)?)?;
                bundle(&Trust::Certificate { roots: &roots, now })
            }
            (None, [], Some(identity), Some(issuer), Some(root)) => {
                let file = Source::read_small(&root, LARGEST_ROOT)?;
                let root = TrustedRoot::from_json(&file)
                    .map_err(|error| Error::from(error).in_file(&root))?;
                bundle(&Trust::Sigstore {
                    root: &root,
                    identity: &identity,
                    issuer: &issuer,
                })
            }
            _ => Err(Error::whom_to_trust()),
        }
    }
}

/// Holds the directory or file at `path` to the signed manifest at `signature`.
#[pyfunction]
#[pyo3(
    signature = (path, *, signature, public_key=None, certificates=Vec::new(), identity=None, issuer=None, trusted_root=None, ignore_paths=Vec::new(), files=None, now=None, progress=None),
    text_signature = "(path, *, signature, public_key=None, certificates=(), identity=None, issuer=None, trusted_root=None, ignore_paths=(), files=None, now=None, progress=None)"
)]
pub(crate) fn verify_manifest(
    py: Python<'_>,
    path: PathBuf,
    signature: PathBuf,
    public_key: Option<PathBuf>,
    certificates: Vec<PathBuf>,
    identity: Option<String>,
    issuer: Option<String>,
    trusted_root: Option<PathBuf>,
    ignore_paths: Vec<String>,
    files: Option<Vec<String>>,
    now: Option<u64>,
    progress: Option<Py<PyAny>>,
) -> Result<ManifestEvidence, Error> {
    let now = time(now);
    let whom = Whom {
        public_key,
        certificates,
        identity,
        issuer,
        trusted_root,
    };
    detach::interruptible(py, progress, |caller| {
        let mut ignored = ignoring(&ignore_paths)?;
        ignored.signature(&path, &signature);
        let verified = whom.verify(&Given::File(signature), now)?;
        let names: Option<Vec<&str>> = files
            .as_ref()
            .map(|names| names.iter().map(String::as_str).collect());
        let scope = names.as_deref().map_or(Scope::Everything, Scope::Files);
        let evidence = verified.check(&path, scope, &ignored, &mut |done, total| {
            caller.progress(done, total)
        })?;
        Ok::<_, Error>(ManifestEvidence::new(evidence, now))
    })
}

/// Signs the directory or file at `path`, and writes the manifest to `output`.
#[pyfunction]
#[pyo3(
    signature = (path, *, private_key, output, passphrase=None, passphrase_file=None, certificates=Vec::new(), algorithm="sha256", shard_size=None, allow_symlinks=false, ignore_paths=Vec::new(), files=None, now=None, progress=None),
    text_signature = "(path, *, private_key, output, passphrase=None, passphrase_file=None, certificates=(), algorithm='sha256', shard_size=None, allow_symlinks=False, ignore_paths=(), files=None, now=None, progress=None)"
)]
pub(crate) fn sign_manifest(
    py: Python<'_>,
    path: PathBuf,
    private_key: PathBuf,
    output: PathBuf,
    passphrase: Option<&Bound<'_, PyByteArray>>,
    passphrase_file: Option<PathBuf>,
    certificates: Vec<PathBuf>,
    algorithm: &str,
    shard_size: Option<u64>,
    allow_symlinks: bool,
    ignore_paths: Vec<String>,
    files: Option<Vec<String>>,
    now: Option<u64>,
    progress: Option<Py<PyAny>>,
) -> Result<(), Error> {
    let now = time(now);
    let passphrase = Passphrase::take(passphrase, passphrase_file)?;
    let algorithm = Algorithm::ALL
        .into_iter()
        .find(|known| known.as_str() == algorithm)
        .ok_or_else(|| Error::option("algorithm", "is none of sha256, blake2b and blake3"))?;
    detach::interruptible(py, progress, |caller| {
        let file = Zeroizing::new(Source::read_small(&private_key, key::LONGEST_FILE)?);
        let passphrase = passphrase.read()?;
        let key = PrivateKey::from_pem(&file, passphrase.as_ref().map(|bytes| bytes.as_slice()))
            .map_err(|error| Error::from(error).in_file(&private_key))?;
        let chain = match &certificates[..] {
            [] => None,
            some => Some(Chain::from_pem(&joined(some)?)?),
        };
        let signing = match &chain {
            None => Signing::Key(&key),
            Some(chain) => Signing::Certificate {
                key: &key,
                chain,
                now,
            },
        };
        let mut ignored = ignoring(&ignore_paths)?;
        ignored.signature(&path, &output);
        let names: Option<Vec<&str>> = files
            .as_ref()
            .map(|names| names.iter().map(String::as_str).collect());
        let options = Options {
            algorithm,
            serialization: shard_size
                .map_or(Serialization::Files, |size| Serialization::Shards { size }),
            allow_symlinks,
            files: names.as_deref(),
            ignored,
        };
        let bundle = manifest::sign(&path, &signing, &options, &mut |done, total| {
            caller.progress(done, total)
        })?;
        output::create(&output, &bundle, output::PUBLIC)
    })
}

/// Since 1970: as given, or by this machine's clock.
fn time(now: Option<u64>) -> Duration {
    match now {
        Some(seconds) => Duration::from_secs(seconds),
        // A clock before 1970 makes every certificate one that isn't valid yet.
        None => SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default(),
    }
}

fn ignoring(paths: &[String]) -> Result<Ignored, ManifestError> {
    let mut ignored = Ignored::default();
    for path in paths {
        ignored.add(path)?;
    }
    Ok(ignored)
}

/// Files of certificates, one behind the other.
fn joined(paths: &[impl AsRef<Path>]) -> Result<Vec<u8>, Error> {
    let mut all = Vec::new();
    for path in paths {
        all.extend_from_slice(&Source::read_small(
            path.as_ref(),
            certificate::LONGEST_FILE,
        )?);
        all.push(b'\n');
    }
    Ok(all)
}
