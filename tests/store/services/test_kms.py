"""AWS KMS: what is sealed with it the AWS Encryption SDK opens, and the other way round."""

from __future__ import annotations

import base64
import logging
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from strongroom import SealError, SettingsError, _core
from strongroom.errors import StoreError
from strongroom.store.keys import AwsKms, keyring_of
from strongroom.store.services import kms as service
from tests.seal import reference
from tests.store.services.conftest import REGION

CONTEXT = {"strongroom-name": "smol", "strongroom-version": "", "ü": "ß"}
CONTENT = os.urandom(10_000)
OTHER_ARN = f"arn:aws:kms:{REGION}:123456789012:key/00000000-0000-0000-0000-000000000000"


@pytest.fixture
def key(arn: str, endpoint: str) -> AwsKms:
    return AwsKms(key=arn, endpoint=endpoint)


def seal(key: AwsKms, folder: Path) -> Path:
    plain, sealed = folder / "model.gguf", folder / "model.sealed"
    plain.write_bytes(CONTENT)
    _core.seal_file(str(plain), str(sealed), keyrings=[keyring_of(key)], context=CONTEXT, frame_length=4096)
    return sealed


def open_with(key: AwsKms, sealed: Path) -> bytes:
    opened = sealed.with_suffix(".opened")
    assert _core.open_sealed(str(sealed), str(opened), keyrings=[keyring_of(key)]) == CONTEXT
    return opened.read_bytes()


def test_the_reference_opens_what_is_sealed_here(key: AwsKms, kms: Any, tmp_path: Path) -> None:
    from aws_encryption_sdk.key_providers.kms import KMSMasterKey  # type: ignore[import-untyped]

    sealed = seal(key, tmp_path)
    assert key.key.encode() in sealed.read_bytes()
    client = reference.aws_encryption_sdk.EncryptionSDKClient()  # type: ignore[attr-defined]
    master = KMSMasterKey(key_id=key.key, client=kms)
    plaintext, header = client.decrypt(source=sealed.read_bytes(), key_provider=master)
    assert (plaintext, header.encryption_context) == (CONTENT, CONTEXT)
    assert open_with(key, sealed) == CONTENT


def test_what_the_reference_encrypts_is_opened_here(
    key: AwsKms, kms: Any, tmp_path: Path, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from aws_encryption_sdk.key_providers.kms import StrictAwsKmsMasterKeyProvider

    another = kms.create_key()["KeyMetadata"]["Arn"]
    monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", endpoint)
    strict = StrictAwsKmsMasterKeyProvider(key_ids=[another, key.key])
    client = reference.aws_encryption_sdk.EncryptionSDKClient()  # type: ignore[attr-defined]
    message, _ = client.encrypt(
        source=CONTENT,
        key_provider=strict,
        algorithm=reference.SUITE,
        encryption_context=CONTEXT,
        frame_length=4096,
    )
    sealed = tmp_path / "theirs"
    sealed.write_bytes(message)
    for arn in (key.key, another):
        assert open_with(AwsKms(key=arn, endpoint=endpoint), sealed) == CONTENT
        sealed.with_suffix(".opened").unlink()


def test_no_other_key_is_asked(key: AwsKms, kms: Any, tmp_path: Path, endpoint: str) -> None:
    sealed = seal(key, tmp_path)
    other = AwsKms(key=kms.create_key()["KeyMetadata"]["Arn"], endpoint=endpoint)
    assert other.unwrap(key.key.encode(), b"anything", CONTEXT) is None
    with pytest.raises(SealError, match="it was sealed for") as refused:
        open_with(other, sealed)
    assert refused.value.code == "seal.no_key"


def test_the_context_is_bound(key: AwsKms) -> None:
    data_key = bytearray(os.urandom(32))
    info, wrapped = key.wrap(data_key, CONTEXT)
    assert key.unwrap(info, wrapped, CONTEXT) == data_key
    with pytest.raises(StoreError, match=r"is another context's \(InvalidCiphertextException\)"):
        key.unwrap(info, wrapped, CONTEXT | {"strongroom-name": "other"})


def test_a_key_that_is_not_there(endpoint: str, tmp_path: Path) -> None:
    with pytest.raises(SealError, match=f"{OTHER_ARN} failed: AWS KMS: there is no such key"):
        seal(AwsKms(key=OTHER_ARN, endpoint=endpoint), tmp_path)


def test_a_service_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "ATTEMPTS", 1)
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # and listens not
        key = AwsKms(key=OTHER_ARN, endpoint=f"http://127.0.0.1:{bound.getsockname()[1]}")
        with pytest.raises(StoreError, match=r"can't be reached, or doesn't answer \(EndpointConnectionErr"):
            key.wrap(bytearray(32), CONTEXT)


