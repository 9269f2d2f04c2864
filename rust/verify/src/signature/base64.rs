//! Base64 without leniency.

use base64ct::{Base64, Encoding};

use super::SignatureError;

/// Columns after which `openssl base64` and `base64` break lines.
const COLUMNS: [usize; 2] = [64, 76];

/// The bytes of `text`: the standard alphabet with padding, on one line or broken as the usual tools
/// break it; at most one line break at its end.
pub(super) fn decode(text: &[u8]) -> Result<Vec<u8>, SignatureError> {
    let malformed = || SignatureError::malformed("it is no base64");
    let text = std::str::from_utf8(text).map_err(|_| malformed())?;
    let text = without_break(text);
    let lines: Vec<&str> = text.split('\n').map(without_return).collect();
    if let [first, middle @ .., last] = &lines[..] {
        let columns = first.len();
        if !COLUMNS.contains(&columns)
            || middle.iter().any(|line| line.len() != columns)
            || last.is_empty()
            || last.len() > columns
        {
            return Err(malformed());
        }
    }
    Base64::decode_vec(&lines.concat()).map_err(|_| malformed())
}

/// `text` without the one line break that may end it.
pub(super) fn without_break(text: &str) -> &str {
    text.strip_suffix('\n').map_or(text, without_return)
}

fn without_return(line: &str) -> &str {
    line.strip_suffix('\r').unwrap_or(line)
}

/// One line, not broken.
pub(super) fn encode(bytes: &[u8]) -> String {
    Base64::encode_string(bytes)
}
