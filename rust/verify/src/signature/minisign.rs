//! minisign's keys and signatures: Ed25519, over the `BLAKE2b` of a file (`ED`), or in the legacy
//! form (`Ed`) over the file itself.
//!
//! The format is its author's, <https://jedisct1.github.io/minisign/>. A signature carries a comment
//! that anybody can change, which is ignored here, and one that a second signature covers.

mod public;
mod secret;
mod signed;

pub use public::PublicKey;
pub use secret::SecretKey;
pub(super) use signed::Minisign;

use base64ct::{Base64, Encoding};
use zeroize::Zeroizing;

use super::base64;

/// How the first line of each of its files begins.
const UNTRUSTED: &str = "untrusted comment: ";

/// The algorithm of its keys, and of legacy signatures.
const LEGACY: [u8; 2] = *b"Ed";
/// The algorithm of a signature over a digest.
const PREHASHED: [u8; 2] = *b"ED";

/// Whether a file is one of minisign's, or says that it is.
pub(super) fn begins(file: &[u8]) -> bool {
    file.starts_with(UNTRUSTED.trim_ascii_end().as_bytes())
}

/// Number of a key, which its owner chose at random: it names a key, and proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Number([u8; 8]);

impl std::fmt::Display for Number {
    /// As minisign prints it: without leading zeros.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:X}", u64::from_le_bytes(self.0))
    }
}

/// The lines of a file with exactly `N` of them, the first being the comment.
fn lines<const N: usize>(file: &[u8]) -> Result<[&str; N], String> {
    let text = std::str::from_utf8(file).map_err(|_| "it is no UTF-8".to_owned())?;
    let lines: Vec<&str> = base64::without_break(text)
        .split('\n')
        .map(|line| line.strip_suffix('\r').unwrap_or(line))
        .collect();
    let count = lines.len();
    let lines: [&str; N] = lines
        .try_into()
        .map_err(|_| format!("it has {count} lines, not {N}"))?;
    if lines[0].starts_with(UNTRUSTED) {
        Ok(lines)
    } else {
        Err("its first line is no untrusted comment".to_owned())
    }
}

/// The `N` bytes of one line of base64. They may be secret: no copy of them is left behind.
fn bytes<const N: usize>(line: &str) -> Result<Zeroizing<[u8; N]>, String> {
    let mut bytes = Zeroizing::new([0; N]);
    match Base64::decode(line, &mut *bytes).map(<[u8]>::len) {
        Ok(length) if length == N => Ok(bytes),
        Ok(length) => Err(format!("it has {length} bytes, not {N}")),
        Err(_) => Err(format!("it is not the base64 of {N} bytes")),
    }
}

#[cfg(test)]
mod tests {
    use super::Number;

    #[test]
    fn a_number_is_printed_as_minisign_prints_it() {
        let number = Number(0x0300_B8B3_2998_04C7_u64.to_le_bytes());
        assert_eq!(number.to_string(), "300B8B3299804C7");
    }
}
