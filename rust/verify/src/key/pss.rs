//! RSASSA-PSS with a salt of any length.
//!
//! A PSS signature doesn't say how long its salt is; OpenSSL makes it as long as fits, other tools
//! as long as the digest. aws-lc-rs verifies one length at a time and has no "any", so the lengths
//! are tried: those two first, then the rest. Only a signature that fits none of them costs all the
//! tries: a few milliseconds with 2048 bits, a third of a second with 8192. A second
//! implementation of RSA would cost more trust.

use aws_lc_rs::{
    digest::Digest,
    rsa::{RsaParameters, RsaPssSaltLength},
    signature::{
        RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512,
        UnparsedPublicKey,
    },
};

use crate::Algorithm;

/// Bytes of the longest salt of all: an encoding of 8192 bits less a digest of SHA-256 and 2.
const LONGEST: usize = 8192 / 8 - 32 - 2;

/// The parameters for each salt, at its length.
macro_rules! any_salt {
    ($parameters:ident) => {{
        static TABLE: [RsaParameters; LONGEST + 1] = {
            let mut table = [const { $parameters }; LONGEST + 1];
            let mut length: u16 = 0;
            while length as usize <= LONGEST {
                table[length as usize] =
                    $parameters.with_pss_salt_length(RsaPssSaltLength::Custom(length));
                length += 1;
            }
            table
        };
        &TABLE
    }};
}

/// Whether `signature` is one of `digest` by the key `rsa`, of `bits` bits. The caller turns it into
/// an error; no bool leaves this room.
pub(super) fn fits(
    rsa: &[u8],
    bits: usize,
    algorithm: Algorithm,
    digest: &Digest,
    signature: &[u8],
) -> bool {
    let table: &'static [RsaParameters] = match algorithm {
        Algorithm::Sha256 => any_salt!(RSA_PSS_2048_8192_SHA256),
        Algorithm::Sha384 => any_salt!(RSA_PSS_2048_8192_SHA384),
        Algorithm::Sha512 => any_salt!(RSA_PSS_2048_8192_SHA512),
        Algorithm::Blake2b512 | Algorithm::Blake3 => return false,
    };
    // A signature of another length fits no salt, and costs no try.
    if signature.len() != bits.div_ceil(8) {
        return false;
    }
    let of_digest = algorithm.digest_length();
    // RFC 8017, 9.1.1: emLen - hLen - 2, where emLen holds modBits - 1 bits.
    let longest = ((bits - 1).div_ceil(8) - of_digest - 2).min(LONGEST);
    let rest = (0..longest).filter(|&length| length != of_digest);
    [of_digest, longest]
        .into_iter()
        .chain(rest)
        .filter_map(|length| table.get(length))
        .any(|parameters| {
            UnparsedPublicKey::new(parameters, rsa)
                .verify_digest(digest, signature)
                .is_ok()
        })
}
