"""Where keys are: files, the environment, passphrases, the kernel; and what is none."""

import ctypes
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from strongroom import (
    EnvironmentKey,
    KernelKey,
    KeyFile,
    PassphraseKey,
    SealError,
    Store,
    StrongroomError,
)
from strongroom.store.keys import Key
from tests.conftest import ROOT, Model
from tests.store.conftest import enter_model, key_in

DIGITS = "00112233445566778899aabbccddeeff" * 2


def refusal(key: Key, folder: Path) -> StrongroomError:
    with pytest.raises(StrongroomError) as caught:
        Store(folder / "none", [key]).open_keys()
    assert DIGITS not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "it is empty"),
        (b"x" * 31, "something shorter"),
        (b"x" * 33, "something shorter"),
        (b"x" * 66, "longer"),
        (b"x" * 64, "not every digit"),
        (b"-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n", "it is PEM"),
    ],
)
def test_files_that_hold_no_key(tmp_path: Path, data: bytes, told: str) -> None:
    path = key_in(tmp_path)
    path.write_bytes(data)
    error = refusal(KeyFile(file=path), tmp_path)
    assert error.code == "seal.key_malformed"
    assert told in error.message


def test_files_that_others_can_read_or_that_are_none(tmp_path: Path) -> None:
    path = key_in(tmp_path)
    for mode in (0o644, 0o640, 0o602, 0o610):
        path.chmod(mode)
        assert refusal(KeyFile(file=path), tmp_path).code == "seal.key_permissions"
    path.unlink()
    assert refusal(KeyFile(file=path), tmp_path).code == "seal.key_file"
    os.mkfifo(path)
    assert refusal(KeyFile(file=path), tmp_path).code == "seal.key_file"
    assert refusal(KeyFile(file=tmp_path), tmp_path).code == "seal.key_file"


def test_hexadecimal_digits_are_the_same_key(tmp_path: Path, tiny: Model) -> None:
    raw, digits = key_in(tmp_path), key_in(tmp_path, "digits")
    digits.write_text(raw.read_bytes().hex() + "\n")
    enter_model(Store(tmp_path / "store", [KeyFile(file=raw)]), "tiny", tiny)
    Store(tmp_path / "store", [KeyFile(file=digits)]).verify("tiny")


def test_a_passphrase_and_a_wrong_one(tmp_path: Path, tiny: Model) -> None:
    right, wrong = tmp_path / "right", tmp_path / "wrong"
    right.write_text("correct horse battery staple\n")
    wrong.write_text("correct horse battery stable\n")
    enter_model(Store(tmp_path / "store", [PassphraseKey(passphrase_file=right)]), "tiny", tiny)
    assert (
        Store(tmp_path / "store", [PassphraseKey(passphrase_file=right)]).verify("tiny").digest
        == tiny.checksum
    )
    with pytest.raises(SealError) as caught:
        Store(tmp_path / "store", [PassphraseKey(passphrase_file=wrong)]).verify("tiny")
    assert caught.value.code == "seal.authentication"
    assert "stable" not in str(caught.value)


OUT_OF_THE_ENVIRONMENT = """
import os, sys
from pathlib import Path
from strongroom import EnvironmentKey, SealError, Store
from tests.conftest import Model
from tests.store.conftest import enter_model
def outside(): return os.environb.get(b"A_KEY"), b"00112233" in Path("/proc/self/environ").read_bytes()
folder, model = sys.argv[1:]
assert outside() == (os.environb[b"A_KEY"], True), "the control"
store = Store(folder, [EnvironmentKey(variable="A_KEY")])
enter_model(store, "tiny", Model.of(Path(model)))
assert outside() == (None, False)
store.verify("tiny")
try:
    Store(folder, [EnvironmentKey(variable="A_KEY")]).verify("tiny")
except SealError as error:
    print(error.code)
"""


def test_a_variable_is_read_once_and_gone_from_where_the_system_has_it(tmp_path: Path, tiny: Model) -> None:
    run = subprocess.run(
        [sys.executable, "-c", OUT_OF_THE_ENVIRONMENT, tmp_path / "store", tiny.path],
        env=os.environ | {"A_KEY": DIGITS},
        cwd=ROOT,
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert (run.returncode, run.stdout.strip()) == (0, b"seal.no_variable"), run.stderr.decode()


def test_variables_that_hold_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert refusal(EnvironmentKey(variable="NOT_SET"), tmp_path).code == "seal.no_variable"
    for value in (DIGITS + "0", DIGITS[:-1] + "g", "", "\udcff"):
        monkeypatch.setenv("A_KEY", value)
        assert refusal(EnvironmentKey(variable="A_KEY"), tmp_path).code == "seal.key_malformed"
        assert "A_KEY" not in os.environ


def test_a_key_that_fails_takes_no_other_with_it(
    tmp_path: Path, tiny: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_KEY", DIGITS)
    missing = tmp_path / "key"
    store = Store(tmp_path / "store", [EnvironmentKey(variable="A_KEY"), KeyFile(file=missing, name="b")])
    with pytest.raises(SealError):
        store.open_keys()
    key_in(tmp_path)
    enter_model(store, "tiny", tiny)
    assert store.show("tiny").header.keys == ["strongroom/store", "strongroom/b"]


USER_KEYRING = -4
ADD_KEY, KEYCTL, UNLINK = 248, 250, 9


@pytest.fixture
def in_the_kernel() -> Iterator[str]:
    """A key of the user's keyring, as long as the test runs."""
    system = ctypes.CDLL(None, use_errno=True).syscall
    name = f"strongroom-test-{os.getpid()}"
    data = os.urandom(32)
    number = system(ADD_KEY, b"user", name.encode(), data, len(data), USER_KEYRING)
    if number < 0:
        pytest.skip("this machine gives no keyrings")
    yield name
    system(KEYCTL, UNLINK, number, USER_KEYRING)


def test_a_key_of_the_kernels(in_the_kernel: str, tmp_path: Path, tiny: Model) -> None:
    store = Store(tmp_path / "store", [KernelKey(description=in_the_kernel)])
    enter_model(store, "tiny", tiny)
    assert (
        Store(tmp_path / "store", [KernelKey(description=in_the_kernel)]).verify("tiny").digest
        == tiny.checksum
    )
    error = refusal(KernelKey(description=in_the_kernel + "-not"), tmp_path)
    assert error.code == "seal.kernel_key"
