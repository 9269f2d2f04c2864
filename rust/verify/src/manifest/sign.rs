//! Making a signed manifest.

use std::{collections::BTreeMap, ffi::OsStr, path::Path, time::Duration};

use crate::{Algorithm, Digest, PrivateKey, Scheme, SignatureError, certificate::Chain};

use super::{
    Ignored, ManifestError, Serialization,
    bundle::{Bundle, LARGEST_BUNDLE, Material},
    envelope,
    hashing::{self, Job, Progress},
    name,
    statement::{Piece, Statement},
    text,
    tree::Tree,
    trust,
};

/// More pieces than this make a bundle that is too large to be read.
const MOST_PIECES: usize = LARGEST_BUNDLE / 160;

const TOO_LARGE: ManifestError = ManifestError::BundleTooLarge {
    limit: LARGEST_BUNDLE,
};

/// What to sign with.
#[derive(Debug, Clone, Copy)]
pub enum Signing<'a> {
    /// A key; verifiers have its public one.
    Key(&'a PrivateKey),
    /// A key and its certificates; verifiers have a root.
    Certificate {
        /// The private key.
        key: &'a PrivateKey,
        /// Its certificate, and those towards a root.
        chain: &'a Chain,
        /// The time to hold the certificate to, since 1970.
        now: Duration,
    },
}

/// What to list, and how.
#[derive(Debug, Clone)]
pub struct Options<'a> {
    /// SHA-256, `BLAKE2b` or BLAKE3: the reference reads no others.
    pub algorithm: Algorithm,
    /// Whole files, or shards; not with BLAKE3, which the reference never shards.
    pub serialization: Serialization,
    /// Whether symbolic links to files in the tree are listed as the files they stand for.
    pub allow_symlinks: bool,
    /// Files of a directory to list, by name; all that aren't ignored without.
    pub files: Option<&'a [&'a str]>,
    /// Paths that are left out, and may be there when it is verified.
    pub ignored: Ignored,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self {
            algorithm: Algorithm::Sha256,
            serialization: Serialization::Files,
            allow_symlinks: false,
            files: None,
            ignored: Ignored::default(),
        }
    }
}

/// The bundle that signs the directory or file at `root`: the bytes of a `model.sig`.
///
/// # Errors
/// [`ManifestError`]: `statement_unsupported` for what the reference can't read, `key_unsuitable`,
/// `bundle_too_large`, `ambiguous_name`, `empty`, `unshardable`, `file_…`, `symlink…`, `io`, `unreadable`, `cancelled`, and
/// the codes of certificates.
pub fn sign(
    root: &Path,
    signing: &Signing<'_>,
    options: &Options<'_>,
    progress: Progress<'_>,
) -> Result<Vec<u8>, ManifestError> {
    supported(options)?;
    let (key, material) = material(signing)?;
    let tree = Tree::open(root)?;
    let paths = paths(&tree, options)?;
    let jobs = jobs(&tree, &paths, options)?;
    let digests = hashing::run(
        &tree,
        options.allow_symlinks,
        options.algorithm,
        &jobs,
        progress,
    )?;
    let mut files: BTreeMap<String, Vec<Piece>> = BTreeMap::new();
    for (job, digest) in jobs.into_iter().zip(digests) {
        files.entry(job.path.to_owned()).or_default().push(Piece {
            range: job.range,
            digest,
        });
    }
    let statement = Statement {
        name: model_name(root),
        root: Statement::root_of(&files),
        algorithm: options.algorithm,
        serialization: options.serialization,
        allow_symlinks: options.allow_symlinks,
        ignore_paths: if tree.is_directory() {
            options.ignored.paths()
        } else {
            Vec::new()
        },
        files,
    };
    let payload = statement.write();
    // What is signed reads back as what was meant; nothing is signed that would be refused.
    Statement::read(&payload)?;
    let message = envelope::pre_authentication_encoding(&payload);
    let signature = key
        .sign_message(Scheme::Ecdsa, &message)
        .map_err(|error| unsigned(key, &error))?;
    let bundle = Bundle::write(&material, &payload, &signature);
    if bundle.len() > LARGEST_BUNDLE {
        return Err(TOO_LARGE);
    }
    Ok(bundle)
}

