"""NIST's vectors for the verification of signatures (CAVS, FIPS 186-2 and -3), as files.

From the package `cryptography_vectors` (Apache-2.0 or BSD-3-Clause), which pyca/cryptography publishes.
"""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cryptography_vectors
import pytest

from strongroom import SignatureError, SigningKeyError, verify_signature
from tests.der import ec_key, integer, pem, rsa_key, tlv

HASHES = {"256": "sha256", "384": "sha384", "512": "sha512"}
CURVES = {
    "P-256": ("06082a8648ce3d030107", 32),
    "P-384": ("06052b81040022", 48),
    "P-521": ("06052b81040023", 66),
}


class Case(NamedTuple):
    """One signature."""

    name: str
    key: bytes
    hash: str
    message: bytes
    signature: bytes
    valid: bool


def sections(name: str) -> Iterator[tuple[str, dict[str, str]]]:
    """What stands in brackets before a case, and the fields since the last case."""
    with cryptography_vectors.open_vector_file(f"asymmetric/{name}", "r") as file:
        section, fields = "", dict[str, str]()
        for line in file:
            if match := re.fullmatch(r"\[(.*)\]\s*", line):
                section = match[1]
            elif match := re.fullmatch(r"(\w+) = (.*?)\s*", line):
                fields[match[1]] = match[2]
                if match[1] == "Result":
                    yield section, fields


def ecdsa() -> Iterator[Case]:
    for section, fields in sections("ECDSA/FIPS_186-3/SigVer.rsp"):
        curve, _, function = section.partition(",SHA-")
        if curve not in CURVES or function not in HASHES:
            continue
        oid, size = CURVES[curve]
        x, y, r, s = (int(fields[name], 16) for name in ("Qx", "Qy", "R", "S"))
        point = b"\4" + x.to_bytes(size, "big") + y.to_bytes(size, "big")
        yield Case(
            f"{section} {fields['Result']}",
            pem(ec_key(oid, point)),
            HASHES[function],
            bytes.fromhex(fields["Msg"]),
            tlv(0x30, integer(r), integer(s)),
            fields["Result"].startswith("P"),
        )


def rsa(name: str) -> Iterator[Case]:
    for section, fields in sections(f"RSA/FIPS_186-2/{name}"):
        function = fields["SHAAlg"].removeprefix("SHA")
        bits = int(section.partition("= ")[2])
        if bits < 2048 or function not in HASHES:
            continue
        yield Case(
            f"{section} {function} {fields['Result']}",
            pem(rsa_key(int(fields["n"], 16), int(fields["e"], 16))),
            HASHES[function],
            bytes.fromhex(fields["Msg"]),
            int(fields["S"], 16).to_bytes(bits // 8, "big"),
            fields["Result"].startswith("P"),
        )


@pytest.mark.parametrize(
    ("cases", "how", "expected"),
    [
        pytest.param(ecdsa(), "ECDSA", 135, id="ECDSA"),
        pytest.param(rsa("SigVer15_186-3.rsp"), "RSASSA-PKCS1-v1_5", 162, id="PKCS1"),
        pytest.param(rsa("SigVerPSS_186-3.rsp"), "RSASSA-PSS", 162, id="PSS"),
    ],
)
def test_every_signature_that_passes_holds_and_every_other_is_refused(
    cases: Iterator[Case], how: str, expected: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, public_key, signature = tmp_path / "model.gguf", tmp_path / "key", tmp_path / "model.gguf.sig"
    seen: Counter[str] = Counter()
    for case in cases:
        model.write_bytes(case.message)
        public_key.write_bytes(case.key)
        signature.write_bytes(case.signature)
        try:
            found = verify_signature(model, public_key=public_key, hash=case.hash).how.partition(" ")[0]
        except (SignatureError, SigningKeyError) as error:
            found = error.code
        assert (found == how) == case.valid, (case.name, found)
        seen[found] += 1
    with capsys.disabled():
        counts = ", ".join(f"{count} {word}" for word, count in sorted(seen.items()))
        print(f"\nNIST SigVer {how}: {seen.total()} cases: {counts}")
    assert seen.total() == expected
    assert seen[how] > 0
