//! Paths that nobody has to have signed.

use std::{collections::BTreeSet, path::Path};

use super::{ManifestError, name, text, tree};

/// Paths, relative to a tree, that may be there without being listed; a directory stands for all
/// that is in it. A file that is listed is checked all the same.
#[derive(Debug, Clone, Default)]
pub struct Ignored(BTreeSet<Vec<u8>>);

impl Ignored {
    /// What git keeps beside a model, and the reference ignores.
    pub const GIT: [&str; 4] = [".git", ".gitattributes", ".github", ".gitignore"];

    /// Adds a path.
    ///
    /// # Errors
    /// [`ManifestError::AmbiguousName`] where it is absolute, leaves the tree, or isn't spelt
    /// plainly.
    pub fn add(&mut self, path: &str) -> Result<(), ManifestError> {
        // As completed by a shell.
        let path = path.strip_suffix('/').unwrap_or(path);
        name::check(path).map_err(|reason| ManifestError::AmbiguousName {
            name: text::shown(path),
            reason,
        })?;
        self.0.insert(path.as_bytes().to_vec());
        Ok(())
    }

    /// Adds the signature's own file, where it lies inside the tree at `root`.
    pub fn signature(&mut self, root: &Path, file: &Path) {
        self.0.extend(tree::inside(root, file));
    }

    /// These and those of a statement.
    pub(super) fn with(&self, others: &[String]) -> BTreeSet<Vec<u8>> {
        let others = others.iter().map(|path| path.as_bytes().to_vec());
        self.0.iter().cloned().chain(others).collect()
    }

    /// Those that can be written into a statement.
    pub(super) fn paths(&self) -> Vec<String> {
        self.0
            .iter()
            .filter_map(|path| String::from_utf8(path.clone()).ok())
            .collect()
    }
}