fn supported(options: &Options<'_>) -> Result<(), ManifestError> {
    let reason = match (options.algorithm, options.serialization) {
        (Algorithm::Sha384 | Algorithm::Sha512, _) => {
            format!("other implementations don't read {}", options.algorithm)
        }
        (Algorithm::Blake3, Serialization::Shards { .. }) => {
            "other implementations don't read shards of blake3".to_owned()
        }
        (_, Serialization::Shards { size: 0 }) => "its shards would have no bytes".to_owned(),
        _ => return Ok(()),
    };
    Err(ManifestError::StatementUnsupported { reason })
}

fn material<'a>(signing: &Signing<'a>) -> Result<(&'a PrivateKey, Material), ManifestError> {
    match *signing {
        Signing::Key(key) => {
            trust::suits(key.public())?;
            let hint = Some(trust::hint_of(key.public())?);
            Ok((key, Material::Key { hint }))
        }
        Signing::Certificate { key, chain, now } => {
            trust::suits(key.public())?;
            let chain = chain.of_key(key.public(), now)?;
            Ok((key, Material::Chain(chain)))
        }
    }
}

/// The names to list.
fn paths(tree: &Tree, options: &Options<'_>) -> Result<Vec<String>, ManifestError> {
    let paths: Vec<String> = match options.files {
        _ if !tree.is_directory() => vec![name::SINGLE.to_owned()],
        Some(files) => files.iter().map(|&file| file.to_owned()).collect(),
        None => tree
            .files(&options.ignored.with(&[]), options.allow_symlinks)?
            .into_iter()
            .map(|path| {
                String::from_utf8(path).map_err(|error| ManifestError::AmbiguousName {
                    name: name::shown(error.as_bytes()),
                    reason: "it is no UTF-8",
                })
            })
            .collect::<Result<_, _>>()?,
    };
    if paths.is_empty() {
        return Err(ManifestError::Empty {
            path: tree.path().to_owned(),
        });
    }
    for path in &paths {
        if path != name::SINGLE || tree.is_directory() {
            name::check(path).map_err(|reason| ManifestError::AmbiguousName {
                name: text::shown(path),
                reason,
            })?;
        }
    }
    Ok(paths)
}

fn jobs<'a>(
    tree: &Tree,
    paths: &'a [String],
    options: &Options<'_>,
) -> Result<Vec<Job<'a>>, ManifestError> {
    let mut jobs = Vec::new();
    for path in paths {
        let size = tree.file(path, options.allow_symlinks)?.size();
        let whole = |range, bytes, last| Job {
            path,
            range,
            last,
            bytes,
            expected: None::<Digest>,
        };
        let Serialization::Shards { size: shard } = options.serialization else {
            jobs.push(whole(None, size, true));
            continue;
        };
        let unshardable = |reason| ManifestError::Unshardable {
            name: text::shown(path),
            reason,
        };
        if size == 0 {
            return Err(unshardable("it is empty"));
        }
        if path.contains(':') {
            return Err(unshardable("a colon in it reads as a shard's"));
        }
        let mut start = 0;
        while start < size {
            if jobs.len() >= MOST_PIECES {
                return Err(TOO_LARGE);
            }
            let end = start.saturating_add(shard).min(size);
            jobs.push(whole(Some(start..end), end - start, end == size));
            start = end;
        }
    }
    Ok(jobs)
}

/// What the directory or file is called, for people.
fn model_name(root: &Path) -> String {
    root.canonicalize()
        .ok()
        .as_deref()
        .unwrap_or(root)
        .file_name()
        .map_or_else(|| "model".into(), OsStr::to_string_lossy)
        .into_owned()
}

fn unsigned(key: &PrivateKey, error: &SignatureError) -> ManifestError {
    ManifestError::SignatureInvalid {
        signer: format!("the key {}: {error}", key.id()),
    }
}
