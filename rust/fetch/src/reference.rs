//! What a reference names: a file of this machine, or a source on another.

use std::{ffi::OsString, fmt, os::unix::ffi::OsStringExt, path::PathBuf, str::FromStr};

use crate::{
    FetchError, Location, Origin,
    location::{redacted, scheme_of},
};

/// The revision of `hf://` references that name none: the tip of a branch, which moves.
const DEFAULT_REVISION: &str = "main";

/// Longest name of an organisation, a repository or a revision.
const LONGEST_NAME: usize = 96;

/// Where a model is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// A path, or a `file:` URL. Nothing was looked up.
    Local(PathBuf),
    /// On a host.
    Remote(Remote),
}

/// A source on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remote {
    /// `https://…`.
    Https(Location),
    /// `hf://…`.
    HuggingFace(Repository),
}

impl Remote {
    /// Where it is, with `endpoint` for `hf://`.
    ///
    /// # Errors
    /// [`FetchError::Reference`] where both make no URL.
    pub fn location(&self, endpoint: &Origin) -> Result<Location, FetchError> {
        match self {
            Self::Https(location) => Ok(location.clone()),
            Self::HuggingFace(repository) => repository.location(endpoint),
        }
    }
}

impl Remote {
    /// Whose it is, as a policy names it: the kind, `https` or `hf`, and the host, with a port that
    /// isn't 443, or the organisation.
    pub fn owner(&self) -> (&'static str, String) {
        match self {
            Self::Https(location) => ("https", location.origin().authority()),
            Self::HuggingFace(repository) => ("hf", repository.organisation.clone()),
        }
    }
}

impl Remote {
    /// The name that a signed manifest has for it: its path from the folder of `manifest`, where it is
    /// below that on the same host; of a manifest from elsewhere the path within its repository, or the
    /// last part of its URL. None where that is no text.
    pub fn name_in(&self, manifest: Option<&Self>) -> Option<String> {
        let own = self.parts()?;
        let below = manifest
            .filter(|manifest| manifest.is_beside(self))
            .and_then(Self::parts)
            .and_then(|mut folder| {
                folder.pop();
                own.strip_prefix(&folder[..]).map(<[_]>::to_vec)
            });
        let name = match (below, self) {
            (Some(below), _) => below,
            (None, Self::HuggingFace(_)) => own,
            (None, Self::Https(_)) => own.into_iter().next_back().into_iter().collect(),
        };
        Some(name.join("/"))
    }

    /// Whether both are of one host, or of one revision of one repository.
    fn is_beside(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Https(one), Self::Https(other)) => one.origin() == other.origin(),
            (Self::HuggingFace(one), Self::HuggingFace(other)) => {
                (&one.organisation, &one.name, &one.revision)
                    == (&other.organisation, &other.name, &other.revision)
            }
            _ => false,
        }
    }

    /// The parts of its path, decoded: no slash is hidden in one.
    fn parts(&self) -> Option<Vec<String>> {
        match self {
            Self::Https(location) => location
                .segments()
                .map(|part| {
                    let decoded = percent_encoding::percent_decode_str(part).decode_utf8();
                    decoded.ok().map(std::borrow::Cow::into_owned)
                })
                .collect(),
            Self::HuggingFace(repository) => {
                Some(repository.file.split('/').map(str::to_owned).collect())
            }
        }
    }
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Https(location) => location.fmt(f),
            Self::HuggingFace(repository) => repository.fmt(f),
        }
    }
}

/// A file in a repository of Hugging Face, or of a mirror of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    organisation: String,
    name: String,
    file: String,
    revision: String,
}

impl Repository {
    /// Whose it is.
    pub fn organisation(&self) -> &str {
        &self.organisation
    }

    /// `{endpoint}/{organisation}/{repository}/resolve/{revision}/{file}`.
    fn location(&self, endpoint: &Origin) -> Result<Location, FetchError> {
        let head = [
            self.organisation.as_str(),
            self.name.as_str(),
            "resolve",
            self.revision.as_str(),
        ];
        Location::build(endpoint, head.into_iter().chain(self.file.split('/')))
    }

