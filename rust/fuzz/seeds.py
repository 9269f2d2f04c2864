"""Inputs to start from: the bundle of the tests, the statement in it, statements of shards, certificates."""

import base64
import hashlib
import json
import sys
from pathlib import Path

HERE = Path(__file__).parent
VECTORS = HERE.parent / "verify/tests/vectors"


def shards() -> bytes:
    """Make a statement of two shards, written as the reference does."""
    digests = [hashlib.sha256(bytes([number])).digest() for number in range(2)]
    root = hashlib.sha256(b"".join(digests)).hexdigest()
    resources = [
        {"name": f"a.bin:{10 * at}:{10 * at + 10}", "digest": digest.hex(), "algorithm": "sha256-sharded-10"}
        for at, digest in enumerate(digests)
    ]
    serialization = {
        "method": "shards",
        "hash_type": "sha256",
        "allow_symlinks": True,
        "shard_size": 10.0,
        "ignore_paths": [".git", "a/b"],
    }
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "m", "digest": {"sha256": root}}],
        "predicateType": "https://model_signing/signature/v1.0",
        "predicate": {"serialization": serialization, "resources": resources},
    }
    return json.dumps(statement).encode()


def main() -> None:
    """Write the seeds of three targets."""
    corpus = Path(sys.argv[1])
    bundle = (VECTORS / "model-signing-1.0.0-key.sig").read_bytes()
    payload = base64.b64decode(json.loads(bundle)["dsseEnvelope"]["payload"])
    pem = (HERE / "keys/root.crt").read_bytes()
    der = base64.b64decode(b"".join(pem.splitlines()[1:-1]))
    chain = {"x509CertificateChain": {"certificates": [{"rawBytes": base64.b64encode(der).decode()}]}}
    certified = json.loads(bundle) | {"verificationMaterial": chain}
    seeds = {
        "manifest_bundle": [bundle, json.dumps(certified).encode()],
        "manifest_statement": [payload, shards()],
        "certificates": [pem, len(der).to_bytes(2, "little") + der],
    }
    for target, inputs in seeds.items():
        folder = corpus / target
        folder.mkdir(parents=True, exist_ok=True)
        for number, content in enumerate(inputs):
            (folder / f"seed-{number}").write_bytes(content)


if __name__ == "__main__":
    main()
