"""Signatures by `openssl` and `minisign` prove a model; ours are verified by them; no other is accepted."""

import dataclasses
import hashlib
import logging
import os
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from strongroom import (
    ChecksumError,
    Evidence,
    OptionError,
    OutputError,
    Router,
    SignatureError,
    SigningKeyError,
    SourceError,
    StrongroomError,
    TrustError,
    _core,
    generate_key,
    sign,
    verify_signature,
)
from strongroom.models.trust import admit
from strongroom.settings import Security
from tests.conftest import Model, settings
from tests.der import pem, rsa_key
from tests.paths import Pathless
from tests.signers import KINDS, key_pair, minisign, minisign_pair, openssl, openssl_sign

ALL = [*KINDS, "minisign"]
HASHES = {"p256": "sha256", "p384": "sha384", "p521": "sha512", "rsa": "sha256"}


@pytest.fixture
def model(tiny: Model, tmp_path: Path) -> Path:
    path = tmp_path / "model.gguf"
    shutil.copyfile(tiny.path, path)
    return path


def signed(kind: str, model: Path) -> tuple[Path, Path]:
    """The public key and the signature of a model, by the real tools, beside it."""
    if kind == "minisign":
        private, public = minisign_pair(model.parent)
        minisign(f"-S -s {private} -m {model}", model.parent)
        return public, model.with_name("model.gguf.minisig")
    private, public = key_pair(kind, model.parent)
    signature = model.with_name("model.gguf.sig")
    openssl_sign(kind, private, model, signature)
    return public, signature


def load(model: Path, **proof: Any) -> _core.Image:
    arguments: dict[str, Any] = {"checksum": None, **proof}
    return admit(
        str(model), name="model", security=Security(), allow_architectures=(), progress=None, **arguments
    ).image


def code_of(call: Callable[[], object]) -> str:
    with pytest.raises(StrongroomError) as caught:
        call()
    assert caught.value.next_step
    return caught.value.code


@pytest.mark.parametrize("kind", ALL)
def test_a_signature_found_by_its_name_proves_a_model(model: Path, kind: str) -> None:
    public, signature = signed(kind, model)
    image = load(model, public_key=public)
    assert image.verified
    [evidence] = image.evidence
    assert evidence.digest == image.digest
    assert evidence.signer.startswith("sha256:")
    found = verify_signature(model, public_key=public)
    assert found == Evidence.of(evidence)
    assert found == verify_signature(model, public_key=str(public), signature=signature)
    # Elsewhere, it is found where it is said to be, and only there.
    moved = signature.rename(signature.with_name("elsewhere"))
    assert verify_signature(model, public_key=public, signature=moved) == found
    with pytest.raises(SourceError, match=r"model\.gguf\.(mini)?sig") as caught:
        load(model, public_key=public)
    assert caught.value.code == "source.missing"


@pytest.mark.parametrize("kind", ALL)
def test_another_file_or_another_key_proves_nothing(model: Path, kind: str) -> None:
    public, _ = signed(kind, model)
    content = bytearray(model.read_bytes())
    content[-1] ^= 1
    model.write_bytes(content)
    assert code_of(lambda: load(model, public_key=public)) == "signature.invalid"
    assert code_of(lambda: verify_signature(model, public_key=public)) == "signature.invalid"
    content[-1] ^= 1
    model.write_bytes(content)
    other = model.parent / "other"
    other.mkdir()
    others = minisign_pair(other)[1] if kind == "minisign" else key_pair(kind, other)[1]
    expected = "signature.other_key" if kind == "minisign" else "signature.invalid"
    assert code_of(lambda: load(model, public_key=others)) == expected
    assert load(model, public_key=public).verified


@pytest.mark.parametrize("kind", ["p256", "ed25519", "minisign"])
def test_danger_none_still_holds_a_signature_that_is_given(model: Path, kind: str) -> None:
    public, signature = signed(kind, model)
    signature.write_bytes(signature.read_bytes()[:-8])
    with pytest.raises(SignatureError) as caught:
        admit(
            str(model),
            name="model",
            checksum=None,
            public_key=public,
            security=Security(verification="danger-none"),
            allow_architectures=(),
            progress=None,
        )
    assert caught.value.code == "signature.malformed"
    assert "model.gguf." in str(caught.value)


