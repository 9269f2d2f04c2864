//! A statement whose signer is known, and what it is held against.

use std::{collections::BTreeSet, path::Path};

use crate::{Algorithm, Digest, Hasher};

use super::{
    Evidence, Ignored, ManifestError, Serialization, Signer,
    hashing::{self, Job, Progress},
    name,
    statement::{Piece, Statement},
    text,
    tree::Tree,
};

/// What of a tree has to be as it was signed.
#[derive(Debug, Clone, Copy)]
pub enum Scope<'a> {
    /// Every file that is listed, and no other file may be there.
    Everything,
    /// These files, by their names in the list. Nothing else is opened, nor looked at: for a load
    /// of some of a model's files, as of the parts of a split model.
    Files(&'a [&'a str]),
}

/// A statement that was signed by someone who is trusted.
#[derive(Debug)]
pub struct Verified {
    signer: Signer,
    statement: Statement,
}

impl Verified {
    pub(super) const fn new(signer: Signer, statement: Statement) -> Self {
        Self { signer, statement }
    }

    /// Who signed it.
    pub const fn signer(&self) -> &Signer {
        &self.signer
    }

    /// What the signer called the model; printable.
    pub fn model(&self) -> String {
        text::shown(&self.statement.name)
    }

    /// SHA-256 over all digests in the statement.
    pub const fn root(&self) -> Digest {
        self.statement.root
    }

    /// What files are hashed with.
    pub const fn algorithm(&self) -> Algorithm {
        self.statement.algorithm
    }

    /// How files are listed.
    pub const fn serialization(&self) -> Serialization {
        self.statement.serialization
    }

    /// The files that were signed, in order; `.` alone for a single file.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.statement.files.keys().map(String::as_str)
    }

    /// The digest of a file that a load is about to read: what is read is then held to it, in the
    /// same pass, so that nothing can change between this check and its use.
    ///
    /// # Errors
    /// [`ManifestError::NotListed`]; [`ManifestError::StatementUnsupported`] where the file is listed
    /// in shards, and [`check_bytes`](Self::check_bytes) has to see its bytes.
    pub fn digest(&self, name: &str) -> Result<Digest, ManifestError> {
        match self.pieces(name)? {
            [
                Piece {
                    range: None,
                    digest,
                },
            ] => Ok(*digest),
            _ => Err(ManifestError::StatementUnsupported {
                reason: format!("\"{}\" is listed in shards", text::shown(name)),
            }),
        }
    }

    /// Holds the bytes of a file that was read, as an image of it has them, to what was signed.
    ///
    /// # Errors
    /// [`ManifestError`]: `not_listed`, `file_differs`.
    pub fn check_bytes(&self, name: &str, bytes: &[u8]) -> Result<(), ManifestError> {
        let differs = |reason: String| ManifestError::FileDiffers {
            name: text::shown(name),
            reason,
        };
        let pieces = self.pieces(name)?;
        for piece in pieces {
            let part = match &piece.range {
                None => Some(bytes),
                Some(range) => usize::try_from(range.start)
                    .ok()
                    .zip(usize::try_from(range.end).ok())
                    .and_then(|(start, end)| bytes.get(start..end)),
            };
            let part = part.ok_or_else(|| differs("it is shorter than what was signed".into()))?;
            let found = Hasher::digest(self.statement.algorithm, part);
            piece
                .digest
                .verify(&found)
                .map_err(|_| differs(format!("it has {found}, and {} was signed", piece.digest)))?;
        }
        let end = pieces.last().and_then(|piece| piece.range.as_ref());
        match end {
            Some(range) if range.end != bytes.len() as u64 => {
                Err(differs("it is longer than what was signed".into()))
            }
            _ => Ok(()),
        }
    }

    /// Holds the tree at `root` to what was signed.
    ///
    /// `progress` is called in this thread with bytes done and in all; its `Break` ends the work.
    ///
    /// # Errors
    /// [`ManifestError`]: `file_…`, `symlink…`, `not_listed`, `empty`, `other_kind`, `tree_too_large`, `io`,
    /// `unreadable`, `cancelled`.
    pub fn check(
        &self,
        root: &Path,
        scope: Scope<'_>,
        ignored: &Ignored,
        progress: Progress<'_>,
    ) -> Result<Evidence, ManifestError> {
        let tree = Tree::open(root)?;
        self.same_kind(&tree)?;
        let follow = self.statement.allow_symlinks;
        let names: Vec<&str> = match scope {
            Scope::Everything => {
                if tree.is_directory() {
                    self.nothing_else(&tree, ignored)?;
                }
                self.names().collect()
            }
            Scope::Files(names) => {
                let distinct: BTreeSet<&str> = names.iter().copied().collect();
                distinct.into_iter().collect()
            }
        };
        // Nothing proves nothing.
        if names.is_empty() {
            return Err(ManifestError::Empty {
                path: tree.path().to_owned(),
            });
        }
        let mut jobs = Vec::new();
        for &name in &names {
            let pieces = self.pieces(name)?;
            // Everything that is missing or no file is found before anything is hashed.
            let size = tree.file(name, follow)?.size();
            for (index, piece) in pieces.iter().enumerate() {
                jobs.push(Job {
                    path: name,
                    range: piece.range.clone(),
                    last: index + 1 == pieces.len(),
                    bytes: piece
                        .range
                        .as_ref()
                        .map_or(size, |range| range.end - range.start),
                    expected: Some(piece.digest),
                });
            }
        }
        hashing::run(&tree, follow, self.statement.algorithm, &jobs, progress)?;
        Ok(Evidence {
            signer: self.signer.clone(),
            model: self.model(),
            root: self.statement.root,
            algorithm: self.statement.algorithm,
            serialization: self.statement.serialization,
            files: names.len(),
            listed: self.statement.files.len(),
            bytes: jobs.iter().map(|job| job.bytes).sum(),
        })
    }

    fn pieces(&self, name: &str) -> Result<&[Piece], ManifestError> {
        self.statement
            .files
            .get(name)
            .map(Vec::as_slice)
            .ok_or_else(|| ManifestError::NotListed {
                name: text::shown(name),
            })
    }

    fn same_kind(&self, tree: &Tree) -> Result<(), ManifestError> {
        let (signed, found) = match (self.statement.is_single(), tree.is_directory()) {
            (true, true) => ("a single file", "a directory"),
            (false, false) => ("a directory", "a file"),
            _ => return Ok(()),
        };
        Err(ManifestError::OtherKind {
            signed,
            path: tree.path().to_owned(),
            found,
        })
    }

    /// Refuses a tree with a file that is neither listed nor ignored.
    fn nothing_else(&self, tree: &Tree, ignored: &Ignored) -> Result<(), ManifestError> {
        let ignored = ignored.with(&self.statement.ignore_paths);
        let files = tree.files(&ignored, self.statement.allow_symlinks)?;
        let listed = |path: &[u8]| {
            std::str::from_utf8(path).is_ok_and(|path| self.statement.files.contains_key(path))
        };
        let mut unlisted = files.iter().filter(|path| !listed(path));
        match unlisted.next() {
            None => Ok(()),
            Some(first) => Err(ManifestError::FileUnlisted {
                name: name::shown(first),
                more: unlisted.count(),
            }),
        }
    }
}
