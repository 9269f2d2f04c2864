//! Why a source can't be fetched.

use std::{io, net::IpAddr, path::PathBuf, time::Duration};

use strongroom_verify::VerifyError;

use crate::Location;

/// Every code that this crate adds; those of [`VerifyError`] pass through it.
pub const CODES: &[&str] = &[
    "fetch.address",
    "fetch.ca_file",
    "fetch.cache",
    "fetch.cache_unsafe",
    "fetch.cancelled",
    "fetch.connect",
    "fetch.encoding",
    "fetch.host",
    "fetch.incomplete",
    "fetch.no_space",
    "fetch.organisation",
    "fetch.overlong",
    "fetch.pin",
    "fetch.policy",
    "fetch.protocol",
    "fetch.redirect",
    "fetch.reference",
    "fetch.resolve",
    "fetch.side_file",
    "fetch.status",
    "fetch.timeout",
    "fetch.tls",
    "fetch.too_large",
    "fetch.too_slow",
];

/// Why a caller's check refused what was downloaded, in the words of whoever checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unproved {
    /// The checker's stable code.
    pub code: &'static str,
    /// What failed.
    pub message: String,
    /// What the caller can do about it.
    pub next_step: String,
    /// Whether the bytes stay as they are, to be checked again: the check could not be made.
    pub kept: bool,
}

