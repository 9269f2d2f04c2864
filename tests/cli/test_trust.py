import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from strongroom import load_settings
from strongroom.trust import lock
from tests.cli.commands import strongroom
from tests.configuration.files import BARE, written
from tests.conftest import Model

D1 = "sha256:" + "1" * 64
K1 = "sha256:" + "a" * 64


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return written(tmp_path.resolve(), "# mine\n[trust]\n")


def policy_of(config: Path) -> Any:
    return load_settings(config, environment=BARE).security.model_verification


def rows(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines() if line.split()]


def test_show_says_what_holds_and_where_it_is_set(config: Path, tiny: Model) -> None:
    strongroom("trust", "add", "--digest", D1, "--name", "smol", "--config", config)
    lock.hold(str(config.parent / "strongroom.lock"), "smol", lock.Record(D1, "someone", "1.0"))
    run = strongroom("trust", "show", "--config", config)
    assert run.returncode == 0
    found = {row[0]: row[1:] for row in rows(run.stdout)}
    assert found["trust.digests"][:4] == ["digest", "=", f"{D1},", "name"]
    assert found["trust.digests"][-1].startswith(f"{config}:")
    assert found["trust.proof"] == ["digest", "default"]
    assert found["smol"] == [D1, "1.0", "someone"]
    told = json.loads(strongroom("trust", "show", "--config", config, "--json").stdout)
    assert told["file"] == str(config)
    assert told["policy"]["digests"] == [{"digest": D1, "name": "smol"}]
    assert told["records"] == {"smol": {"digest": D1, "signer": "someone", "version": "1.0"}}
    assert tiny.checksum not in run.stdout


def test_show_of_a_bad_policy_and_a_bad_record(config: Path) -> None:
    (config.parent / "strongroom.lock").write_text("{}")
    run = strongroom("trust", "show", "--config", config)
    assert run.returncode == 1
    assert "[trust.lock_malformed]" in run.stderr
    written(config.parent, "[trust]\nprof = 1")
    error = json.loads(strongroom("trust", "show", "--config", config, "--json").stdout)["error"]
    assert error["code"] == "settings.unknown_option"


def test_add_digests_sources_and_signers(config: Path) -> None:
    for arguments in (
        ["--digest", D1, "--name", "smol*", "--model-version", "1.2"],
        ["--signer", "acme", "--key", K1, "--models", "acme-*", "--models", "smol"],
        [
            *("--signer", "release", "--identity", "a@acme.com", "--issuer", "https://issuer.example"),
            *("--trusted-root", K1),
        ],
        ["--signer", "house", "--root", K1],
        ["--source", "/srv/models"],
        ["--source", "https://example.com:8443", "--proof", "signature", "--signer", "acme"],
    ):
        run = strongroom("trust", "add", *arguments, "--config", config)
        assert run.returncode == 0, run.stderr
        assert run.stderr.startswith("added to trust.")
        assert str(config) in run.stderr
    policy = policy_of(config)
    assert [(entry.digest, entry.name, entry.version) for entry in policy.digests] == [(D1, "smol*", "1.2")]
    assert [signer.name for signer in policy.signers] == ["acme", "release", "house"]
    assert policy.signers[1].trusted_root == K1
    assert policy.signers[0].models == ("acme-*", "smol")
    assert [str(source) for source in policy.sources] == ["/srv/models", "https://example.com:8443"]
    assert (policy.sources[1].proof, policy.sources[1].signers) == ("signature", ("acme",))
    assert config.read_text().startswith("# mine\n[trust]\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ["add", "--name", "smol"],
        ["add", "--digest", D1, "--source", "/srv"],
        ["add", "--digest", D1, "--proof", "oms"],
        ["add", "--digest", D1, "--signer", "acme"],
        ["add", "--digest", D1, "--models", "a"],
        ["add", "--source", "/srv", "--model-version", "1"],
        ["add", "--source", "/srv", "--name", "a"],
        ["add", "--source", "/srv", "--trusted-root", K1],
        ["add", "--key", K1],
        ["add", "--key", K1, "--signer", "a", "--signer", "b"],
        ["add", "--key", K1, "--signer", "a", "--proof", "oms"],
        ["add", "--signer", "a"],
        ["revoke", "--reason", "x"],
        ["revoke", "--digest", D1],
        ["revoke", "--digest", D1, "--key", K1, "--reason", "x"],
        ["accept", "smol"],
        ["why"],
        ["forget"],
    ],
)
def test_misuse_is_exit_code_2(arguments: list[str], config: Path) -> None:
    file = ("--config", config) if len(arguments) > 1 else ()
    run = strongroom("trust", *arguments, *file)
    assert run.returncode == 2
    assert config.read_text() == "# mine\n[trust]\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["add", "--digest", "sha256:00"],
        ["add", "--source", "http://example.com"],
        ["add", "--source", "/srv/../etc"],
        ["add", "--signer", "a", "--key", "sha256:00"],
        ["add", "--signer", "a", "--identity", "a@b"],
        ["revoke", "--digest", "md5:00", "--reason", "x"],
        ["revoke", "--digest", D1, "--reason", ""],
    ],
)
def test_what_the_policy_refuses_is_exit_code_1(arguments: list[str], config: Path) -> None:
    run = strongroom("trust", *arguments, "--config", config)
    assert run.returncode == 1
    assert "[settings.invalid]" in run.stderr
    assert config.read_text() == "# mine\n[trust]\n"


