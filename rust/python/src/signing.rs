//! Signing files, and making the keys for it. No private key passes through Python.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use pyo3::{prelude::*, types::PyByteArray};
use strongroom_memory::{Source, image, pipeline};
use strongroom_verify::{
    Algorithm, PrivateKey, Scheme,
    key::{self, Kind},
    signature::{self, Need, Seen, SignatureError, TrustedKey, minisign::SecretKey},
};
use zeroize::Zeroizing;

use crate::{
    detach::{self, Caller},
    errors::Error,
    output,
    passphrase::Passphrase,
    signature::{Evidence, algorithm, beside, unmapped, verify},
};

/// Signs a file and writes the signature, which is verified before; returns what a verifier finds.
#[pyfunction]
#[pyo3(
    signature = (path, *, private_key, format, output=None, hash=None, rsa_padding=None, comment=None, passphrase=None, passphrase_file=None, progress=None),
    text_signature = "(path, *, private_key, format, output=None, hash=None, rsa_padding=None, comment=None, passphrase=None, passphrase_file=None, progress=None)"
)]
pub(crate) fn sign_file(
    py: Python<'_>,
    path: PathBuf,
    private_key: PathBuf,
    format: &str,
    output: Option<PathBuf>,
    hash: Option<&str>,
    rsa_padding: Option<&str>,
    comment: Option<String>,
    passphrase: Option<&Bound<'_, PyByteArray>>,
    passphrase_file: Option<PathBuf>,
    progress: Option<Py<PyAny>>,
) -> Result<(PathBuf, Evidence), Error> {
    let passphrase = Passphrase::take(passphrase, passphrase_file)?;
    let wanted = Wanted {
        hash: algorithm(hash)?,
        scheme: padding(rsa_padding)?,
        comment,
    };
    let minisign = match format {
        "detached" => false,
        "minisign" => true,
        _ => return Err(Error::option("format", "is none of detached and minisign")),
    };
    detach::interruptible(py, progress, |caller| {
        let signer = Signer::read(&private_key, minisign, passphrase)?;
        let (content, trusted) = match &signer {
            Signer::Pem(key) => (
                detached(&path, key, &wanted, caller)?,
                TrustedKey::Pem(key.public().clone()),
            ),
            Signer::Minisign(key) => (
                minisigned(&path, key, &wanted, caller)?,
                TrustedKey::from_file(key.public().to_file().as_bytes())?,
            ),
        };
        // What doesn't verify is never written: not after a fault in the signing, and not of a file
        // that changed meanwhile.
        let signature = trusted.signature(&content, wanted.hash)?;
        let evidence = verify(&path, &signature, caller)?;
        let output = output.unwrap_or_else(|| beside(&path, trusted.suffix()));
        output::create(&output, &content, output::PUBLIC)?;
        Ok::<_, Error>((output, Evidence::from(evidence)))
    })
}

/// What a caller says about the signature that is to be made.
struct Wanted {
    hash: Option<Algorithm>,
    scheme: Option<Scheme>,
    comment: Option<String>,
}

fn padding(word: Option<&str>) -> Result<Option<Scheme>, Error> {
    match word {
        None => Ok(None),
        Some("pkcs1") => Ok(Some(Scheme::RsaPkcs1)),
        Some("pss") => Ok(Some(Scheme::RsaPss)),
        Some(_) => Err(Error::option("rsa_padding", "is none of pkcs1 and pss")),
    }
}

/// A private key of either format.
enum Signer {
    Pem(PrivateKey),
    Minisign(SecretKey),
}

impl Signer {
    fn read(path: &Path, minisign: bool, passphrase: Passphrase) -> Result<Self, Error> {
        let file = Zeroizing::new(Source::read_small(path, key::LONGEST_FILE)?);
        let passphrase = passphrase.read()?;
        let passphrase = passphrase.as_ref().map(|bytes| bytes.as_slice());
        match (SecretKey::is_file(&file), minisign) {
            (true, true) => SecretKey::from_file(&file, passphrase)
                .map(Self::Minisign)
                .map_err(Error::from),
            (false, false) => PrivateKey::from_pem(&file, passphrase)
                .map(Self::Pem)
                .map_err(Error::from),
            (is_minisign, _) => Err(SignatureError::Format {
                signature: if minisign {
                    "a signature of minisign that is wanted"
                } else {
                    "a detached signature that is wanted"
                },
                key: if is_minisign {
                    "minisign's"
                } else {
                    "no key of minisign"
                },
            }
            .into()),
        }
        .map_err(|error| error.in_file(path))
    }
}