/// Why a source can't be fetched. A `url` in it is shown without its query.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// No source can be read out of the text.
    #[error("{reference} is no source: {reason}")]
    Reference {
        /// As given, without what may be a secret.
        reference: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A value of the policy that can't be meant.
    #[error("{what} can't be used: {reason}")]
    Policy {
        /// Which value.
        what: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The certificates to trust can't be read.
    #[error("no certificates can be read from {path:?}: {reason}")]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The policy doesn't name the host.
    #[error("{url} is on a host that is not allowed: {origin}")]
    Host {
        /// What was asked for.
        url: String,
        /// Where it is.
        origin: String,
    },
    /// The policy doesn't name the organisation.
    #[error("the organisation {organisation:?} is not allowed")]
    Organisation {
        /// Its name.
        organisation: String,
    },
    /// The host is at an address that may only be reached when the policy names it.
    #[error("{host} is at {address}, which is {kind}")]
    Address {
        /// The host.
        host: String,
        /// Its address.
        address: IpAddr,
        /// What it is.
        kind: &'static str,
    },
    /// The host has no address.
    #[error("{host} has no address: {reason}")]
    Resolve {
        /// The host.
        host: String,
        /// What the resolver said.
        reason: String,
    },
    /// The host doesn't answer.
    #[error("no connection to {host}: {reason}")]
    Connect {
        /// The host.
        host: String,
        /// What the system said.
        reason: String,
    },
    /// The host can't prove who it is, or speaks no TLS that is safe.
    #[error("no safe connection to {host}: {reason}")]
    Tls {
        /// The host.
        host: String,
        /// The peer's mistake.
        reason: String,
    },
    /// The certificate is valid, but no key of its chain is pinned.
    #[error("{host} shows a valid certificate, but none of its keys is pinned")]
    Pin {
        /// The host.
        host: String,
    },
    /// A redirect that leads nowhere, or one too many.
    #[error("{url} redirects {reason}")]
    Redirect {
        /// What redirected.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The host has no such file, or doesn't give it.
    #[error("{url} was answered with status {status}")]
    Status {
        /// What was asked for.
        url: String,
        /// The status.
        status: u16,
    },
    /// The answer is no HTTP, or contradicts itself.
    #[error("{url} was answered with nonsense: {reason}")]
    Protocol {
        /// What was asked for.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The answer is encoded, though that was not allowed.
    #[error("{url} was answered with an encoding that was not asked for")]
    Encoding {
        /// What was asked for.
        url: String,
    },
    /// More bytes than are permitted.
    #[error("{url} has {} bytes than the {limit} that are permitted", more(*.declared))]
    TooLarge {
        /// What was asked for.
        url: String,
        /// The length that was declared, if one was.
        declared: Option<u64>,
        /// What is permitted.
        limit: u64,
    },
    /// A signature or a manifest has more bytes than any has.
    #[error("{url} is longer than the {limit} bytes that such a file can have")]
    SideFile {
        /// What was asked for.
        url: String,
        /// What is permitted.
        limit: u64,
    },
    /// The connection ended before the body did.
    #[error("{url} ended after {received} bytes{}", of(*.declared))]
    Incomplete {
        /// What was asked for.
        url: String,
        /// Bytes that arrived, those of earlier attempts included.
        received: u64,
        /// The length that was declared, if one was.
        declared: Option<u64>,
    },
    /// Bytes follow where the body should have ended.
    #[error("{url} has more than the {declared} bytes that it declared")]
    Overlong {
        /// What was asked for.
        url: String,
        /// The length that was declared.
        declared: u64,
    },
    /// A deadline passed.
    #[error("{url} took longer than {limit:?} to {stage}")]
    Timeout {
        /// What was asked for.
        url: String,
        /// What it should have done.
        stage: &'static str,
        /// The deadline.
        limit: Duration,
    },
    /// Bytes come, but too few.
    #[error(
        "{url} sent {received} bytes in {window:?}, fewer than the {minimum} that are required"
    )]
    TooSlow {
        /// What was asked for.
        url: String,
        /// Bytes that came in the window.
        received: u64,
        /// The time they took.
        window: Duration,
        /// The least that is required.
        minimum: u64,
    },
    /// The caller's progress callback asked for the end.
    #[error("fetching {url} was cancelled")]
    Cancelled {
        /// What was asked for.
        url: String,
    },
    /// The cache's file system is full, or a limit of this process is reached.
    #[error("{path:?} has no room for the download: {reason}")]
    NoSpace {
        /// The cache.
        path: PathBuf,
        /// What is missing.
        reason: String,
    },
    /// The cache's file system refused something else.
    #[error("can't {action} {path:?}: {error}")]
    Cache {
        /// What was tried.
        action: &'static str,
        /// For which file.
        path: PathBuf,
        /// The kernel's answer.
        error: io::Error,
    },
    /// Other users could change what is in the cache.
    #[error("the cache {path:?} can't be trusted: {reason}")]
    CacheUnsafe {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The bytes have another digest than the one that was named.
    #[error(transparent)]
    Checksum(#[from] VerifyError),
    /// The caller's check refused the bytes.
    #[error("{}", .0.message)]
    Unproved(Unproved),
}

fn more(declared: Option<u64>) -> String {
    declared.map_or_else(
        || "more".to_owned(),
        |declared| format!("{declared} bytes, more"),
    )
}

fn of(declared: Option<u64>) -> String {
    declared.map_or_else(String::new, |declared| format!(" of {declared}"))
}

impl FetchError {
    /// The kernel's refusal of `action`, for a file of the cache.
    pub(crate) fn io(action: &'static str, path: PathBuf, error: impl Into<io::Error>) -> Self {
        let error = error.into();
        match error.kind() {
            io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::FileTooLarge => Self::NoSpace {
                path,
                reason: error.to_string(),
            },
            _ => Self::Cache {
                action,
                path,
                error,
            },
        }
    }

    /// The system's refusal of what asking a host takes.
    pub(crate) fn no_room(location: &Location, error: &io::Error) -> Self {
        Self::Connect {
            host: location.origin().host(),
            reason: format!("this process has no room for it: {error}"),
        }
    }

    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Reference { .. } => "fetch.reference",
            Self::Policy { .. } => "fetch.policy",
            Self::CaFile { .. } => "fetch.ca_file",
            Self::Host { .. } => "fetch.host",
            Self::Organisation { .. } => "fetch.organisation",
            Self::Address { .. } => "fetch.address",
            Self::Resolve { .. } => "fetch.resolve",
            Self::Connect { .. } => "fetch.connect",
            Self::Tls { .. } => "fetch.tls",
            Self::Pin { .. } => "fetch.pin",
            Self::Redirect { .. } => "fetch.redirect",
            Self::Status { .. } => "fetch.status",
            Self::Protocol { .. } => "fetch.protocol",
            Self::Encoding { .. } => "fetch.encoding",
            Self::TooLarge { .. } => "fetch.too_large",
            Self::SideFile { .. } => "fetch.side_file",
            Self::Incomplete { .. } => "fetch.incomplete",
            Self::Overlong { .. } => "fetch.overlong",
            Self::Timeout { .. } => "fetch.timeout",
            Self::TooSlow { .. } => "fetch.too_slow",
            Self::Cancelled { .. } => "fetch.cancelled",
            Self::NoSpace { .. } => "fetch.no_space",
            Self::Cache { .. } => "fetch.cache",
            Self::CacheUnsafe { .. } => "fetch.cache_unsafe",
            Self::Checksum(error) => error.code(),
            Self::Unproved(unproved) => unproved.code,
        }
    }

    /// What the caller can do about it.
    pub fn next_step(&self) -> String {
        let fixed = match self {
            Self::Host { origin, .. } => {
                return format!(
                    "if you trust it, name {origin} in the hosts of the settings' sources"
                );
            }
            Self::Organisation { organisation } => {
                return format!(
                    "if you trust it, name {organisation} in the hf_organisations of the settings' sources"
                );
            }
            Self::Checksum(error) => return error.next_step(),
            Self::Unproved(unproved) => return unproved.next_step.clone(),
            Self::Reference { .. } => {
                "write https://host/path, hf://organisation/repository/file@revision, file:///path, or a path"
            }
            Self::Policy { .. } => "correct the settings' sources",
            Self::CaFile { .. } => "give a file of PEM certificates",
            Self::Address { .. } => {
                "if the host is yours, name it and its network in danger_allow_addresses; if not, somebody redirects you into your own network"
            }
            Self::Resolve { .. } => "check the host's name and this machine's resolver",
            Self::Connect { .. } => "check the network and the host's port, then try again",
            Self::Tls { .. } => {
                "check the clock; for a certificate authority of your own, name its file in ca_file"
            }
            Self::Pin { .. } => {
                "ask the host's operator whether its keys changed before you change the pins"
            }
            Self::Redirect { .. } => "name the file's final place",
            Self::Status { .. } => {
                "check the name and the revision; what needs an account has to be downloaded by hand"
            }
            Self::Protocol { .. } | Self::Encoding { .. } | Self::Overlong { .. } => {
                "try again; if it stays, the host is broken or hostile"
            }
            Self::TooLarge { .. } => {
                "raise max_size in the settings' sources, or take a smaller model"
            }
            Self::SideFile { .. } => "name the URL of the signature or the manifest itself",
            Self::Incomplete { .. } | Self::Timeout { .. } | Self::TooSlow { .. } => {
                "try again: a download whose host allows it goes on where it ended"
            }
            Self::Cancelled { .. } => "start again when it should go on",
            Self::NoSpace { .. } => "free space, or name another cache; then the download goes on",
            Self::Cache { .. } => "check the cache directory and the limits of this process",
            Self::CacheUnsafe { .. } => {
                "name a directory that nobody else can write to (mode 0700) or put another in the place of"
            }
        };
        fixed.to_owned()
    }
}

/// Text of a peer or the system, for a message: on one line and not long.
pub(crate) fn shown(text: &str) -> String {
    text.chars()
        .take(200)
        .flat_map(char::escape_debug)
        .collect::<String>()
        .replace("\\'", "'")
        .replace("\\\"", "\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_are_those_of_the_errors() {
        let text = String::new;
        let path = PathBuf::new;
        let limit = Duration::from_secs(1);
        let errors = [
            FetchError::Address {
                host: text(),
                address: IpAddr::from([127, 0, 0, 1]),
                kind: "this machine",
            },
            FetchError::CaFile {
                path: path(),
                reason: text(),
            },
            FetchError::io("read", path(), io::Error::from(io::ErrorKind::Other)),
            FetchError::CacheUnsafe {
                path: path(),
                reason: "it is another's",
            },
            FetchError::Cancelled { url: text() },
            FetchError::Connect {
                host: text(),
                reason: text(),
            },
            FetchError::Encoding { url: text() },
            FetchError::Host {
                url: text(),
                origin: text(),
            },
            FetchError::Incomplete {
                url: text(),
                received: 1,
                declared: Some(2),
            },
            FetchError::io("write", path(), io::Error::from(io::ErrorKind::StorageFull)),
            FetchError::Organisation {
                organisation: text(),
            },
            FetchError::Overlong {
                url: text(),
                declared: 1,
            },
            FetchError::Pin { host: text() },
            FetchError::Policy {
                what: text(),
                reason: "it is odd",
            },
            FetchError::Protocol {
                url: text(),
                reason: text(),
            },
            FetchError::Redirect {
                url: text(),
                reason: text(),
            },
            FetchError::Reference {
                reference: text(),
                reason: "it is odd",
            },
            FetchError::Resolve {
                host: text(),
                reason: text(),
            },
            FetchError::SideFile {
                url: text(),
                limit: 1,
            },
            FetchError::Status {
                url: text(),
                status: 404,
            },
            FetchError::Timeout {
                url: text(),
                stage: "answer",
                limit,
            },
            FetchError::Tls {
                host: text(),
                reason: text(),
            },
            FetchError::TooLarge {
                url: text(),
                declared: None,
                limit: 1,
            },
            FetchError::TooSlow {
                url: text(),
                received: 1,
                window: limit,
                minimum: 2,
            },
        ];
        assert_eq!(errors.each_ref().map(FetchError::code), CODES);
        assert!(CODES.is_sorted());
        for error in errors {
            assert!(!error.to_string().is_empty());
            assert_ne!(error.to_string(), error.next_step());
        }
    }
}