def test_the_hash_is_named_or_follows_the_rule(model: Path) -> None:
    for kind, by_rule in HASHES.items():
        private, public = key_pair(kind, model.parent)
        for name in ("sha256", "sha384", "sha512"):
            signature = model.with_name("sig")
            openssl(f"dgst -{name} -sign {private} -out {signature} {model}", model.parent)
            image = load(model, public_key=public, signature=signature, hash=name)
            # The one pass computes the digest that the signature is over, and no other.
            digest = hashlib.new(name, model.read_bytes()).hexdigest()
            assert image.digest == f"{name}:{digest}"
            if name == by_rule:
                load(model, public_key=public, signature=signature)
            else:
                unnamed = code_of(lambda: load(model, public_key=public, signature=signature))  # noqa: B023
                assert unnamed == "signature.invalid"


@pytest.mark.parametrize("salt", ["", "-sigopt rsa_pss_saltlen:0", "-sigopt rsa_pss_saltlen:-1"])
def test_pss_is_verified_with_the_salt_that_openssl_takes(model: Path, salt: str) -> None:
    private, public = key_pair("rsa", model.parent)
    signature = model.with_name("model.gguf.sig")
    openssl_sign("rsa", private, model, signature, f"-sigopt rsa_padding_mode:pss {salt}")
    assert verify_signature(model, public_key=public).how == "RSASSA-PSS of RSA-2048 over sha256"


def test_a_checksum_and_a_signature_both_have_to_hold(model: Path, tiny: Model) -> None:
    public, signature = signed("p384", model)
    image = load(model, checksum=tiny.checksum, public_key=public)
    assert image.digest == tiny.checksum
    [evidence] = image.evidence
    assert evidence.digest.startswith("sha384:")
    with pytest.raises(ChecksumError):
        load(model, checksum="sha256:" + "0" * 64, public_key=public)
    signature.write_bytes(signature.read_bytes().replace(b"\x02", b"\x03", 1))
    with pytest.raises(SignatureError):
        load(model, checksum=tiny.checksum, public_key=public)


@pytest.mark.parametrize("kind", ["p384", "ed25519"])
def test_the_bytes_are_read_once_whatever_the_signature_needs(model: Path, kind: str) -> None:
    with model.open("ab") as file:
        file.write(bytes(32 << 20))
    public, signature = signed(kind, model)
    seen: list[int] = []
    image = _core.Image.load(
        str(model),
        checksum=Model.of(model).checksum,
        signature=str(signature),
        public_key=str(public),
        progress=lambda done, _: seen.append(done),
    )
    assert image.verified
    assert seen == sorted(set(seen)), "it began again"
    assert seen[-1] == model.stat().st_size


def test_key_and_signature_are_read_before_the_model(model: Path, tmp_path: Path) -> None:
    public, signature = signed("p256", model)
    nowhere = tmp_path / "nowhere.gguf"
    broken = tmp_path / "broken"
    broken.write_bytes(b"nothing")
    # Each would be source.missing if the model were opened first.
    assert code_of(lambda: load(nowhere, public_key=broken)) == "key.malformed"
    assert code_of(lambda: load(nowhere, public_key=public, signature=broken)) == "signature.malformed"
    assert code_of(lambda: load(nowhere, public_key=public, signature=signature)) == "source.missing"


@pytest.mark.parametrize("proof", [{"signature": "model.gguf.sig"}, {"hash": "sha256"}])
def test_a_signature_without_a_key_proves_nothing(model: Path, proof: dict[str, str]) -> None:
    with pytest.raises(TrustError) as caught:
        load(model, **proof)
    assert caught.value.code == "trust.no_key"
    with pytest.raises(TrustError):
        load(model, checksum=Model.of(model).checksum, **proof)


