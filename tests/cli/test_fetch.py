import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from strongroom import sign_manifest
from tests.cli.commands import strongroom
from tests.conftest import Model
from tests.hosts import Host, serving
from tests.models.signing import key
from tests.signers import key_pair, openssl_sign


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


def test_a_signature_or_a_manifest_proves_it(host: Host, tiny: Model, tmp_path: Path) -> None:
    model = host.folder / "tiny.gguf"
    model.write_bytes(tiny.path.read_bytes())
    private, public = key_pair("p256", tmp_path)
    openssl_sign("p256", private, model, host.folder / "tiny.gguf.sig")
    pair = key(tmp_path)
    sign_manifest(host.folder, private_key=pair.private, output=host.folder / "model.sig")
    url = f"{host.url}/tiny.gguf"
    signature = ("--signature", f"{url}.sig", "--public-key", str(public))
    manifest = ("--manifest", f"{host.url}/model.sig", "--public-key", str(pair.public))
    run = strongroom("fetch", url, *signature, *options(host, tmp_path))
    assert run.returncode == 0, run.stderr
    assert "signed by sha256:" in run.stderr
    assert "ECDSA on P-256 over sha256" in run.stderr
    seen = json.loads(strongroom("fetch", url, *signature, *options(host, tmp_path), "--json").stdout)
    assert seen["cached"]
    assert seen["signer"].startswith("sha256:")
    run = strongroom("fetch", url, *manifest, *options(host, tmp_path))
    assert run.returncode == 0, run.stderr
    assert Path(run.stdout.strip()).read_bytes() == tiny.path.read_bytes()
    other = ("--signature", f"{url}.sig", "--public-key", str(pair.public))
    run = strongroom("fetch", url, *other, *options(host, tmp_path))
    assert run.returncode == 1
    assert "[signature.invalid]" in run.stderr
    run = strongroom("fetch", url, "--public-key", public, *options(host, tmp_path))
    assert "signature must be named" in run.stderr
    run = strongroom("fetch", url, "--identity", "me@example.org", *options(host, tmp_path))
    assert "[option.out_of_range]" in run.stderr


def test_run_takes_a_source_with_its_signature(host: Host, tiny: Model, tmp_path: Path) -> None:
    model = host.folder / "tiny.gguf"
    model.write_bytes(tiny.path.read_bytes())
    private, public = key_pair("ed25519", tmp_path)
    openssl_sign("ed25519", private, model, host.folder / "tiny.gguf.sig")
    (config := tmp_path / "strongroom.toml").write_text(
        f'[sources]\nhosts = ["{host.url}"]\nca_file = "{host.ca_file}"\n'
        f'[sources.danger_allow_addresses]\n"{host.url}" = ["127.0.0.0/8"]\n'
    )
    config.chmod(0o600)
    url = f"{host.url}/tiny.gguf?token=SECRET"
    proofs = ("--signature", f"{host.url}/tiny.gguf.sig", "--public-key", public)
    run = strongroom(
        "run",
        url,
        "Hello",
        "--max-tokens",
        "2",
        *proofs,
        "--config",
        config,
        environment={"XDG_CACHE_HOME": str(tmp_path / "xdg")},
    )
    assert run.returncode == 0, run.stderr
    assert "signed by sha256:" in run.stderr
    assert "SECRET" not in run.stderr + run.stdout


def test_parts_are_fetched_together(host: Host, specimen: Path, tmp_path: Path) -> None:
    subprocess.run([specimen, "parts", host.folder / "tiny"], check=True)
    parts = sorted(host.folder.glob("*.gguf"))
    proofs = [word for part in parts for word in ("--checksum", Model.of(part).checksum)]
    run = strongroom("fetch", f"{host.url}/{parts[0].name}", *proofs, *options(host, tmp_path), "--json")
    assert run.returncode == 0, run.stderr
    seen = json.loads(run.stdout)
    assert [Path(part).read_bytes() for part in seen["parts"]] == [part.read_bytes() for part in parts]
    shown = strongroom("inspect", seen["path"])
    assert shown.returncode == 0, shown.stderr
