"""The real `openssl` and `minisign`, which the tests hold Strongroom to in both directions."""

import shutil
import subprocess
from pathlib import Path

KINDS = {
    "p256": "-algorithm EC -pkeyopt ec_paramgen_curve:P-256",
    "p384": "-algorithm EC -pkeyopt ec_paramgen_curve:P-384",
    "p521": "-algorithm EC -pkeyopt ec_paramgen_curve:P-521",
    "ed25519": "-algorithm ED25519",
    "rsa": "-algorithm RSA -pkeyopt rsa_keygen_bits:2048",
}
"""Options of `openssl genpkey`."""


def run(tool: str, words: str | list[str], folder: Path, stdin: bytes = b"") -> bytes:
    """Run a tool of Debian's in a folder; say which package brings it where it is missing."""
    assert shutil.which(tool), f"these tests need Debian's package {tool} (README.md)"
    command = [tool, *(words.split() if isinstance(words, str) else words)]
    done = subprocess.run(command, cwd=folder, input=stdin, capture_output=True, check=False, timeout=120)
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout


def openssl(words: str, folder: Path) -> bytes:
    return run("openssl", words, folder)


def minisign(words: str, folder: Path) -> bytes:
    return run("minisign", words, folder)


def key_pair(kind: str, folder: Path) -> tuple[Path, Path]:
    """A pair by `openssl`: private, public."""
    private, public = folder / f"{kind}.key", folder / f"{kind}.pub"
    openssl(f"genpkey {KINDS[kind]} -out {private}", folder)
    openssl(f"pkey -in {private} -pubout -out {public}", folder)
    return private, public


def minisign_pair(folder: Path) -> tuple[Path, Path]:
    """A pair by `minisign`, without a passphrase: private, public."""
    private, public = folder / "minisign.key", folder / "minisign.pub"
    minisign(f"-G -W -f -s {private} -p {public}", folder)
    return private, public


def openssl_sign(kind: str, private: Path, file: Path, signature: Path, options: str = "") -> None:
    """Sign as `openssl` does, with the hash that the rule names."""
    if kind == "ed25519":
        openssl(f"pkeyutl -sign -rawin -inkey {private} -in {file} -out {signature}", file.parent)
        return
    by_rule = {"p256": "sha256", "p384": "sha384", "p521": "sha512", "rsa": "sha256"}[kind]
    openssl(f"dgst -{by_rule} {options} -sign {private} -out {signature} {file}", file.parent)
