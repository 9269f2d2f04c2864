//! The in-toto statement: which files, with which digests.

use std::{collections::BTreeMap, fmt, ops::Range};

use serde_json::json;

use crate::{Algorithm, Digest, Hasher};

use super::{
    ManifestError,
    json::{self, At, Malformed, Object, Value},
    name, text,
};

const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
const PREDICATE_TYPE: &str = "https://model_signing/signature/v1.0";

/// Names and hexadecimal digits are bounded by these, paths by [`name::check`].
const LONGEST_WORD: usize = 256;
const LONGEST_NAME: usize = 4200;

/// What a statement lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Serialization {
    /// Each file, with its digest.
    Files,
    /// Each shard of each file, with its digest.
    Shards {
        /// Bytes of every shard of a file but its last.
        size: u64,
    },
}

impl fmt::Display for Serialization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Files => "files",
            Self::Shards { .. } => "shards",
        })
    }
}

/// Some bytes of one file, or all of them, and their digest.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    /// The bytes; `None` for all.
    pub(super) range: Option<Range<u64>>,
    pub(super) digest: Digest,
}

/// What was signed, understood: every name is safe, every file covered once, and the root is right.
#[derive(Debug)]
pub(super) struct Statement {
    pub(super) name: String,
    pub(super) root: Digest,
    pub(super) algorithm: Algorithm,
    pub(super) serialization: Serialization,
    pub(super) allow_symlinks: bool,
    pub(super) ignore_paths: Vec<String>,
    /// By path; the pieces of each in order.
    pub(super) files: BTreeMap<String, Vec<Piece>>,
}

impl Statement {
    /// Reads a payload whose signature was verified.
    pub(super) fn read(payload: &[u8]) -> Result<Self, ManifestError> {
        let at = &At::Root;
        let malformed = ManifestError::statement;
        let mut fields = json::parse(payload)
            .and_then(|value| value.object(at))
            .map_err(malformed)?;
        let kind = fields.text(at, "_type", LONGEST_WORD).map_err(malformed)?;
        let predicate_type = fields
            .text(at, "predicateType", LONGEST_WORD)
            .map_err(malformed)?;
        for (found, known) in [(kind, STATEMENT_TYPE), (predicate_type, PREDICATE_TYPE)] {
            if found != known {
                return Err(ManifestError::StatementUnsupported {
                    reason: format!("it is of \"{}\", not {known}", text::shown(&found)),
                });
            }
        }
        let (name, root) = fields
            .field(at, "subject")
            .and_then(|value| subject(value, &At::Field(at, "subject")))
            .map_err(malformed)?;
        let predicate = fields.field(at, "predicate").map_err(malformed)?;
        fields.finish(at).map_err(malformed)?;
        let at = &At::Field(at, "predicate");
        // Of fields that v1.0 doesn't know, the specification says to ignore them.
        let mut predicate = predicate.object(at).map_err(malformed)?;
        let serialization = predicate.field(at, "serialization").map_err(malformed)?;
        let resources = predicate.field(at, "resources").map_err(malformed)?;
        let parameters = Parameters::read(serialization, &At::Field(at, "serialization"))?;
        let at = &At::Field(at, "resources");
        let resources = resources.array(at).map_err(malformed)?;
        if resources.is_empty() {
            return Err(malformed(at.malformed("it lists nothing")));
        }
        let mut hasher = Hasher::new(Algorithm::Sha256);
        let mut files: BTreeMap<String, Vec<Piece>> = BTreeMap::new();
        for (index, resource) in resources.into_iter().enumerate() {
            let (path, piece) = parameters.resource(resource, &At::Item(at, index))?;
            hasher.update(piece.digest.as_bytes());
            files.entry(path).or_default().push(piece);
        }
        let found = hasher.finish();
        root.verify(&found).map_err(|_| ManifestError::RootDigest {
            expected: Box::new(root),
            found: Box::new(found),
        })?;
        for (path, pieces) in &mut files {
            parameters.cover(path, pieces)?;
        }
        tree_of(&files)?;
        Ok(Self {
            name,
            root,
            algorithm: parameters.algorithm,
            serialization: parameters.serialization,
            allow_symlinks: parameters.allow_symlinks,
            ignore_paths: parameters.ignore_paths,
            files,
        })
    }

