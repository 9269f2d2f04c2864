//! PEM files of certificates.

use super::CertificateError;

/// Bytes of the longest file: a bundle of a few hundred roots.
pub const LONGEST_FILE: usize = 1 << 20;

const BEGIN: &str = "-----BEGIN ";

/// The DER of every block, in order. Text between blocks is allowed: files of roots have it.
pub(super) fn blocks(file: &[u8], what: &'static str) -> Result<Vec<Vec<u8>>, CertificateError> {
    let malformed = |reason: &str| CertificateError::malformed(what, &reason);
    if file.len() > LONGEST_FILE {
        return Err(malformed("it is longer than a megabyte"));
    }
    let text = std::str::from_utf8(file).map_err(|_| malformed("it is no text"))?;
    let mut blocks = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find(BEGIN) {
        let block = &rest[start..];
        let end = block
            .find("-----END ")
            .map(|end| end + block[end..].find('\n').unwrap_or(block.len() - end))
            .ok_or_else(|| malformed("a PEM block has no end"))?;
        let (label, der) = pem_rfc7468::decode_vec(block[..end].trim_end().as_bytes())
            .map_err(|error| malformed(&format!("PEM: {error}")))?;
        if label != "CERTIFICATE" {
            return Err(malformed("it holds something else than certificates"));
        }
        blocks.push(der);
        rest = &block[end..];
    }
    if blocks.is_empty() {
        return Err(malformed("it has no PEM block"));
    }
    Ok(blocks)
}
