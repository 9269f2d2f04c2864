import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.commands import strongroom
from tests.conftest import Model
from tests.hosts import Host, serving


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    with serving(tmp_path) as host:
        yield host


def options(host: Host, tmp_path: Path) -> list[str]:
    trust = ["--allow-host", host.url, "--ca-file", str(host.ca_file)]
    return [*trust, "--danger-allow-address", f"{host.url}=127.0.0.0/8", "--cache", str(tmp_path / "cache")]


def test_the_path_is_printed(host: Host, tiny: Model, tmp_path: Path) -> None:
    (host.folder / "m").write_bytes(tiny.path.read_bytes())
    arguments = ["fetch", f"{host.url}/m", "--checksum", tiny.checksum, *options(host, tmp_path)]
    run = strongroom(*arguments)
    assert run.returncode == 0, run.stderr
    assert Path(run.stdout.strip()).read_bytes() == tiny.path.read_bytes()
    assert f"checked {tiny.checksum}" in run.stderr
    seen = json.loads(strongroom(*arguments, "--json").stdout)
    assert seen["cached"]
    assert seen["digest"] == tiny.checksum
    assert host.requests == ["/m"]


def test_refusals_name_what_to_set(host: Host, tmp_path: Path) -> None:
    url = f"{host.url}/m?token=SECRET"
    run = strongroom("fetch", url, "--checksum", "sha256:" + "0" * 64, "--cache", tmp_path / "cache")
    assert run.returncode == 1
    assert "[fetch.host]" in run.stderr
    assert host.url in run.stderr
    assert "SECRET" not in run.stderr
    run = strongroom("fetch", url, "--json", *options(host, tmp_path))
    assert json.loads(run.stdout)["error"]["code"] == "trust.no_proof"
    run = strongroom("fetch", url, "--danger-allow-address", "10.0.0.0/8")
    assert "[option.wrong_type]" in run.stderr
    assert run.stdout == ""