    /// The payload of a statement, as it is signed.
    pub(super) fn write(&self) -> Vec<u8> {
        let mut hash_type = self.algorithm.as_str().to_owned();
        let mut serialization = json!({
            "method": self.serialization.to_string(),
            "hash_type": hash_type,
            "allow_symlinks": self.allow_symlinks,
        });
        if let Serialization::Shards { size } = self.serialization {
            serialization["shard_size"] = json!(size);
            hash_type = sharded(&hash_type, size);
        }
        if !self.ignore_paths.is_empty() {
            serialization["ignore_paths"] = json!(self.ignore_paths);
        }
        let resources: Vec<_> = in_order(&self.files)
            .into_iter()
            .map(|(path, piece)| {
                let name = match &piece.range {
                    Some(range) => name::of_shard(path, range),
                    None => path.clone(),
                };
                json!({ "name": name, "digest": hex(&piece.digest), "algorithm": hash_type })
            })
            .collect();
        json!({
            "_type": STATEMENT_TYPE,
            "subject": [{ "name": self.name, "digest": { "sha256": hex(&self.root) } }],
            "predicateType": PREDICATE_TYPE,
            "predicate": { "serialization": serialization, "resources": resources },
        })
        .to_string()
        .into_bytes()
    }

    /// The digest over all digests, in the order in which they are listed.
    pub(super) fn root_of(files: &BTreeMap<String, Vec<Piece>>) -> Digest {
        let mut hasher = Hasher::new(Algorithm::Sha256);
        for (_, piece) in in_order(files) {
            hasher.update(piece.digest.as_bytes());
        }
        hasher.finish()
    }

    /// Whether one file was signed, rather than a directory.
    pub(super) fn is_single(&self) -> bool {
        self.files.contains_key(name::SINGLE)
    }
}

/// How a statement lists files.
struct Parameters {
    algorithm: Algorithm,
    serialization: Serialization,
    allow_symlinks: bool,
    ignore_paths: Vec<String>,
}

impl Parameters {
    fn read(value: Value<'_>, at: &At<'_>) -> Result<Self, ManifestError> {
        let malformed = ManifestError::statement;
        let mut fields = value.object(at).map_err(malformed)?;
        let method = fields.text(at, "method", LONGEST_WORD).map_err(malformed)?;
        let hash_type = fields
            .text(at, "hash_type", LONGEST_WORD)
            .map_err(malformed)?;
        let Some(algorithm) = Algorithm::ALL
            .into_iter()
            .find(|algorithm| algorithm.as_str() == hash_type)
        else {
            return Err(ManifestError::StatementUnsupported {
                reason: format!("it hashes with \"{}\"", text::shown(&hash_type)),
            });
        };
        let serialization = match &*method {
            "files" => Serialization::Files,
            "shards" => {
                let size = fields
                    .field(at, "shard_size")
                    .and_then(|size| size.whole(&At::Field(at, "shard_size")))
                    .map_err(malformed)?;
                if size == 0 {
                    return Err(malformed(At::Field(at, "shard_size").malformed("it is 0")));
                }
                Serialization::Shards { size }
            }
            other => {
                return Err(ManifestError::StatementUnsupported {
                    reason: format!("it lists by the method \"{}\"", text::shown(other)),
                });
            }
        };
        let allow_symlinks = fields
            .field(at, "allow_symlinks")
            .and_then(|value| value.boolean(&At::Field(at, "allow_symlinks")))
            .map_err(malformed)?;
        let mut ignore_paths = Vec::new();
        if let Some(paths) = fields.optional("ignore_paths") {
            let at = &At::Field(at, "ignore_paths");
            for (index, path) in paths.array(at).map_err(malformed)?.into_iter().enumerate() {
                let path = path
                    .text(&At::Item(at, index), LONGEST_NAME)
                    .map_err(malformed)?;
                name::check(&path).map_err(|reason| not_safe(&path, reason))?;
                ignore_paths.push(path.into_owned());
            }
        }
        fields.finish(at).map_err(malformed)?;
        Ok(Self {
            algorithm,
            serialization,
            allow_symlinks,
            ignore_paths,
        })
    }

    fn resource(&self, value: Value<'_>, at: &At<'_>) -> Result<(String, Piece), ManifestError> {
        let (listed, digest) = self.listed(value, at).map_err(ManifestError::statement)?;
        let refused = |reason| not_safe(&listed, reason);
        let (path, range) = match self.serialization {
            Serialization::Files => (&*listed, None),
            Serialization::Shards { .. } => {
                let (path, range) = name::shard(&listed).map_err(refused)?;
                (path, Some(range))
            }
        };
        if path != name::SINGLE {
            name::check(path).map_err(refused)?;
        }
        Ok((path.to_owned(), Piece { range, digest }))
    }