@pytest.mark.parametrize(
    ("proof", "code"),
    [
        ({"public_key": 5}, "option.wrong_type"),
        ({"public_key": b"key"}, "option.wrong_type"),
        ({"public_key": ""}, "option.out_of_range"),
        ({"public_key": "a\0b"}, "option.out_of_range"),
        ({"public_key": "key", "signature": True}, "option.wrong_type"),
        ({"public_key": "key", "hash": 256}, "option.wrong_type"),
        ({"public_key": "key", "hash": "md5"}, "option.out_of_range"),
        ({"public_key": "key", "hash": "SHA256"}, "option.out_of_range"),
        ({"public_key": "key", "hash": "blake2b"}, "option.out_of_range"),
        ({"public_key": "key", "hash": "\udc80"}, "option.out_of_range"),
        ({"public_key": "/nonexistent/key"}, "source.missing"),
        ({"public_key": "/"}, "source.directory"),
        ({"public_key": "/dev/zero"}, "source.special"),
    ],
)
def test_options_of_a_signature(model: Path, proof: dict[str, Any], code: str) -> None:
    assert code_of(lambda: load(model, **proof)) == code


def test_formats_are_not_confused(model: Path) -> None:
    pem, signature = signed("ed25519", model)
    theirs, minisig = signed("minisign", model)
    assert code_of(lambda: load(model, public_key=pem, signature=minisig)) == "signature.format"
    assert code_of(lambda: load(model, public_key=theirs, signature=signature)) == "signature.format"
    assert code_of(lambda: load(model, public_key=pem, hash="sha512")) == "signature.hash"
    assert code_of(lambda: load(model, public_key=theirs, hash="sha512")) == "signature.hash"


def test_a_comment_of_minisign_that_was_changed(model: Path) -> None:
    public, minisig = signed("minisign", model)
    evidence = verify_signature(model, public_key=public)
    assert evidence.signed_at is not None
    assert evidence.comment is not None
    minisig.write_bytes(minisig.read_bytes().replace(b"file:model", b"file:other"))
    assert code_of(lambda: load(model, public_key=public)) == "signature.trusted_comment"


def test_files_that_are_too_long_are_not_read(model: Path) -> None:
    public, signature = signed("p256", model)
    with signature.open("r+b") as file:
        file.truncate(1 << 40)
    assert code_of(lambda: load(model, public_key=public)) == "signature.too_long"
    with public.open("r+b") as file:
        file.truncate(1 << 40)
    assert code_of(lambda: load(model, public_key=public)) == "key.too_long"


def test_the_legacy_form_of_minisign(model: Path) -> None:
    private, public = minisign_pair(model.parent)
    minisign(f"-S -l -s {private} -m {model}", model.parent)
    evidence = verify_signature(model, public_key=public)
    assert evidence.how == "minisign: Ed25519 over the bytes themselves"
    assert evidence.digest == Model.of(model).checksum


@pytest.mark.parametrize("kind", ALL)
def test_what_is_signed_here_the_tools_verify(model: Path, kind: str) -> None:
    if kind == "minisign":
        private, public = minisign_pair(model.parent)
        path, evidence = sign(model, private_key=private, format="minisign")
        assert path == model.with_name("model.gguf.minisig")
        minisign(f"-V -p {public} -m {model}", model.parent)
    else:
        private, public = key_pair(kind, model.parent)
        path, evidence = sign(model, private_key=private)
        assert path == model.with_name("model.gguf.sig")
        if kind == "ed25519":
            words = f"pkeyutl -verify -rawin -pubin -inkey {public} -in {model} -sigfile {path}"
        else:
            words = f"dgst -{HASHES[kind]} -verify {public} -signature {path} {model}"
        openssl(words, model.parent)
    assert evidence == verify_signature(model, public_key=public)
    # Nothing is overwritten, and nothing else is left.
    with pytest.raises(OutputError) as caught:
        sign(model, private_key=private, format="minisign" if kind == "minisign" else "detached")
    assert caught.value.code == "output.exists"
    assert not list(model.parent.glob(".model*"))


