"""Any service: its tables in a file, what it raises, and what becomes of the keys that pass it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from strongroom import SealError, SettingsError, _core
from strongroom.errors import StoreError
from strongroom.store.keys import AwsKms, VaultTransit
from strongroom.store.settings import StoreSettings

ARN = "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-0000-0000-000000000000"


class Service:
    """It wraps nothing; it keeps what it was given."""

    provider = "tests"
    name = "one"

    def __init__(self, raised: BaseException | None = None) -> None:
        self.raised = raised
        self.given: list[bytearray] = []
        self.asked = 0

    def wrap(self, data_key: bytearray, context: Mapping[str, str]) -> tuple[bytes, bytes]:  # noqa: ARG002
        self.given.append(data_key)
        if self.raised:
            raise self.raised
        return b"info", bytes(data_key)

    def unwrap(self, info: bytes, wrapped: bytes, context: Mapping[str, str]) -> bytearray | None:  # noqa: ARG002
        self.asked += 1
        if self.raised:
            raise self.raised
        self.given.append(bytearray(wrapped))
        return self.given[-1]


def seal(folder: Path, *services: Service) -> Path:
    plain, sealed = folder / "plain", folder / "sealed"
    plain.write_bytes(b"GGUF")
    keyrings = [_core.Keyring.from_service(service) for service in services]
    _core.seal_file(str(plain), str(sealed), keyrings=keyrings, context={})
    return sealed


def unseal(sealed: Path, *services: Service) -> None:
    keyrings = [_core.Keyring.from_service(service) for service in services]
    _core.open_sealed(str(sealed), str(sealed.with_suffix(".opened")), keyrings=keyrings)


def test_keys_are_wiped_when_the_service_is_done(tmp_path: Path) -> None:
    service = Service()
    unseal(seal(tmp_path, service), service)
    assert [bytes(key) for key in service.given] == [bytes(32)] * 2


@pytest.mark.parametrize("raised", [StoreError("store.service", "refused"), KeyboardInterrupt()])
def test_keys_are_wiped_when_the_service_fails(tmp_path: Path, raised: BaseException) -> None:
    service = Service(raised)
    with pytest.raises((SealError, KeyboardInterrupt)):
        seal(tmp_path, service)
    assert bytes(service.given[0]) == bytes(32)


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_an_interrupt_in_a_service_goes_on_up(tmp_path: Path, kind: type[BaseException]) -> None:
    sealed = seal(tmp_path, Service())
    (tmp_path / "other").mkdir()
    raised = kind()
    with pytest.raises(kind) as found:
        seal(tmp_path / "other", Service(raised))
    assert found.value is raised
    next_one = Service()
    with pytest.raises(kind) as found:
        unseal(sealed, Service(raised), next_one)
    assert found.value is raised
    assert next_one.asked == 0
    assert not sealed.with_suffix(".opened").exists()


def test_what_a_service_raises_is_not_shown(tmp_path: Path) -> None:
    sealed = seal(tmp_path, Service())
    with pytest.raises(SealError) as refused:
        unseal(sealed, Service(ValueError("a secret")))
    assert refused.value.code == "seal.service"
    assert "the key service one failed: it raised ValueError" in refused.value.message
    assert "secret" not in str(refused.value)
    with pytest.raises(SealError, match="the key service one failed: the reason"):
        unseal(sealed, Service(StoreError("store.service", "the reason")))


def test_another_key_of_the_provider_is_tried(tmp_path: Path) -> None:
    class Second(Service):
        def unwrap(self, info: bytes, wrapped: bytes, context: Mapping[str, str]) -> bytearray | None:
            if self.asked == 0:
                self.asked = 1
                raise StoreError("store.service", "not this one")
            return super().unwrap(info, wrapped, context)

    service = Second()
    unseal(seal(tmp_path, Service(), Service()), service)
    assert service.asked == 2


def test_a_file_of_many_keys_asks_a_service_a_few_times(tmp_path: Path) -> None:
    sealed = seal(tmp_path, *[Service() for _ in range(20)])
    service = Service(StoreError("store.service", "no"))
    with pytest.raises(SealError, match="failed: no"):
        unseal(sealed, service)
    assert service.asked == 4


def test_a_key_of_another_length_is_none(tmp_path: Path) -> None:
    class Short(Service):
        def unwrap(self, info: bytes, wrapped: bytes, context: Mapping[str, str]) -> bytearray | None:  # noqa: ARG002
            return bytearray(os.urandom(16))

    with pytest.raises(SealError) as refused:
        unseal(seal(tmp_path, Service()), Short())
    assert refused.value.code == "seal.authentication"


def test_tables_of_a_file_name_services() -> None:
    settings = StoreSettings(
        keys=[
            {"kms": ARN, "region": "eu-west-1"},  # type: ignore[list-item]
            {"transit": "one", "url": "https://keys.example.org:8200", "token_file": "token"},  # type: ignore[list-item]
        ]
    )
    assert settings.keys == (
        AwsKms(key=ARN, region="eu-west-1"),
        VaultTransit(key="one", url="https://keys.example.org:8200", token_file="token"),
    )


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ({"kms": ARN, "regoin": "x"}, "did you mean 'region'"),
        ({"kms": ARN, "key": ARN}, "keys[0]: the table has no option 'key'"),
        ({"kms": ARN, "file": "key"}, "keys[0] must be a table with one of file"),
        ({"kms": "mine"}, "keys[0]: key must be the ARN"),
        ({"transit": "one", "url": "http://keys.example.org", "token_file": "t"}, "keys[0]: url must be"),
        ({"url": "https://keys.example.org"}, "one of file, variable"),
        ({"transit": "one", "token_file": "t"}, "needs url"),
    ],
)
def test_tables_that_are_wrong(table: dict[str, str], told: str) -> None:
    with pytest.raises(SettingsError) as refused:
        StoreSettings(keys=[table])  # type: ignore[list-item]
    assert told in refused.value.message
