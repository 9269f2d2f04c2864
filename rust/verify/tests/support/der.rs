//! DER, written by hand where no tool writes what is wanted.

/// A tag, a length, and the parts.
pub fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let mut bytes = vec![tag];
    match u16::try_from(content.len()).unwrap() {
        short @ 0..=127 => bytes.push(short.to_le_bytes()[0]),
        long @ 128..=255 => bytes.extend([0x81, long.to_le_bytes()[0]]),
        longer => bytes.extend([&[0x82][..], &longer.to_be_bytes()].concat()),
    }
    bytes.extend(content);
    bytes
}

pub const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
pub const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
pub const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
pub const ED25519: &[u8] = &[0x2b, 0x65, 0x70];
pub const NULL: &[u8] = &[5, 0];

pub fn oid(bytes: &[u8]) -> Vec<u8> {
    tlv(6, &[bytes])
}

/// A `SubjectPublicKeyInfo`.
pub fn spki(algorithm: &[u8], parameters: &[u8], key: &[u8]) -> Vec<u8> {
    let algorithm = tlv(0x30, &[&oid(algorithm), parameters]);
    tlv(0x30, &[&algorithm, &tlv(3, &[&[0], key])])
}

/// An `RSAPublicKey` in its info; the numbers without a leading zero.
pub fn rsa(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    let key = tlv(0x30, &[&integer(modulus), &integer(exponent)]);
    spki(RSA, NULL, &key)
}

/// A positive number.
pub fn integer(bytes: &[u8]) -> Vec<u8> {
    let sign: &[u8] = if bytes[0] < 128 { &[] } else { &[0] };
    tlv(2, &[sign, bytes])
}

/// An odd number of so many bits, all of them set.
pub fn ones(bits: usize) -> Vec<u8> {
    let mut bytes = vec![0xff; bits.div_ceil(8)];
    bytes[0] >>= (8 - bits % 8) % 8;
    bytes
}

pub fn pem(label: &str, der: &[u8]) -> Vec<u8> {
    pem_rfc7468::encode_string(label, pem_rfc7468::LineEnding::LF, der)
        .unwrap()
        .into_bytes()
}