def test_padding_hash_comment_and_output_are_as_wanted(model: Path) -> None:
    private, public = key_pair("rsa", model.parent)
    output = model.with_name("pss")
    path, evidence = sign(model, private_key=private, rsa_padding="pss", hash="sha512", output=output)
    assert path == output
    assert evidence.how == "RSASSA-PSS of RSA-2048 over sha512"
    pss = "-sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:64"
    openssl(f"dgst -sha512 {pss} -verify {public} -signature {output} {model}", model.parent)
    private, _ = minisign_pair(model.parent)
    _, evidence = sign(model, private_key=private, format="minisign", comment="version 3")
    assert (evidence.comment, evidence.signed_at) == ("version 3", None)


@pytest.mark.parametrize(
    ("kind", "options", "code"),
    [
        ("p256", {"hash": "sha512"}, "signature.hash"),
        ("p256", {"rsa_padding": "pss"}, "signature.scheme"),
        ("ed25519", {"hash": "sha256"}, "signature.hash"),
        ("minisign", {"format": "minisign", "hash": "sha256"}, "signature.hash"),
        ("minisign", {"format": "minisign", "rsa_padding": "pss"}, "signature.scheme"),
        ("minisign", {"format": "minisign", "comment": "two\nlines"}, "signature.malformed"),
        ("p256", {"comment": "x"}, "option.out_of_range"),
        ("p256", {"comment": 5}, "option.wrong_type"),
        ("minisign", {"format": "minisign", "comment": "\udc80"}, "option.out_of_range"),
        ("p256", {"rsa_padding": "oaep"}, "option.out_of_range"),
        ("p256", {"format": "pgp"}, "option.out_of_range"),
        ("p256", {"format": None}, "option.out_of_range"),
        ("p256", {"format": "minisign"}, "signature.format"),
        ("minisign", {}, "signature.format"),
        ("p256", {"output": "/nonexistent/folder/sig"}, "output.unwritable"),
        ("p256", {"passphrase": bytearray(b"x")}, "key.not_encrypted"),
        ("p256", {"passphrase": bytearray()}, "option.out_of_range"),
        ("p256", {"passphrase": bytearray(1025)}, "option.out_of_range"),
        ("p256", {"passphrase": "x"}, "option.wrong_type"),
        ("p256", {"passphrase": bytearray(b"x"), "passphrase_file": "f"}, "option.out_of_range"),
        ("p256", {"private_key": None}, "option.wrong_type"),
    ],
)
def test_what_can_not_be_signed(model: Path, kind: str, options: dict[str, Any], code: str) -> None:
    private, _ = minisign_pair(model.parent) if kind == "minisign" else key_pair(kind, model.parent)
    before = sorted(model.parent.iterdir())
    assert code_of(lambda: sign(model, **{"private_key": private, **options})) == code
    assert sorted(model.parent.iterdir()) == before


def test_encrypted_keys_are_read_with_their_passphrase_alone(model: Path, tmp_path: Path) -> None:
    private, public = key_pair("p256", tmp_path)
    file = tmp_path / "passphrase"
    file.write_bytes(b"correct horse\n")
    encrypted = tmp_path / "encrypted.key"
    openssl(f"pkcs8 -topk8 -in {private} -passout file:{file} -out {encrypted}", tmp_path)
    assert code_of(lambda: sign(model, private_key=encrypted)) == "key.encrypted"
    wrong = bytearray(b"wrong")
    with pytest.raises(SigningKeyError) as caught:
        sign(model, private_key=encrypted, passphrase=wrong)
    assert caught.value.code == "key.passphrase"
    assert "wrong" not in str(caught.value)
    assert wrong == bytearray(5), "it has to be wiped"
    sign(model, private_key=encrypted, passphrase_file=file, output=tmp_path / "one")
    given = bytearray(b"correct horse")
    sign(model, private_key=encrypted, passphrase=given, output=tmp_path / "two")
    assert given == bytearray(13), "it has to be wiped"
    for signature in ("one", "two"):
        verify_signature(model, public_key=public, signature=tmp_path / signature)
    for content in (b"\n", b"a\nb\n", b"x" * 1025):
        file.write_bytes(content)
        code = code_of(lambda: sign(model, private_key=encrypted, passphrase_file=file))
        assert code == "option.out_of_range"


