"""`strongroom verify` and `sign` with directories, certificates, and the files of a directory."""

import json
from pathlib import Path

import pytest

from tests.cli.commands import strongroom
from tests.models.signing import identity, key, reference_verify, tree
from tests.models.test_manifest import KEYLESS, VECTORS


def test_a_directory_is_signed_and_verified(tmp_path: Path) -> None:
    signer, model = key(tmp_path), tree(tmp_path)
    signed = strongroom("sign", model, "--private-key", signer.private, "--format", "oms")
    assert signed.returncode == 0, signed.stderr
    assert "model.sig" in signed.stderr
    verified = strongroom("verify", model, "--public-key", signer.public)
    assert verified.returncode == 0, verified.stderr
    assert "4" in verified.stdout
    reference_verify(model, model / "model.sig", signer, ignore=["model.sig"])
    again = strongroom("sign", model, "--private-key", signer.private, "--format", "oms", "--json")
    assert again.returncode == 1
    assert json.loads(again.stdout)["error"]["code"] == "output.exists"
    (model / "new").write_bytes(b"x")
    refused = strongroom("verify", model, "--public-key", signer.public)
    assert refused.returncode == 1
    assert not refused.stdout
    assert "[manifest.file_unlisted]" in refused.stderr
    ignored = strongroom("verify", model, "--public-key", signer.public, "--ignore-paths", "new", "--json")
    evidence = json.loads(ignored.stdout)["evidence"]
    assert (evidence["method"], evidence["files"]) == ("key", 4)
    assert evidence["rule"] == "the public key was given"


def test_certificates_shards_hashes_and_paths(tmp_path: Path) -> None:
    signer, model, signature = identity(tmp_path), tree(tmp_path), tmp_path / "out.sig"
    signed = strongroom(
        *("sign", model, "--format", "oms", "--private-key", signer.key.private, "--output", signature),
        *("--certificate-chain", signer.own, "--certificate-chain", signer.between),
        *("--hash", "blake2b", "--shard-size", "65536", "--ignore-paths", "weights-old", "--json"),
    )
    assert signed.returncode == 0, signed.stderr
    assert json.loads(signed.stdout) == {"signature": str(signature)}
    trusted = ("--certificate-chain", signer.root, "--signature", signature)
    verified = strongroom("verify", model, *trusted)
    assert verified.returncode == 0, verified.stderr
    for shown in ("certificate", "CN=publisher", "CN=root", "blake2b", "shards"):
        assert shown in verified.stdout
    part = strongroom("verify", model, *trusted, "--only", "config.json", "--json")
    assert json.loads(part.stdout)["evidence"]["files"] == 1
    other = strongroom("verify", model, *trusted, "--only", "weights-old/x", "--json")
    assert json.loads(other.stdout)["error"]["code"] == "manifest.not_listed"
    (tmp_path / "second").mkdir()
    stranger = identity(tmp_path / "second")
    refused = strongroom("verify", model, "--certificate-chain", stranger.root, "--signature", signature)
    assert "[certificate.untrusted]" in refused.stderr


def test_a_file_and_its_manifest(tmp_path: Path) -> None:
    signer = key(tmp_path)
    model, signature = tree(tmp_path) / "config.json", tmp_path / "config.sig"
    options = ("--private-key", signer.private, "--format", "oms", "--output", signature)
    assert strongroom("sign", model, *options).returncode == 0
    trusted = ("--public-key", signer.public, "--signature", signature)
    verified = strongroom("verify", model, *trusted)
    assert verified.returncode == 0, verified.stderr
    model.write_bytes(b"[]")
    refused = strongroom("verify", model, *trusted)
    assert "[manifest.file_differs]" in refused.stderr


def test_links_are_listed_where_they_are_allowed(tmp_path: Path) -> None:
    signer, model = key(tmp_path), tree(tmp_path)
    (model / "link").symlink_to("config.json")
    options = ("--private-key", signer.private, "--format", "oms")
    refused = strongroom("sign", model, *options)
    assert "[manifest.symlink]" in refused.stderr
    assert not (model / "model.sig").exists()
    assert strongroom("sign", model, *options, "--allow-symlinks").returncode == 0
    assert strongroom("verify", model, "--public-key", signer.public).returncode == 0


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("sign", "FILE", "--private-key", "k", "--only", "x"), "--only"),
        (("sign", "FILE", "--private-key", "k", "--shard-size", "5"), "--shard-size"),
        (("sign", "FILE", "--private-key", "k", "--allow-symlinks"), "--allow-symlinks"),
        (("sign", "FILE", "--private-key", "k", "--certificate-chain", "c"), "--certificate-chain"),
        (("sign", "FILE", "--private-key", "k", "--format", "oms", "--comment", "c"), "--comment"),
        (("sign", "FILE", "--private-key", "k", "--format", "oms", "--rsa-padding", "pss"), "--rsa-padding"),
        (("verify", "FILE", "--public-key", "k", "--ignore-paths", "x"), "--ignore-paths"),
        (("verify", "DIRECTORY", "--public-key", "k", "--hash", "sha256"), "--hash"),
    ],
)
def test_options_that_would_do_nothing_are_refused(
    tmp_path: Path, words: tuple[str, ...], named: str
) -> None:
    (tmp_path / "file.gguf").write_bytes(b"x")
    places = {"FILE": tmp_path / "file.gguf", "DIRECTORY": tmp_path}
    refused = strongroom(*(places.get(word, word) for word in words))
    assert refused.returncode == 1
    assert "[option.out_of_range]" in refused.stderr
    assert named in refused.stderr


def test_an_identity_of_sigstore(tmp_path: Path) -> None:
    for name in ("signme-1", "signme-2"):
        (tmp_path / name).write_text(name)
    signature = VECTORS / "model-signing-1.1.0-sigstore.sig"
    words: list[str | Path] = ["verify", tmp_path, "--signature", signature]
    for name, value in KEYLESS.items():
        words += [f"--{name.replace('_', '-')}", str(value)]
    verified = strongroom(*words)
    assert verified.returncode == 0, verified.stderr
    for shown in ("sigstore", "stefanb@us.ibm.com", "2025-10-10T02:12:20"):
        assert shown in verified.stdout
    refused = strongroom(*words, "--identity", "somebody@else.example")
    assert "[manifest.keyless_refused]" in refused.stderr


def test_exactly_one_says_whom_to_trust(tmp_path: Path) -> None:
    for options in (
        (),
        ("--public-key", "a", "--certificate-chain", "b"),
        ("--public-key", "a", "--identity", "b"),
        ("--identity", "a", "--issuer", "b"),
        ("--trusted-root", "a"),
    ):
        misused = strongroom("verify", tmp_path, *options)
        assert misused.returncode == 2
        assert "--certificate-chain" in misused.stderr