    /// Reads what follows `hf://`.
    fn read(text: &str) -> Result<Self, &'static str> {
        let (path, revision) = match text.split_once('@') {
            Some((_, revision)) if revision.contains('@') => {
                return Err("it holds more than one @");
            }
            Some(both) => both,
            None => (text, DEFAULT_REVISION),
        };
        let mut parts = path.splitn(3, '/');
        let (Some(organisation), Some(repository), Some(file)) =
            (parts.next(), parts.next(), parts.next())
        else {
            return Err("hf:// is followed by organisation/repository/file");
        };
        if !is_name(organisation) || !is_name(repository) {
            return Err("its organisation or repository is no name");
        }
        if !is_name(revision) {
            return Err("its revision is no branch, tag or commit that can be named here");
        }
        let sound = |segment: &str| {
            !matches!(segment, "" | "." | "..")
                && !segment
                    .chars()
                    .any(|c| c.is_control() || matches!(c, '\\' | '%' | '?' | '#'))
        };
        if file.len() > 1024 || !file.split('/').all(sound) {
            return Err("its file is no path");
        }
        Ok(Self {
            organisation: organisation.to_owned(),
            name: repository.to_owned(),
            file: file.to_owned(),
            revision: revision.to_owned(),
        })
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            organisation,
            name,
            file,
            revision,
        } = self;
        write!(f, "hf://{organisation}/{name}/{file}@{revision}")
    }
}

/// Letters, digits, `-`, `_` and `.`, beginning with one of the first two.
pub(crate) fn is_name(text: &str) -> bool {
    text.len() <= LONGEST_NAME
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
        && !text.contains("..")
}

impl FromStr for Reference {
    type Err = FetchError;

    /// Reads `https://…`, `hf://organisation/repository/file@revision`, `file:///…`, or a path.
    fn from_str(text: &str) -> Result<Self, FetchError> {
        let refuse = |reason| FetchError::Reference {
            reference: redacted(text),
            reason,
        };
        let Some(scheme) = scheme_of(text) else {
            return path(text.into()).map(Self::Local).map_err(refuse);
        };
        let rest = &text[scheme.len() + 1..];
        match scheme.to_ascii_lowercase().as_str() {
            "https" => text.parse().map(Remote::Https).map(Self::Remote),
            "hf" => rest
                .strip_prefix("//")
                .ok_or("hf: is followed by //")
                .and_then(Repository::read)
                .map(Remote::HuggingFace)
                .map(Self::Remote)
                .map_err(refuse),
            "file" => file_url(rest).map(Self::Local).map_err(refuse),
            "http" => Err(refuse(
                "http is neither authenticated nor private, use https",
            )),
            _ => Err(refuse("the scheme is none of https, hf and file")),
        }
    }
}

/// The path of a `file:` URL, of which `rest` follows the colon.
fn file_url(rest: &str) -> Result<PathBuf, &'static str> {
    let encoded = match rest.strip_prefix("//") {
        Some(rest) if rest.starts_with('/') => rest,
        Some(_) => return Err("a file: URL names no host, and its path begins with /"),
        None if rest.starts_with('/') => rest,
        None => return Err("the path of a file: URL begins with /"),
    };
    if encoded.contains(['?', '#', '\\']) {
        return Err("a file: URL has no query, fragment or backslash");
    }
    let bytes: Vec<u8> = percent_encoding::percent_decode_str(encoded).collect();
    let slashes = |bytes: &[u8]| bytes.split(|&byte| byte == b'/').count();
    if slashes(&bytes) != slashes(encoded.as_bytes()) {
        return Err("its path holds an encoded slash");
    }
    path(OsString::from_vec(bytes))
}

fn path(text: OsString) -> Result<PathBuf, &'static str> {
    let bytes = text.as_encoded_bytes();
    if bytes.is_empty() {
        return Err("it is empty");
    }
    if bytes.contains(&0) {
        return Err("it holds a NUL");
    }
    Ok(text.into())
}
