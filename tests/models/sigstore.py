"""An instance of Sigstore of one's own: an authority and two logs, which vouch for whatever they are told."""

import base64
import datetime as dt
import hashlib
import json
import struct
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

__all__ = ["Instance"]

NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)
ISSUER_V1 = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.1")
ISSUER_V2 = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.8")
TIME_STAMPS = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
PAYLOAD_TYPE = "application/vnd.in-toto+json"
LOG = "rekor.sigstore.dev"
VALID = {"start": "2020-01-01T00:00:00Z"}


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def sign(key: ec.EllipticCurvePrivateKey, message: bytes) -> bytes:
    return key.sign(message, ec.ECDSA(hashes.SHA256()))


def spki(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def tlv(tag: int, value: bytes) -> bytes:
    """Encode in DER what is shorter than 64 KiB."""
    size = len(value)
    if size < 0x80:
        return bytes([tag, size]) + value
    return bytes([tag, 0x81, size]) + value if size < 0x100 else struct.pack(">BBH", tag, 0x82, size) + value


def usage(**allowed: bool) -> x509.KeyUsage:
    names = "digital_signature content_commitment key_encipherment data_encipherment key_agreement"
    names += " key_cert_sign crl_sign encipher_only decipher_only"
    return x509.KeyUsage(**{name: allowed.get(name, False) for name in names.split()})


class Instance:
    """The authority, its log of certificates, and the log of signatures."""

    def __init__(self) -> None:
        """Make their keys."""
        self.authority, self.certificates, self.signatures = (
            ec.generate_private_key(ec.SECP256R1()) for _ in range(3)
        )
        self.name = x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, "sigstore.dev"),
                x509.NameAttribute(NameOID.COMMON_NAME, "sigstore"),
            ]
        )

    def trusted_root(self, path: Path) -> Path:
        """Write the `trusted_root.json`."""
        root = (
            x509.CertificateBuilder()
            .subject_name(self.name)
            .issuer_name(self.name)
            .public_key(self.authority.public_key())
            .serial_number(7)
            .not_valid_before(NOW - dt.timedelta(days=1))
            .not_valid_after(NOW + dt.timedelta(days=99))
            .add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
            .add_extension(usage(key_cert_sign=True, crl_sign=True), critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(self.authority.public_key()), critical=False
            )
            .sign(self.authority, hashes.SHA256())
        )

        def log(key: ec.EllipticCurvePrivateKey, url: str) -> dict[str, Any]:
            return {
                "baseUrl": url,
                "hashAlgorithm": "SHA2_256",
                "publicKey": {
                    "rawBytes": text(spki(key)),
                    "keyDetails": "PKIX_ECDSA_P256_SHA_256",
                    "validFor": VALID,
                },
                "logId": {"keyId": text(sha256(spki(key)))},
            }

        der = root.public_bytes(serialization.Encoding.DER)
        authority = {
            "subject": {"organization": "sigstore.dev", "commonName": "sigstore"},
            "uri": "https://fulcio.sigstore.dev",
            "certChain": {"certificates": [{"rawBytes": text(der)}]},
            "validFor": VALID,
        }
        found = {
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [log(self.signatures, f"https://{LOG}")],
            "certificateAuthorities": [authority],
            "ctlogs": [log(self.certificates, "https://ctfe.sigstore.dev")],
            "timestampAuthorities": [],
        }
        path.write_text(json.dumps(found))
        return path

    def certificate(self, key: ec.EllipticCurvePrivateKey, identity: str, issuer: str) -> x509.Certificate:
        """Vouch for an identity, for some minutes; the log of certificates has it."""
        short = dt.timedelta(minutes=5)
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(99)
            .not_valid_before(NOW - short)
            .not_valid_after(NOW + dt.timedelta(hours=1))
            .add_extension(usage(digital_signature=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.authority.public_key()),
                critical=False,
            )
            .add_extension(
                x509.SubjectAlternativeName([x509.UniformResourceIdentifier(identity)]), critical=True
            )
            .add_extension(x509.UnrecognizedExtension(ISSUER_V1, issuer.encode()), critical=False)
            .add_extension(x509.UnrecognizedExtension(ISSUER_V2, tlv(0x0C, issuer.encode())), critical=False)
        )
        before = builder.sign(self.authority, hashes.SHA256()).tbs_certificate_bytes
        stamp = struct.pack(">Q", int(NOW.timestamp()) * 1000)
        entry = sha256(spki(self.authority)) + len(before).to_bytes(3, "big") + before
        signature = sign(self.certificates, b"\0\0" + stamp + b"\0\1" + entry + b"\0\0")
        told = b"\0" + sha256(spki(self.certificates)) + stamp + b"\0\0\4\3"
        told += struct.pack(">H", len(signature)) + signature
        stamps = struct.pack(">HH", len(told) + 2, len(told)) + told
        return builder.add_extension(
            x509.UnrecognizedExtension(TIME_STAMPS, tlv(0x04, stamps)), critical=False
        ).sign(self.authority, hashes.SHA256())

    def sign(self, file: Path, signature: Path, *, identity: str, issuer: str) -> Path:
        """Sign a file as that identity, and log it."""
        digest = sha256(file.read_bytes())
        statement = {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"name": file.parent.name, "digest": {"sha256": sha256(digest).hex()}}],
            "predicateType": "https://model_signing/signature/v1.0",
            "predicate": {
                "serialization": {
                    "method": "files",
                    "hash_type": "sha256",
                    "allow_symlinks": False,
                    "ignore_paths": [],
                },
                "resources": [{"name": file.name, "digest": digest.hex(), "algorithm": "sha256"}],
            },
        }
        payload = json.dumps(statement).encode()
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self.certificate(key, identity, issuer)
        signed = sign(key, f"DSSEv1 {len(PAYLOAD_TYPE)} {PAYLOAD_TYPE} {len(payload)} ".encode() + payload)
        bundle = {
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {
                "certificate": {"rawBytes": text(certificate.public_bytes(serialization.Encoding.DER))},
                "tlogEntries": [self.entry(payload, signed, certificate)],
            },
            "dsseEnvelope": {
                "payload": text(payload),
                "payloadType": PAYLOAD_TYPE,
                "signatures": [{"sig": text(signed), "keyid": ""}],
            },
        }
        signature.write_text(json.dumps(bundle))
        return signature

    def entry(self, payload: bytes, signed: bytes, certificate: x509.Certificate) -> dict[str, Any]:
        """Log a signature, as the only one."""
        pem = certificate.public_bytes(serialization.Encoding.PEM)
        spec = {
            "envelopeHash": {"algorithm": "sha256", "value": "00" * 32},
            "payloadHash": {"algorithm": "sha256", "value": sha256(payload).hex()},
            "signatures": [{"signature": text(signed), "verifier": text(pem)}],
        }
        body = json.dumps(
            {"apiVersion": "0.0.1", "kind": "dsse", "spec": spec}, separators=(",", ":")
        ).encode()
        leaf, log_id, when = sha256(b"\0" + body), sha256(spki(self.signatures)), int(NOW.timestamp())
        note = f"{LOG} - 1\n1\n{text(leaf)}\n"
        line = text(log_id[:4] + sign(self.signatures, note.encode()))
        promised = {"body": text(body), "integratedTime": when, "logID": log_id.hex(), "logIndex": 0}
        promise = json.dumps(promised, separators=(",", ":"), sort_keys=True).encode()
        return {
            "logIndex": "0",
            "logId": {"keyId": text(log_id)},
            "kindVersion": {"kind": "dsse", "version": "0.0.1"},
            "integratedTime": str(when),
            "inclusionPromise": {"signedEntryTimestamp": text(sign(self.signatures, promise))},
            "inclusionProof": {
                "logIndex": "0",
                "rootHash": text(leaf),
                "treeSize": "1",
                "hashes": [],
                "checkpoint": {"envelope": f"{note}\n\u2014 {LOG} {line}\n"},
            },
            "canonicalizedBody": text(body),
        }
