//! The one comparison of secret bytes.

use subtle::ConstantTimeEq;

/// Whether `left` and `right` are the same bytes, in a time that depends on their lengths alone.
///
/// Lengths are no secret: where they differ, the answer comes at once. Everything secret in the core
/// is compared here, by [`subtle`](https://docs.rs/subtle): each pair of bytes is looked at, whatever
/// the pairs before it said.
#[must_use]
pub fn equal(left: &[u8], right: &[u8]) -> bool {
    left.ct_eq(right).into()
}

#[cfg(test)]
mod tests {
    use super::equal;

    #[test]
    fn equal_is_equality() {
        let bytes: Vec<u8> = (0..=130).collect();
        for length in 0..=bytes.len() {
            let same = bytes[..length].to_vec();
            assert!(equal(&bytes[..length], &same));
            for place in 0..length {
                let mut other = bytes[..length].to_vec();
                other[place] ^= 0x80;
                assert!(!equal(&bytes[..length], &other), "{length} {place}");
            }
            assert!(length == 0 || !equal(&bytes[..length], &bytes[..length - 1]));
        }
    }
}
