//! A URL that may be asked for: https, and written in the one way that everybody reads alike.

use std::{fmt, str::FromStr};

use url::{Host, Url};

use crate::{FetchError, Origin};

/// Longest URL that is read.
const LONGEST: usize = 8192;

const HIDDEN: &str =
    "its path holds an encoded slash, dot, backslash, percent or control character";

/// An https URL without tricks. Shown without its query, which may hold a token.
#[derive(Clone, PartialEq, Eq)]
pub struct Location {
    url: Url,
    origin: Origin,
}

impl Location {
    /// Where it is served.
    pub const fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Path and query, as a request has them.
    pub(crate) fn target(&self) -> String {
        match self.url.query() {
            Some(query) => format!("{}?{query}", self.url.path()),
            None => self.url.path().to_owned(),
        }
    }

    /// All of it, its query included: for hashing, never for showing.
    pub(crate) fn whole(&self) -> &str {
        self.url.as_str()
    }

    /// Whether it names a host and nothing on it.
    pub(crate) fn is_bare(&self) -> bool {
        self.url.path() == "/" && self.url.query().is_none()
    }

    /// The parts of the path.
    pub(crate) fn segments(&self) -> impl Iterator<Item = &str> {
        self.url.path_segments().into_iter().flatten()
    }

    /// Of segments that hold no slash, on `origin`.
    pub(crate) fn build<'a>(
        origin: &Origin,
        segments: impl Iterator<Item = &'a str>,
    ) -> Result<Self, FetchError> {
        let mut text = origin.to_string();
        for segment in segments {
            text.push('/');
            text.extend(percent_encoding::utf8_percent_encode(segment, PLAIN));
        }
        text.parse()
    }

    /// Where a redirect leads from here.
    ///
    /// # Errors
    /// [`FetchError::Redirect`] with the reason.
    pub fn join(&self, target: &str) -> Result<Self, FetchError> {
        let refuse = |reason: &str| FetchError::Redirect {
            url: self.to_string(),
            reason: reason.to_owned(),
        };
        let plain = check_text(target).and_then(|()| match scheme_of(target) {
            Some(scheme) if scheme.eq_ignore_ascii_case("https") => check_authority(target),
            Some(_) => Err("the scheme is not https"),
            None => Ok(()),
        });
        plain.map_err(|reason| refuse(&format!("to what can't be followed: {reason}")))?;
        let mut url = self
            .url
            .join(target)
            .map_err(|_| refuse("to what is no URL"))?;
        url.set_fragment(None);
        Self::checked(url).map_err(|reason| refuse(&format!("to what can't be followed: {reason}")))
    }

    fn checked(url: Url) -> Result<Self, &'static str> {
        if url.scheme() != "https" {
            return Err("the scheme is not https");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("it holds a user's name or password");
        }
        if url.as_str().len() > LONGEST {
            return Err("it is too long");
        }
        match url.host() {
            None => return Err("it has no host"),
            Some(Host::Domain(name)) if name.ends_with('.') => {
                return Err("its host ends in a dot");
            }
            Some(Host::Domain(name)) if name.len() > 253 => return Err("its host is too long"),
            Some(_) => {}
        }
        if url.port() == Some(0) {
            return Err("its port is 0");
        }
        if hides_structure(url.path()) {
            return Err(HIDDEN);
        }
        let origin = Origin::of(&url).ok_or("it has no host")?;
        Ok(Self { url, origin })
    }
}

/// What a path may hold unencoded, of what [`Location::build`] is given.
const PLAIN: &percent_encoding::AsciiSet = &percent_encoding::NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The scheme that a reference begins with.
pub(crate) fn scheme_of(text: &str) -> Option<&str> {
    let (scheme, _) = text.split_once(':')?;
    let mut bytes = scheme.bytes();
    (bytes.next()?.is_ascii_alphabetic()
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte)))
    .then_some(scheme)
}

/// Refuses what parsers of URLs drop or turn into something else.
fn check_text(text: &str) -> Result<(), &'static str> {
    if text.len() > LONGEST {
        return Err("it is too long");
    }
    if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err("it holds a space or a control character");
    }
    if text.contains('\\') {
        return Err("it holds a backslash");
    }
    let path = text.split(['?', '#']).next().unwrap_or_default();
    if path.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Err("its path holds . or ..");
    }
    // Before `url` reads %2e%2e as a step up.
    if hides_structure(path) {
        return Err(HIDDEN);
    }
    Ok(())
}

/// Whether a path is read differently by who decodes it first.
fn hides_structure(path: &str) -> bool {
    path.as_bytes().windows(3).any(|window| match window {
        [b'%', high, low] => {
            match std::str::from_utf8(&[*high, *low]).map(|hex| u8::from_str_radix(hex, 16)) {
                Ok(Ok(byte)) => byte < 0x20 || matches!(byte, 0x7f | b'/' | b'\\' | b'.' | b'%'),
                _ => true,
            }
        }
        _ => false,
    }) || path.ends_with('%')
        || path.len() >= 2 && path.as_bytes()[path.len() - 2] == b'%'
}

/// Refuses authorities that aren't `host` or `host:port`, and hosts in a notation that only some
/// read as the address that it is.
fn check_authority(text: &str) -> Result<(), &'static str> {
    // The scheme was found to be https in some case.
    let Some(rest) = text
        .get("https:".len()..)
        .and_then(|rest| rest.strip_prefix("//"))
    else {
        return Err("https: is followed by // and a host");
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.is_empty() {
        return Err("it has no host");
    }
    if authority.contains('@') {
        return Err("it holds a user's name or password");
    }
    if authority.contains('%') {
        return Err("its host is percent-encoded");
    }
    if authority.ends_with(':') {
        return Err("its port is empty");
    }
    let parsed =
        Url::parse(&format!("https://{authority}")).map_err(|_| "its host can't be read")?;
    let canonical = match parsed.host() {
        Some(Host::Domain(_)) | None => return Ok(()),
        Some(address) => address.to_string(),
    };
    let written = authority.to_ascii_lowercase();
    match written.strip_prefix(&canonical) {
        Some("") => Ok(()),
        Some(port) if port.starts_with(':') => Ok(()),
        _ => Err("its address is written in an unusual way"),
    }
}

impl FromStr for Location {
    type Err = FetchError;

    fn from_str(text: &str) -> Result<Self, FetchError> {
        let refuse = |reason| FetchError::Reference {
            reference: redacted(text),
            reason,
        };
        check_text(text).map_err(refuse)?;
        match scheme_of(text) {
            Some(scheme) if scheme.eq_ignore_ascii_case("https") => {}
            _ => return Err(refuse("the scheme is not https")),
        }
        check_authority(text).map_err(refuse)?;
        let url = Url::parse(text).map_err(|_| refuse("it can't be read as a URL"))?;
        if url.fragment().is_some() {
            return Err(refuse("it has a fragment, which no host is ever sent"));
        }
        Self::checked(url).map_err(refuse)
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin, self.url.path())
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Text that is no URL, for a message: without a query, without what may be a password, and short.
pub(crate) fn redacted(text: &str) -> String {
    let text = text.split(['?', '#']).next().unwrap_or_default();
    let (scheme, rest) = text.split_at(scheme_of(text).map_or(0, |scheme| scheme.len() + 1));
    let rest = match rest.rsplit_once('@') {
        // The revision of hf://, or somebody's password.
        Some((_, after)) if !scheme.eq_ignore_ascii_case("hf:") => format!("//…@{after}"),
        _ => rest.to_owned(),
    };
    let shown: String = format!("{scheme}{rest}").chars().take(120).collect();
    format!("{shown:?}")
}