def test_what_is_revoked_is_not_run(config: Path, tiny: Model) -> None:
    command = ("run", tiny.path, "Hi", "--checksum", tiny.checksum, "--max-tokens", "2", "--config", config)
    assert strongroom(*command).returncode == 0
    other = f"sha512:{hashlib.sha512(tiny.path.read_bytes()).hexdigest()}"
    run = strongroom("trust", "revoke", "--digest", other, "--reason", "it was poisoned", "--config", config)
    assert run.returncode == 0
    for more in ((), ("--danger-no-verification",)):
        run = strongroom(*command, *more)
        assert run.returncode == 1
        assert "is revoked: it was poisoned [trust.revoked]" in run.stderr
    run = strongroom("trust", "revoke", "--digest", other, "--reason", "again", "--config", config)
    assert run.returncode == 1
    assert "twice" in run.stderr


def test_a_changed_model_is_refused_until_it_is_accepted(
    config: Path, tiny: Model, untemplated: Model, tmp_path: Path
) -> None:
    path = tmp_path / "smol.gguf"
    path.write_bytes(tiny.path.read_bytes())
    options = ("--max-tokens", "2", "--complete", "--config", config)
    first = strongroom("run", path, "Hi", "--checksum", tiny.checksum, "--model-version", "1.0", *options)
    assert first.returncode == 0, first.stderr
    path.write_bytes(untemplated.path.read_bytes())
    second = ("run", path, "Hi", "--checksum", untemplated.checksum, "--model-version", "1.1", *options)
    refused = strongroom(*second)
    assert refused.returncode == 1
    assert "[trust.changed]" in refused.stderr
    following = refused.stderr.splitlines()[-1].partition("strongroom trust accept ")[2]
    record = str(config.parent / "strongroom.lock")
    assert following.split() == ["smol", untemplated.checksum, "--model-version", "1.1", "--lock", record]
    accepted = strongroom("trust", "accept", *following.split())
    assert accepted.returncode == 0
    assert tiny.checksum in accepted.stderr
    assert strongroom(*second).returncode == 0
    # Under another name it is another model.
    assert strongroom("run", tiny.path, "Hi", "--checksum", tiny.checksum, *options).returncode == 0
    named = strongroom("run", tiny.path, "Hi", "--checksum", tiny.checksum, "--name", "smol", *options)
    assert "[trust.changed]" in named.stderr


def test_doctor_goes_by_policy_and_record_too(config: Path, tiny: Model) -> None:
    written(config.parent, "[trust]\n[[trust.models]]\nname = 'smol'\nminimum_version = '2.0'\n")
    command = ("doctor", tiny.path, "--checksum", tiny.checksum, "--name", "smol", "--config", config)
    assert "[trust.version]" in strongroom(*command).stderr
    assert strongroom(*command, "--model-version", "2.0").returncode == 0
    assert lock.read(str(config.parent / "strongroom.lock")) == {
        "smol": lock.Record(tiny.checksum, None, "2.0")
    }


def test_accept(config: Path, tmp_path: Path) -> None:
    path = str(tmp_path.resolve() / "other.lock")
    run = strongroom("trust", "accept", "smol", D1, "--lock", path, "--signer", K1, "--model-version", "2")
    assert run.returncode == 0
    assert lock.read(path) == {"smol": lock.Record(D1, K1, "2")}
    assert "it was not recorded" in run.stderr
    off = strongroom("trust", "accept", "smol", D1)
    assert "trust.lock is off" in off.stderr
    for bad in (["smol", "sha256:00"], ["smol", D1, "--model-version", "x"], ["smol", D1, "--signer", ""]):
        assert "[settings.invalid]" in strongroom("trust", "accept", *bad, "--lock", path).stderr
    assert "[router.invalid_name]" in strongroom("trust", "accept", " ", D1, "--lock", path).stderr
    strongroom("trust", "revoke", "--digest", D1, "--reason", "x", "--config", config)
    refused = strongroom("trust", "accept", "smol", D1, "--config", config)
    assert "[trust.revoked]" in refused.stderr
    assert not (config.parent / "strongroom.lock").exists()


