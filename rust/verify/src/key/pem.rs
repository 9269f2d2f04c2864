//! One PEM block, and nothing beside it.

use pem_rfc7468::Decoder;
use zeroize::Zeroizing;

use super::KeyError;

/// Bytes of the longest key file that is read; an encrypted RSA key of 8192 bits takes 7 KB.
pub const LONGEST_FILE: usize = 32 << 10;

const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";

/// The label of the one PEM block of a file, and what is in it.
///
/// # Errors
/// [`KeyError`]: `malformed`, `several`, `too_long`, `trailing`.
pub(super) fn block(file: &[u8]) -> Result<(&str, Zeroizing<Vec<u8>>), KeyError> {
    if file.len() > LONGEST_FILE {
        return Err(KeyError::TooLong {
            limit: LONGEST_FILE,
        });
    }
    let beginnings: Vec<usize> = file
        .windows(BEGIN.len())
        .enumerate()
        .filter_map(|(position, window)| (window == BEGIN).then_some(position))
        .collect();
    let start = match beginnings[..] {
        [start] => start,
        [] if file.first() == Some(&0x30) => {
            return Err(KeyError::malformed("it is DER, not PEM"));
        }
        [] => return Err(KeyError::malformed("it has no PEM block")),
        _ => {
            return Err(KeyError::Several {
                count: beginnings.len(),
            });
        }
    };
    if !blank(&file[..start]) {
        return Err(KeyError::Trailing {
            what: "text before the PEM block",
        });
    }
    // Behind the line that ends the block there is nothing.
    let text = &file[start..];
    let rest = text
        .windows(END.len())
        .position(|window| window == END)
        .and_then(|end| {
            let line = text[end..].iter().position(|&byte| byte == b'\n')?;
            Some(end + line)
        });
    let text = match rest {
        Some(end) if blank(&text[end..]) => text.trim_ascii_end(),
        Some(_) => {
            return Err(KeyError::Trailing {
                what: "text behind the PEM block",
            });
        }
        None => text,
    };
    let refused = |error: pem_rfc7468::Error| KeyError::malformed(format!("its PEM: {error}"));
    let mut decoder = Decoder::new(text).map_err(refused)?;
    // Of its full length from the start: a vector that grows leaves copies of a secret behind.
    let mut content = Zeroizing::new(vec![0; decoder.remaining_len()]);
    decoder.decode(&mut content).map_err(refused)?;
    if !decoder.is_finished() {
        return Err(KeyError::malformed("its PEM ends in the middle"));
    }
    Ok((decoder.type_label(), content))
}

fn blank(bytes: &[u8]) -> bool {
    bytes.iter().all(u8::is_ascii_whitespace)
}
