"""DER and PEM, written by hand where no tool writes what is wanted."""

import base64


def tlv(tag: int, *parts: bytes) -> bytes:
    """A tag, a length, and the parts."""
    content = b"".join(parts)
    size = len(content)
    length = bytes([size]) if size < 128 else size.to_bytes((size.bit_length() + 7) // 8, "big")
    prefix = b"" if size < 128 else bytes([0x80 | len(length)])
    return bytes([tag]) + prefix + length + content


def integer(number: int) -> bytes:
    """A number from 0 on."""
    return tlv(2, number.to_bytes(number.bit_length() // 8 + 1, "big"))


def info(algorithm: str, parameters: bytes, key: bytes) -> bytes:
    """A SubjectPublicKeyInfo; the algorithm is the DER of its object identifier, in hexadecimal."""
    return tlv(0x30, tlv(0x30, bytes.fromhex(algorithm), parameters), tlv(3, b"\0", key))


def rsa_key(modulus: int, exponent: int) -> bytes:
    key = tlv(0x30, integer(modulus), integer(exponent))
    return info("06092a864886f70d010101", tlv(5), key)


def ec_key(curve: str, point: bytes) -> bytes:
    return info("06072a8648ce3d0201", bytes.fromhex(curve), point)


def pem(der: bytes) -> bytes:
    """A PEM block of a public key."""
    body = base64.b64encode(der)
    lines = [body[start : start + 64] for start in range(0, len(body), 64)]
    return b"\n".join([b"-----BEGIN PUBLIC KEY-----", *lines, b"-----END PUBLIC KEY-----", b""])