@pytest.mark.parametrize("kind", ["p256", "p384", "p521", "ed25519", "rsa2048", "minisign"])
def test_generated_keys_sign_and_are_their_owners_alone(model: Path, kind: Any) -> None:
    private, public = model.with_name("private"), model.with_name("public")
    identity = generate_key(kind, private_key=private, public_key=public)
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert stat.S_IMODE(public.stat().st_mode) & 0o077 == 0o044 & ~current_umask()
    _, evidence = sign(model, private_key=private, format="minisign" if kind == "minisign" else "detached")
    assert evidence.signer == identity
    # Neither is overwritten, and where the second can't be written the first is gone too.
    content = private.read_bytes()
    for names in ((private, model.with_name("new")), (model.with_name("new"), public)):
        with pytest.raises(OutputError):
            generate_key(kind, private_key=names[0], public_key=names[1])
        assert not model.with_name("new").exists()
    assert private.read_bytes() == content


def current_umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask


def test_a_generated_key_is_encrypted_where_a_passphrase_is_given(model: Path, tmp_path: Path) -> None:
    private, public = tmp_path / "private", tmp_path / "public"
    given = bytearray(b"correct horse")
    generate_key("p384", private_key=private, public_key=public, passphrase=given)
    assert given == bytearray(13)
    assert private.read_bytes().startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n")
    sign(model, private_key=private, passphrase=bytearray(b"correct horse"))
    verify_signature(model, public_key=public)


KEYS = """
import os
from strongroom import generate_key
for number in range(1_000_000):
    name = f"{os.getpid()}-{number}"
    generate_key("ed25519", private_key=f"{name}.key", public_key=f"{name}.pub")
    print(flush=True)
"""


def test_a_kill_leaves_no_hidden_keys_and_no_half_pairs(tmp_path: Path) -> None:
    try:
        os.close(os.open(tmp_path, os.O_TMPFILE | os.O_WRONLY))
    except OSError:
        pytest.skip("this file system has no files without a name")
    # Not one of these times decides the test: whenever it is, what has a name is whole.
    for delay in range(8):
        made = subprocess.Popen([sys.executable, "-c", KEYS], cwd=tmp_path, stdout=subprocess.PIPE)
        with made:
            assert made.stdout is not None
            made.stdout.readline()
            time.sleep(delay * 0.007)
            made.kill()
    names = {path.name for path in tmp_path.iterdir()}
    assert names
    assert not [name for name in names if name.startswith(".")]
    for name in names:
        assert name.endswith(".pub") or name.replace(".key", ".pub") in names
        assert (tmp_path / name).read_text().endswith("KEY-----\n")


def test_a_pair_that_can_not_be_whole_is_none(tmp_path: Path) -> None:
    with pytest.raises(OutputError):
        generate_key("p256", private_key=tmp_path / "none/key", public_key=tmp_path / "key.pub")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["\ud800", "a\0b", "a" * 100_000, Pathless()])
def test_files_that_no_path_leads_to(model: Path, name: Any) -> None:
    for call in (
        lambda: generate_key("p256", private_key=name, public_key=model.with_name("b")),
        lambda: sign(model, private_key=name),
        lambda: verify_signature(model, public_key=name),
        lambda: verify_signature(model, public_key="key.pub", signature=name),
    ):
        with pytest.raises(OptionError) as caught:
            call()
        assert len(str(caught.value)) < 300


@pytest.mark.parametrize("kind", ["", "rsa", "rsa1024", "P256", 5, None])
def test_kinds_of_keys_are_named(tmp_path: Path, kind: Any) -> None:
    with pytest.raises(OptionError):
        generate_key(kind, private_key=tmp_path / "a", public_key=tmp_path / "b")
    assert not list(tmp_path.iterdir())