def test_no_credentials(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(StoreError, match="there are no credentials for it"):
        AwsKms(key=OTHER_ARN, endpoint=endpoint).wrap(bytearray(32), CONTEXT)


class Refusing:
    """A client that raises what botocore raises for an answer of KMS."""

    def __init__(self, code: str) -> None:
        self.code = code
        self.calls = 0

    def encrypt(self, **request: Any) -> dict[str, Any]:
        from botocore.exceptions import ClientError  # type: ignore[import-untyped]

        self.calls += 1
        message = f"secret {bytes(request['Plaintext']).hex()}"
        raise ClientError({"Error": {"Code": self.code, "Message": message}}, "Encrypt")

    decrypt = encrypt


@pytest.mark.parametrize(
    "code", ["AccessDeniedException", "DisabledException", "ThrottlingException", "SomethingNew"]
)
def test_refusals_are_told_without_content(code: str, tmp_path: Path) -> None:
    # moto decrypts with disabled keys, and denies nothing.
    data_key = bytearray(os.urandom(32))
    with pytest.raises(StoreError) as refused:
        AwsKms(key=OTHER_ARN, client=Refusing(code)).wrap(data_key, CONTEXT)
    assert f"({code})" in refused.value.message
    assert service.REASONS.get(code, "it refuses it") in refused.value.message
    assert data_key.hex() not in str(refused.value)
    assert "secret" not in str(refused.value)
    with pytest.raises(SealError) as told:
        seal(AwsKms(key=OTHER_ARN, client=Refusing(code)), tmp_path)
    assert told.value.code == "seal.service"
    assert f"{OTHER_ARN} failed: {refused.value.message}" in told.value.message


def test_an_answer_for_another_key() -> None:
    class Lying(Refusing):
        def encrypt(self, **_request: Any) -> dict[str, Any]:
            return {"KeyId": OTHER_ARN[:-1] + "1", "CiphertextBlob": b"x"}

    with pytest.raises(StoreError, match="answered for another key"):
        AwsKms(key=OTHER_ARN, client=Lying("")).wrap(bytearray(32), CONTEXT)


def test_tries_are_bounded_and_no_variable_names_an_address(
    endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://192.0.2.1")
    monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", "http://192.0.2.1")
    meta: Any = AwsKms(key=OTHER_ARN).asked.meta  # type: ignore[attr-defined]
    assert meta.endpoint_url == f"https://kms.{REGION}.amazonaws.com"
    assert meta.config.connect_timeout == 5
    assert meta.config.read_timeout == 10
    assert meta.config.retries["total_max_attempts"] == 3
    elsewhere: Any = AwsKms(key=OTHER_ARN, region="eu-west-1", endpoint=endpoint).asked
    assert (elsewhere.meta.region_name, elsewhere.meta.endpoint_url) == ("eu-west-1", endpoint)


def test_no_log_has_a_data_key(key: AwsKms, caplog: pytest.LogCaptureFixture) -> None:
    data_key = bytearray(os.urandom(32))
    with caplog.at_level(logging.DEBUG):
        info, wrapped = key.wrap(data_key, CONTEXT)
        assert key.unwrap(info, wrapped, CONTEXT) == data_key
        logging.getLogger("botocore.endpoint").debug("others are heard")
    assert "others are heard" in caplog.text
    assert any(record.name.startswith("botocore") for record in caplog.records)
    forms = (base64.b64encode(data_key).decode(), data_key.hex(), repr(bytes(data_key)))
    text = caplog.text + repr([record.__dict__ for record in caplog.records])
    assert not any(form in text for form in forms)


@pytest.mark.parametrize(
    "options",
    [
        {"key": "alias/mine"},
        {"key": f"arn:aws:kms:{REGION}:123456789012:alias/mine"},
        {"key": OTHER_ARN + "\n"},
        {"key": OTHER_ARN, "region": "Moon"},
        {"key": OTHER_ARN, "endpoint": "http://kms.example.org"},
        {"key": OTHER_ARN, "endpoint": "http://localhost:1"},
        {"key": OTHER_ARN, "endpoint": "https://user:secret@kms.example.org"},
        {"key": OTHER_ARN, "client": "none"},
    ],
)
def test_what_is_no_key_of_kms(options: dict[str, Any]) -> None:
    with pytest.raises(SettingsError) as refused:
        AwsKms(**options)
    assert refused.value.code == "settings.invalid"
    assert "secret" not in str(refused.value)


def test_a_client_has_its_own_region() -> None:
    with pytest.raises(SettingsError, match="of its own"):
        AwsKms(key=OTHER_ARN, client=Refusing(""), region=REGION)


def test_without_boto3_the_extra_is_named() -> None:
    program = (
        "import sys; sys.modules['boto3'] = None\n"
        "import importlib.util\n"
        "from strongroom import SettingsError\n"
        "from strongroom.store.keys import AwsKms, keyring_of\n"
        "find = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *rest: None if name == 'boto3' else find(name, *rest)\n"
        f"key = AwsKms(key={OTHER_ARN!r})\n"
        "try:\n"
        "    keyring_of(key)\n"
        "except SettingsError as error:\n"
        "    print(error.code, error.next_step)\n"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout == "settings.unavailable pip install strongroom[aws]\n"