/// The bytes of a detached signature.
fn detached(
    path: &Path,
    key: &PrivateKey,
    wanted: &Wanted,
    caller: &mut Caller,
) -> Result<Vec<u8>, Error> {
    if wanted.comment.is_some() {
        return Err(Error::option(
            "comment",
            "has no place in a detached signature",
        ));
    }
    let kind = key.public().kind();
    let by_kind = match kind {
        Kind::P256 | Kind::P384 | Kind::P521 => Scheme::Ecdsa,
        Kind::Ed25519 => Scheme::Ed25519,
        // What `openssl dgst -verify` takes without further options.
        Kind::Rsa { .. } => Scheme::RsaPkcs1,
    };
    let scheme = wanted.scheme.unwrap_or(by_kind);
    if !kind.signs_with(scheme) {
        return Err(SignatureError::Scheme { kind, scheme }.into());
    }
    let progress: pipeline::Progress<'_> = &mut |done, total| caller.progress(done, total);
    match signature::need(kind, wanted.hash)? {
        Need::Digest(algorithm) => {
            let mut source = Source::open(path)?;
            let digests = pipeline::run(&mut source, &[algorithm], progress, |_| Ok(()))?;
            let seen = Seen {
                digests: &digests,
                whole: None,
            };
            Ok(signature::sign(key, scheme, wanted.hash, &seen)?)
        }
        Need::Whole => {
            // Whoever signs says what it is: there is nothing to hold it to.
            let image = image::read(path, &[], None, progress)?.danger_accept();
            let bytes = image.map().map_err(|error| unmapped(path, error))?;
            let seen = Seen {
                digests: &[image.digest()],
                whole: Some(&bytes),
            };
            Ok(signature::sign(key, scheme, wanted.hash, &seen)?)
        }
    }
}

/// The file of a signature of minisign; its comment is minisign's own where none is wanted.
fn minisigned(
    path: &Path,
    key: &SecretKey,
    wanted: &Wanted,
    caller: &mut Caller,
) -> Result<Vec<u8>, Error> {
    if let Some(hash) = wanted.hash {
        let kind = Kind::Ed25519;
        return Err(SignatureError::Hash { kind, hash }.into());
    }
    if let Some(scheme) = wanted.scheme {
        let kind = Kind::Ed25519;
        return Err(SignatureError::Scheme { kind, scheme }.into());
    }
    let comment = wanted.comment.clone().unwrap_or_else(|| {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        // A name that is no text, or more than a line, is left out.
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .filter(|name| !name.contains(char::is_control))
            .map(|name| format!("\tfile:{name}"))
            .unwrap_or_default();
        format!("timestamp:{now}{name}\thashed")
    });
    let mut source = Source::open(path)?;
    let digests = pipeline::run(
        &mut source,
        &[Algorithm::Blake2b512],
        &mut |done, total| caller.progress(done, total),
        |_| Ok(()),
    )?;
    let seen = Seen {
        digests: &digests,
        whole: None,
    };
    Ok(key.sign(&seen, &comment)?.into_bytes())
}

/// Makes a key pair and writes both files; the private one is its owner's alone.
#[pyfunction]
#[pyo3(
    signature = (*, kind, private_key, public_key, passphrase=None, passphrase_file=None),
    text_signature = "(*, kind, private_key, public_key, passphrase=None, passphrase_file=None)"
)]
pub(crate) fn generate_key(
    py: Python<'_>,
    kind: &str,
    private_key: PathBuf,
    public_key: PathBuf,
    passphrase: Option<&Bound<'_, PyByteArray>>,
    passphrase_file: Option<PathBuf>,
) -> Result<String, Error> {
    let passphrase = Passphrase::take(passphrase, passphrase_file)?;
    let pem = match kind {
        "p256" => Some(Kind::P256),
        "p384" => Some(Kind::P384),
        "p521" => Some(Kind::P521),
        "ed25519" => Some(Kind::Ed25519),
        "rsa2048" => Some(Kind::Rsa { bits: 2048 }),
        "rsa3072" => Some(Kind::Rsa { bits: 3072 }),
        "rsa4096" => Some(Kind::Rsa { bits: 4096 }),
        "minisign" => None,
        _ => {
            return Err(Error::option(
                "kind",
                "is none of p256, p384, p521, ed25519, rsa2048, rsa3072, rsa4096 and minisign",
            ));
        }
    };
    detach::interruptible(py, None, |_| {
        let passphrase = passphrase.read()?;
        let passphrase = passphrase.as_ref().map(|bytes| bytes.as_slice());
        let (private, public, id) = if let Some(kind) = pem {
            let key = PrivateKey::generate(kind)?;
            (key.to_pem(passphrase)?, key.public().to_pem()?, key.id())
        } else {
            let key = SecretKey::generate()?;
            (key.to_file(passphrase)?, key.public().to_file(), key.id())
        };
        // In this order: whatever ends this process, no private key is left without its public one.
        output::create(&public_key, public.as_bytes(), output::PUBLIC)?;
        output::create(&private_key, private.as_bytes(), output::SECRET).inspect_err(|_| {
            // Half a pair is none. It is the one that was just written.
            let _ = fs::remove_file(&public_key);
        })?;
        Ok::<_, Error>(id.to_string())
    })
}