def write(folder: Path, content: bytes) -> Path:
    path = folder / "key"
    path.write_bytes(content)
    return path


def bad_public_keys(folder: Path) -> dict[str, bytes]:
    """A key file for each code; Rust's tests go through every variety of each."""
    private, public = key_pair("p256", folder)
    key = public.read_bytes()
    openssl(f"req -x509 -key {private} -subj /CN=test -out cert.pem", folder)
    point = bytearray(openssl(f"pkey -pubin -in {public} -outform DER", folder))
    point[-1] ^= 1
    (folder / "point.der").write_bytes(point)

    def generated(options: str, written: str = "") -> bytes:
        openssl(f"genpkey {options} -out other.key", folder)
        return openssl(f"pkey -in other.key {written} -pubout", folder)

    curve = "-algorithm EC -pkeyopt ec_paramgen_curve:"
    return {
        "key.private": private.read_bytes(),
        "key.certificate": (folder / "cert.pem").read_bytes(),
        "key.several": key + key,
        "key.trailing": key + b"more",
        "key.malformed": key.replace(b"M", b"*"),
        "key.too_long": key + b"\n" * (32 << 10),
        "key.compressed_point": generated(f"{curve}P-256", "-ec_conv_form compressed"),
        "key.explicit_parameters": generated(f"{curve}P-256", "-ec_param_enc explicit"),
        "key.unknown_curve": generated(f"{curve}secp256k1"),
        "key.unknown_algorithm": generated("-algorithm X25519"),
        "key.rsa_too_small": generated("-algorithm RSA -pkeyopt rsa_keygen_bits:1024"),
        "key.point": pem(bytes(point)),
        "key.rsa_too_large": pem(rsa_key((1 << 8193) - 1, 65537)),
        "key.rsa_exponent": pem(rsa_key((1 << 2048) - 1, 2)),
    }


def test_every_bad_public_key_has_its_code_and_names_the_file(model: Path, tmp_path: Path) -> None:
    for code, content in bad_public_keys(tmp_path).items():
        path = write(tmp_path, content)
        with pytest.raises(SigningKeyError) as caught:
            load(model, public_key=path)
        assert caught.value.code == code
        assert str(path) in str(caught.value)


def test_every_bad_private_key_has_its_code(model: Path, tmp_path: Path) -> None:
    private, public = key_pair("p256", tmp_path)
    openssl(f"pkcs8 -topk8 -nocrypt -in {private} -outform DER -out key.der", tmp_path)
    der = bytearray((tmp_path / "key.der").read_bytes())
    der[-1] ^= 1
    inconsistent = pem(bytes(der)).replace(b"PUBLIC", b"PRIVATE")
    old = openssl(f"pkcs8 -topk8 -in {private} -v2 des3 -passout pass:x", tmp_path)
    for code, content, passphrase in (
        ("key.public", public.read_bytes(), None),
        ("key.inconsistent", inconsistent, None),
        ("key.encryption", old, bytearray(b"x")),
    ):
        path = write(tmp_path, content)
        with pytest.raises(SigningKeyError) as caught:
            sign(model, private_key=path, passphrase=passphrase)
        assert caught.value.code == code
        secret = private.read_text().splitlines()[1]
        assert secret not in str(caught.value)
        assert secret not in repr(caught.value)


def test_a_router_loads_what_is_signed_and_shows_the_evidence(
    model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    public, signature = signed("ed25519", model)
    with Router(settings()) as router, caplog.at_level(logging.DEBUG):
        info = router.load("signed", model, public_key=public)
        assert info.verified
        assert info.evidence == (verify_signature(model, public_key=public),)
        assert dataclasses.asdict(info.evidence[0])["signer"] == info.evidence[0].signer
        assert router.complete("x", max_tokens=1).completion_tokens == 1
        signature.write_bytes(bytes(64))
        with pytest.raises(SignatureError):
            router.load("forged", model, public_key=public)
        assert [model.name for model in router.models()] == ["signed"]
    assert "danger" not in caplog.text
