//! Judging the head of an answer, before any of its body is read.

use hyper::{
    StatusCode,
    header::{
        CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderMap, HeaderName, LOCATION,
        TRANSFER_ENCODING,
    },
};

/// Longest validator that is kept.
const LONGEST_VALIDATOR: usize = 256;

/// Which version of a file a host has, byte by byte: a strong `ETag`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Validator(String);

impl Validator {
    /// Reads a strong `ETag`; a weak one promises no equal bytes.
    pub fn read(text: &str) -> Option<Self> {
        let inner = text.strip_prefix('"')?.strip_suffix('"')?;
        (text.len() <= LONGEST_VALIDATOR
            && inner
                .bytes()
                .all(|byte| (0x21..0x7f).contains(&byte) && byte != b'"'))
        .then(|| Self(text.to_owned()))
    }

    /// As it stands in `ETag` and `If-Range`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The rest of a file that a request asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rest {
    /// Bytes that are there already; more than none.
    pub offset: u64,
    /// Bytes of the whole file.
    pub length: u64,
    /// Of the bytes that are there.
    pub validator: Validator,
}

/// What a host answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Ask there. The text is the peer's.
    Redirect(String),
    /// The file from its first byte.
    Whole {
        /// Its declared length; without one it comes in chunks.
        length: Option<u64>,
        /// Its version, where the host names one.
        validator: Option<Validator>,
    },
    /// Exactly the rest that was asked for.
    Part,
    /// Something else than the rest that was asked for: ask for the whole.
    StartOver,
}

/// Why an answer can't be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unusable {
    /// The host refuses, with this status.
    Status(u16),
    /// It contradicts itself, or the request.
    Nonsense(&'static str),
    /// It is encoded.
    Encoded,
    /// It redirects to nowhere.
    Nowhere,
}

/// Judges the head of an answer to a request for `rest`, or for the whole.
///
/// # Errors
/// [`Unusable`].
pub fn judge(
    status: StatusCode,
    headers: &HeaderMap,
    rest: Option<&Rest>,
) -> Result<Answer, Unusable> {
    match status.as_u16() {
        301 | 302 | 303 | 307 | 308 => {
            return one(headers, &LOCATION)?
                .map(|target| Answer::Redirect(target.to_owned()))
                .ok_or(Unusable::Nowhere);
        }
        416 if rest.is_some() => return Ok(Answer::StartOver),
        200 | 206 => {}
        other => return Err(Unusable::Status(other)),
    }
    if one(headers, &CONTENT_ENCODING)?
        .is_some_and(|coding| !coding.eq_ignore_ascii_case("identity"))
    {
        return Err(Unusable::Encoded);
    }
    let length = length(headers)?;
    match (status.as_u16(), rest) {
        (206, None) => Err(Unusable::Nonsense("a part that was not asked for")),
        (206, Some(rest)) => part(headers, rest, length),
        _ => Ok(Answer::Whole {
            length,
            validator: validator(headers)?,
        }),
    }
}

/// Whether a part is the rest that was asked for.
fn part(headers: &HeaderMap, rest: &Rest, length: Option<u64>) -> Result<Answer, Unusable> {
    let Some(range) = one(headers, &CONTENT_RANGE)? else {
        return Ok(Answer::StartOver);
    };
    let expected = format!("bytes {}-{}/{}", rest.offset, rest.length - 1, rest.length);
    let fits = length.is_none_or(|length| length == rest.length - rest.offset);
    // A part may leave its version out only where it has none: then it can't be held to ours.
    let same = validator(headers)?.is_some_and(|found| found == rest.validator);
    Ok(if range == expected && fits && same {
        Answer::Part
    } else {
        Answer::StartOver
    })
}

/// The declared length; `None` where the body comes in chunks.
fn length(headers: &HeaderMap) -> Result<Option<u64>, Unusable> {
    let length = one(headers, &CONTENT_LENGTH)?;
    match (length, one(headers, &TRANSFER_ENCODING)?) {
        (Some(_), Some(_)) => Err(Unusable::Nonsense("both a length and chunks")),
        (None, None) => Err(Unusable::Nonsense("neither a length nor chunks")),
        (None, Some(coding)) if coding.eq_ignore_ascii_case("chunked") => Ok(None),
        (None, Some(_)) => Err(Unusable::Encoded),
        (Some(digits), None) => {
            // `parse` would take a sign.
            if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(Unusable::Nonsense("a length that is no number"));
            }
            let length = digits
                .parse()
                .map_err(|_| Unusable::Nonsense("a length that is no number"))?;
            Ok(Some(length))
        }
    }
}

/// The version, where it is a strong one.
fn validator(headers: &HeaderMap) -> Result<Option<Validator>, Unusable> {
    // `Last-Modified` is none: it counts in seconds, in which a file can change twice.
    Ok(one(headers, &ETAG)?.and_then(Validator::read))
}

/// A header's value, if it is there once and is text.
fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Unusable> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(Unusable::Nonsense(
            "a header that may stand once stands twice",
        ));
    }
    value
        .to_str()
        .map(Some)
        .map_err(|_| Unusable::Nonsense("a header that is no text"))
}
