"""The policy, by way of the routers."""

from pathlib import Path
from typing import Any

import pytest

from strongroom import (
    AsyncRouter,
    Limits,
    ModelRule,
    ModelVerification,
    Revocation,
    Router,
    Sandboxing,
    Security,
    Settings,
    SettingsError,
    TrustedDigest,
    TrustError,
)
from tests.conftest import Model


def settings(**policy: Any) -> Settings:
    return Settings(
        security=Security(
            sandboxing=Sandboxing(cpu_limit=1, memory_limit="1GB"),
            model_verification=ModelVerification(**policy),
        ),
        limits=Limits(context_length=64),
    )


def test_a_loaded_model_says_why_it_is_trusted(tiny: Model, tmp_path: Path) -> None:
    record = str(tmp_path.resolve() / "strongroom.lock")
    with Router(
        settings(digests=[TrustedDigest(digest=tiny.checksum, version="1.2")], lock=record)
    ) as router:
        info = router.load("tiny", tiny.path)
        assert info.verified
        assert info.version == "1.2"
        assert info.signer is None
        rules = [line.partition(":")[0] for line in info.why]
        assert rules == ["revocation", "source", "proof", "proof", "record"]
        assert f"the digest {tiny.checksum}, named in the policy counts" in info.why[2]


def test_a_refused_model_starts_nothing_and_leaves_its_name(tiny: Model) -> None:
    refused = settings(models=[ModelRule(name="tiny", minimum_version="2.0")])
    with Router(refused) as router:
        for version in (None, "1.0"):
            with pytest.raises(TrustError) as caught:
                router.load("tiny", tiny.path, checksum=tiny.checksum, version=version)
            assert caught.value.code == "trust.version"
        assert router.models() == []
        assert router.load("tiny", tiny.path, checksum=tiny.checksum, version="2.0").version == "2.0"


@pytest.mark.asyncio
async def test_the_router_for_an_event_loop_goes_by_it_too(tiny: Model) -> None:
    revoked = settings(revoked=[Revocation(digest=tiny.checksum, reason="poisoned")])
    async with AsyncRouter(revoked) as router:
        with pytest.raises(TrustError, match="poisoned"):
            await router.load("tiny", tiny.path, checksum=tiny.checksum)
    async with AsyncRouter(settings()) as router:
        assert (await router.load("tiny", tiny.path, checksum=tiny.checksum, version="3")).version == "3"
    with pytest.raises(SettingsError):
        AsyncRouter(settings(trusted_sources=["/nonexistent/root"]))