def test_why_says_each_step_and_records_nothing(config: Path, tiny: Model) -> None:
    run = strongroom("trust", "why", tiny.path, "--checksum", tiny.checksum, "--config", config)
    assert run.returncode == 0
    table = [row[:2] for row in rows(run.stdout)]
    for rule in ("revocation", "source", "proof", "record"):
        assert [rule, "passed"] in table
    assert tiny.checksum in run.stdout
    assert not (config.parent / "strongroom.lock").exists()
    told = json.loads(
        strongroom(
            "trust", "why", tiny.path, "--checksum", tiny.checksum, "--config", config, "--json"
        ).stdout
    )
    assert told["trusted"] is True
    assert told["name"] == "tiny"
    assert told["source"] == str(tiny.path.resolve())
    assert told["steps"][-1]["rule"] == "record"
    assert {step["passed"] for step in told["steps"]} == {True}


def test_why_says_what_refuses(config: Path, tiny: Model) -> None:
    written(config.parent, "[trust]\nmax_size = 5\narchitectures = ['qwen2']\nproof = 'signature'\n")
    run = strongroom("trust", "why", tiny.path, "--checksum", tiny.checksum, "--config", config)
    assert run.returncode == 1
    refused = {row[0] for row in rows(run.stdout) if row[1] == "refused"}
    assert refused == {"size", "architecture", "proof"}
    assert "[trust.too_large]" in run.stderr
    json_run = strongroom("trust", "why", tiny.path, "--config", config, "--json")
    assert json_run.returncode == 1
    codes = {step["code"] for step in json.loads(json_run.stdout)["steps"]}
    assert codes == {None, "trust.too_large", "trust.architecture", "trust.unsigned"}


def test_why_of_a_wrong_checksum_a_record_and_no_proof(config: Path, tiny: Model) -> None:
    zeros = "sha256:" + "0" * 64
    wrong = strongroom("trust", "why", tiny.path, "--checksum", zeros, "--config", config)
    assert wrong.returncode == 1
    assert "[checksum.mismatch]" in wrong.stderr
    malformed = strongroom("trust", "why", tiny.path, "--checksum", "sha256:00", "--config", config)
    assert "[checksum.malformed]" in malformed.stderr
    for bad in ("md5:" + "0" * 32, "0" * 64):
        assert "[checksum." in strongroom("trust", "why", tiny.path, "--checksum", bad).stderr
    nothing = strongroom("trust", "why", tiny.path, "--config", config)
    assert "[trust.no_proof]" in nothing.stderr
    lock.hold(str(config.parent / "strongroom.lock"), "tiny", lock.Record(D1))
    changed = strongroom("trust", "why", tiny.path, "--checksum", tiny.checksum, "--config", config)
    assert "[trust.changed]" in changed.stderr
    other = strongroom(
        "trust",
        "why",
        tiny.path,
        "--checksum",
        tiny.checksum.upper().replace("SHA", "sha"),
        "--name",
        "other",
    )
    assert other.returncode == 0


def test_why_of_the_named_danger(config: Path, tiny: Model) -> None:
    written(config.parent, "[security]\nverification = 'danger-none'\n")
    run = strongroom("trust", "why", tiny.path, "--config", config)
    assert run.returncode == 0
    assert "NOT CHECKED" in run.stderr
    assert "waived" in run.stdout


def test_why_of_what_is_no_model(config: Path, tmp_path: Path, models: Path) -> None:
    for path, code in ((tmp_path / "none.gguf", "source.missing"), (models / "split.gguf", "gguf.split")):
        run = strongroom("trust", "why", path, "--config", config, "--json")
        assert run.returncode == 1
        assert json.loads(run.stdout)["error"]["code"] == code


def test_names_of_files_are_shown_and_not_obeyed(tiny: Model, tmp_path: Path) -> None:
    path = tmp_path / "a\x1b[31m\n.gguf"
    path.write_bytes(tiny.path.read_bytes())
    run = strongroom("trust", "why", path, "--checksum", tiny.checksum)
    assert run.returncode == 0
    assert "\x1b" not in run.stdout + run.stderr
    assert "Why model is trusted" in run.stdout
