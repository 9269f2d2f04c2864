"""`strongroom verify`, `sign` and `keygen`, and `run` with a signature for its proof."""

import json
import shutil
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.cli.commands import at_a_terminal, strongroom
from tests.conftest import Model
from tests.signers import key_pair, minisign, openssl, openssl_sign


@pytest.fixture
def model(tiny: Model, tmp_path: Path) -> Path:
    path = tmp_path / "model.gguf"
    shutil.copyfile(tiny.path, path)
    return path


def test_from_a_new_key_to_a_run(model: Path) -> None:
    private, public = model.with_name("my.key"), model.with_name("my.pub")
    keys = ("--private-key", private, "--public-key", public)
    made = strongroom("keygen", *keys, "--unencrypted", "--json")
    assert made.returncode == 0, made.stderr
    identity = json.loads(made.stdout)["key"]
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    signed = strongroom("sign", model, "--private-key", private)
    assert signed.returncode == 0, signed.stderr
    assert "model.gguf.sig" in signed.stderr
    verified = strongroom("verify", model, "--public-key", public)
    assert verified.returncode == 0, verified.stderr
    assert identity in verified.stdout
    assert "ECDSA on P-256 over sha256" in verified.stdout
    run = strongroom("run", model, "x", "--public-key", public, "--max-tokens", "1", "--complete")
    assert run.returncode == 0, run.stderr
    assert f"signed by {identity}" in run.stderr
    openssl(f"dgst -sha256 -verify {public} -signature {model}.sig {model}", model.parent)


def test_what_does_not_hold_leaves_with_1_and_says_why(model: Path) -> None:
    private, public = key_pair("p384", model.parent)
    openssl_sign("p384", private, model, model.with_name("model.gguf.sig"))
    assert strongroom("verify", model, "--public-key", public).returncode == 0
    with model.open("ab") as file:
        file.write(b"x")
    for command in (("verify", model), ("run", model, "x")):
        refused = strongroom(*command, "--public-key", public)
        assert refused.returncode == 1
        assert not refused.stdout
        assert "[signature.invalid]" in refused.stderr
    refused = strongroom("verify", model, "--public-key", public, "--json")
    assert json.loads(refused.stdout)["error"]["code"] == "signature.invalid"
    refused = strongroom("run", model, "x", "--signature", f"{model}.sig")
    assert "[trust.no_key]" in refused.stderr
    assert "--public-key" in refused.stderr


def test_verify_as_json(model: Path) -> None:
    private, public = key_pair("rsa", model.parent)
    signature = model.with_name("elsewhere")
    openssl(f"dgst -sha512 -sign {private} -out {signature} {model}", model.parent)
    options = ("--public-key", public, "--signature", signature, "--hash", "sha512", "--json")
    found = strongroom("verify", model, *options)
    assert found.returncode == 0, found.stderr
    evidence = json.loads(found.stdout)["evidence"]
    assert evidence["how"] == "RSASSA-PKCS1-v1_5 of RSA-2048 over sha512"
    assert evidence["digest"].startswith("sha512:")


def test_minisign_and_a_comment_that_would_command_the_terminal(model: Path) -> None:
    private, public = model.with_name("m.key"), model.with_name("m.pub")
    minisign(f"-G -W -p {public} -s {private}", model.parent)
    comment = "\x1b[31mred"
    signed = strongroom("sign", model, "--private-key", private, "--format", "minisign", "--comment", comment)
    assert signed.returncode == 0, signed.stderr
    verified = strongroom("verify", model, "--public-key", public)
    assert verified.returncode == 0
    assert "\x1b" not in verified.stdout + signed.stdout
    assert "red" in verified.stdout
    minisign(f"-V -p {public} -m {model}", model.parent)


def test_an_encrypted_key_from_a_file_or_the_terminal(model: Path) -> None:
    private, public = model.with_name("my.key"), model.with_name("my.pub")
    secret = model.with_name("secret")
    secret.write_text("correct horse\n")
    keys = ("--private-key", private, "--public-key", public)
    made = strongroom("keygen", *keys, "--passphrase-file", secret, "--kind", "ed25519")
    assert made.returncode == 0, made.stderr
    assert private.read_text().startswith("-----BEGIN ENCRYPTED PRIVATE KEY-----")
    without = strongroom("sign", model, "--private-key", private)
    assert without.returncode == 1
    assert "[key.encrypted]" in without.stderr
    assert "--passphrase-file" in without.stderr
    signed = strongroom(
        "sign", model, "--private-key", private, "--passphrase-file", secret, "--output", f"{model}.1"
    )
    assert signed.returncode == 0, signed.stderr
    terminal = at_a_terminal("sign", model, "--private-key", private)
    terminal.expect("Passphrase of 'my.key'")
    terminal.sendline("correct horse")
    terminal.expect("written")
    terminal.wait()
    assert terminal.exitstatus == 0
    for signature in (f"{model}.1", f"{model}.sig"):
        held = strongroom("verify", model, "--public-key", public, "--signature", signature)
        assert held.returncode == 0, held.stderr


def test_keygen_asks_twice(model: Path) -> None:
    names = ("--private-key", model.with_name("k"), "--public-key", model.with_name("p"))
    terminal = at_a_terminal("keygen", *names)
    for answer in ("one", "two"):
        terminal.expect("Passphrase of 'k'")
        terminal.sendline(answer)
    terminal.expect("differ")
    terminal.wait()
    assert terminal.exitstatus == 1
    assert not model.with_name("k").exists()
    terminal = at_a_terminal("keygen", *names)
    for _ in range(2):
        terminal.expect("Passphrase of 'k'")
        terminal.sendline("one")
    terminal.expect("public")
    terminal.wait()
    assert terminal.exitstatus == 0
    assert b"ENCRYPTED" in model.with_name("k").read_bytes()


def test_misuse(model: Path) -> None:
    names = ("--private-key", model.with_name("k"), "--public-key", model.with_name("p"))
    assert strongroom("verify", model).returncode == 2
    assert strongroom("sign", model).returncode == 2
    assert strongroom("keygen", *names, "--unencrypted", "--passphrase-file", "f").returncode == 2
    # Without a terminal there is nobody to ask.
    refused = strongroom("keygen", *names)
    assert refused.returncode == 1
    assert "no terminal" in refused.stderr
    assert not model.with_name("k").exists()
    refused = strongroom("sign", model, "--private-key", model, "--json")
    assert json.loads(refused.stdout)["error"]["code"].startswith("key.")


def test_a_raw_signature_that_begins_as_a_manifest_does_is_a_signature(model: Path) -> None:
    private, public = key_pair("rsa", model.parent)
    key = serialization.load_pem_private_key(private.read_bytes(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    content, count, raw = model.read_bytes(), 0, b""
    while not raw.startswith(b"{"):  # one in 256 does
        count += 1
        raw = key.sign(content + count.to_bytes(8, "big"), padding.PKCS1v15(), hashes.SHA512())
    model.write_bytes(content + count.to_bytes(8, "big"))
    signature = model.with_name("elsewhere")
    signature.write_bytes(raw)
    options = ("--public-key", public, "--signature", signature, "--hash", "sha512", "--json")
    found = strongroom("verify", model, *options)
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout)["evidence"]["how"] == "RSASSA-PKCS1-v1_5 of RSA-2048 over sha512"