    fn listed(&self, value: Value<'_>, at: &At<'_>) -> Result<(String, Digest), Malformed> {
        let mut fields = value.object(at)?;
        let name = fields.text(at, "name", LONGEST_NAME)?.into_owned();
        let algorithm = fields.text(at, "algorithm", LONGEST_WORD)?;
        let digits = fields.text(at, "digest", LONGEST_WORD)?;
        fields.finish(at)?;
        let base = self.algorithm.as_str();
        // The reference says the size of the shards once more, in every one of them.
        let known = match self.serialization {
            Serialization::Files => algorithm == base,
            Serialization::Shards { size } => algorithm == base || algorithm == sharded(base, size),
        };
        if !known {
            return Err(At::Field(at, "algorithm").malformed(format!(
                "it is \"{}\", and the statement's is {base}",
                text::shown(&algorithm)
            )));
        }
        let digest = digest(self.algorithm, &digits, &At::Field(at, "digest"))?;
        Ok((name, digest))
    }

    /// Sorts the pieces of one file; they have to cover it once, without a gap.
    fn cover(&self, path: &str, pieces: &mut [Piece]) -> Result<(), ManifestError> {
        let Serialization::Shards { size } = self.serialization else {
            return match pieces {
                [_] => Ok(()),
                _ => Err(not_safe(path, "it is listed twice")),
            };
        };
        pieces.sort_by_key(|piece| piece.range.as_ref().map(|range| range.start));
        let mut expected = 0;
        let last = pieces.len().saturating_sub(1);
        for (index, piece) in pieces.iter().enumerate() {
            let Some(range) = &piece.range else { continue };
            let length = range.end - range.start;
            if range.start != expected || length > size || (index < last && length < size) {
                return Err(not_safe(
                    path,
                    "its shards overlap, leave a gap, or are not of the size that is stated",
                ));
            }
            expected = range.end;
        }
        Ok(())
    }
}

fn not_safe(name: &str, reason: impl Into<String>) -> ManifestError {
    ManifestError::StatementUnsafe {
        name: text::shown(name),
        reason: reason.into(),
    }
}

/// A single file is alone, and no file is inside another.
fn tree_of(files: &BTreeMap<String, Vec<Piece>>) -> Result<(), ManifestError> {
    if files.contains_key(name::SINGLE) && files.len() > 1 {
        return Err(not_safe(name::SINGLE, "it lists other files besides"));
    }
    for path in files.keys() {
        for (position, _) in path.match_indices('/') {
            if files.contains_key(&path[..position]) {
                return Err(not_safe(path, "a directory of it is listed as a file"));
            }
        }
    }
    Ok(())
}

fn subject(value: Value<'_>, at: &At<'_>) -> Result<(String, Digest), Malformed> {
    let mut subjects = value.array(at)?;
    let (Some(subject), true) = (subjects.pop(), subjects.is_empty()) else {
        return Err(at.malformed("it holds no subject, or several"));
    };
    let at = &At::Item(at, 0);
    let mut fields: Object<'_> = subject.object(at)?;
    let name = fields.text(at, "name", LONGEST_NAME)?.into_owned();
    let at_digest = &At::Field(at, "digest");
    let mut digests = fields.field(at, "digest")?.object(at_digest)?;
    fields.finish(at)?;
    let digits = digests.text(at_digest, "sha256", LONGEST_WORD)?;
    digests.finish(at_digest)?;
    let root = digest(Algorithm::Sha256, &digits, &At::Field(at_digest, "sha256"))?;
    Ok((name, root))
}

/// Lower-case hexadecimal digits, as many as the algorithm has.
fn digest(algorithm: Algorithm, digits: &str, at: &At<'_>) -> Result<Digest, Malformed> {
    let mut bytes = vec![0; digits.len() / 2];
    let exact = digits.len() == 2 * algorithm.digest_length();
    match base16ct::lower::decode(digits, &mut bytes) {
        Ok(bytes) if exact => {
            Digest::from_bytes(algorithm, bytes).map_err(|error| at.malformed(error.to_string()))
        }
        _ => Err(at.malformed(format!(
            "it is not {} hexadecimal digits in lower case",
            2 * algorithm.digest_length()
        ))),
    }
}

fn hex(digest: &Digest) -> String {
    base16ct::lower::encode_string(digest.as_bytes())
}

fn sharded(algorithm: &str, size: u64) -> String {
    format!("{algorithm}-sharded-{size}")
}

/// Every piece, paths ordered component by component.
fn in_order(files: &BTreeMap<String, Vec<Piece>>) -> Vec<(&String, &Piece)> {
    let mut paths: Vec<_> = files.iter().collect();
    paths.sort_by(|(one, _), (other, _)| name::order(one, other));
    paths
        .into_iter()
        .flat_map(|(path, pieces)| pieces.iter().map(move |piece| (path, piece)))
        .collect()
}
