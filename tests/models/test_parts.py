"""Models in parts: each part proved, all of them one image, anything else refused."""

import hashlib
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from strongroom import (
    ChecksumError,
    ModelVerification,
    PreflightError,
    Revocation,
    Router,
    Security,
    Settings,
    SignatureError,
    SourceError,
    StrongroomError,
    TrustedDigest,
    TrustError,
    _core,
)
from strongroom.models.parts import parts_of
from tests.cli.commands import strongroom
from tests.conftest import Model, settings
from tests.signers import key_pair, openssl_sign


def digest_of(path: Path) -> bytes:
    return hashlib.sha256(path.read_bytes()).digest()


def checksums(parts: Sequence[Path]) -> list[str]:
    return [f"sha256:{digest_of(part).hex()}" for part in parts]


def whole(parts: Sequence[Path]) -> str:
    """The digest of the parts' digests, as OpenSSF Model Signing names a model."""
    return f"sha256:{hashlib.sha256(b''.join(map(digest_of, parts))).hexdigest()}"


@pytest.fixture
def parts(specimen: Path, tmp_path: Path) -> list[Path]:
    """The tiny model in three parts."""
    subprocess.run([specimen, "parts", tmp_path / "tiny"], check=True)
    found = sorted(tmp_path.glob("tiny-*.gguf"))
    assert [path.name for path in found] == [f"tiny-0000{number}-of-00003.gguf" for number in (1, 2, 3)]
    return found


def code_of(path: Path, checksum: object) -> str:
    with Router(settings()) as router, pytest.raises(StrongroomError) as caught:
        router.load("tiny", path, checksum=checksum)  # type: ignore[arg-type]
    return caught.value.code


def test_the_parts_are_the_model_that_was_split(parts: list[Path], tiny: Model) -> None:
    with Router(settings()) as router:
        one = router.load("one", tiny.path, checksum=tiny.checksum)
        each = router.load("each", parts[0], checksum=checksums(parts))
        root = router.load("root", str(parts[0]), checksum=whole(parts))
        assert each.verified
        assert root.verified
        assert each.digest == root.digest == whole(parts)
        assert each.size == one.size
        answers = {
            router.complete("the", model=name, max_tokens=16, temperature=0).text
            for name in ("one", "each", "root")
        }
        assert len(answers) == 1


def test_every_part_is_read_once_and_the_image_is_that_of_the_whole(parts: list[Path], tiny: Model) -> None:
    seen: list[tuple[int, int]] = []
    image = _core.Image.load(
        str(parts[0]),
        checksum=None,
        parts=[str(part) for part in parts],
        part_checksums=checksums(parts),
        progress=lambda done, total: seen.append((done, total)),
    )
    total = sum(part.stat().st_size for part in parts)
    assert seen[-1] == (total, total)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert image.size == tiny.path.stat().st_size


def test_a_digest_that_is_not_that_of_each_part(parts: list[Path], tiny: Model) -> None:
    right = checksums(parts)
    assert code_of(parts[0], tiny.checksum) == "checksum.mismatch"
    assert code_of(parts[0], [right[0], right[2], right[1]]) == "checksum.mismatch"
    assert code_of(parts[0], right[:2]) == "checksum.parts"
    assert code_of(parts[0], [*right, right[0]]) == "checksum.parts"
    assert code_of(tiny.path, right) == "checksum.parts"
    assert code_of(parts[0], []) == "option.wrong_type"
    assert code_of(parts[0], [right[0], 5, right[2]]) == "option.wrong_type"
    assert code_of(parts[0], [right[0], "sha256:zz", right[2]]) == "checksum.malformed"


@pytest.mark.parametrize("number", [0, 1, 2])
def test_one_changed_byte_anywhere(parts: list[Path], number: int) -> None:
    right, root = checksums(parts), whole(parts)
    content = bytearray(parts[number].read_bytes())
    for place in (30, len(content) // 2, len(content) - 1):
        changed = content.copy()
        changed[place] ^= 1
        parts[number].write_bytes(changed)
        # Preflight may find it first, where a header no longer is one.
        assert code_of(parts[0], right) in {"checksum.mismatch"} | gguf()
        assert code_of(parts[0], root) in {"checksum.mismatch"} | gguf()


def gguf() -> set[str]:
    return {code for code in _core.error_codes() if code.startswith("gguf.")}


def test_without_proof_the_digest_is_named(parts: list[Path]) -> None:
    with Router(settings()) as router, pytest.raises(TrustError, match=whole(parts)) as caught:
        router.load("tiny", parts[0])
    assert caught.value.code == "trust.no_proof"


def test_a_missing_part(parts: list[Path]) -> None:
    right = checksums(parts)
    parts[1].unlink()
    with Router(settings()) as router, pytest.raises(SourceError, match="00002-of-00003") as caught:
        router.load("tiny", parts[0], checksum=right)
    assert caught.value.code == "source.missing"


def test_an_extra_part(parts: list[Path]) -> None:
    for name in ("tiny-00004-of-00003.gguf", "tiny-00001-of-00002.gguf"):
        extra = parts[0].with_name(name)
        shutil.copy(parts[2], extra)
        assert code_of(parts[0], checksums(parts)) == "source.parts"
        extra.unlink()
    shutil.copy(parts[2], parts[0].with_name("other-00004-of-00003.gguf"))
    with Router(settings()) as router:
        router.load("tiny", parts[0], checksum=checksums(parts))


def test_parts_out_of_order_or_of_another_model(parts: list[Path], tmp_path: Path) -> None:
    spare = tmp_path / "spare"
    parts[1].rename(spare)
    parts[2].rename(parts[1])
    spare.rename(parts[2])
    assert code_of(parts[0], checksums(parts)) == "gguf.split_order"
    # Two models of two parts each, one part of either.
    shutil.copy(parts[0], tmp_path / "mixed-00001-of-00002.gguf")
    shutil.copy(parts[2], tmp_path / "mixed-00002-of-00002.gguf")
    mixed = [tmp_path / f"mixed-0000{number}-of-00002.gguf" for number in (1, 2)]
    assert code_of(mixed[0], checksums(mixed)) == "gguf.split_count"


def test_a_part_that_contradicts_the_first(parts: list[Path]) -> None:
    content = parts[2].read_bytes()
    # Without the key, under a name that the first part doesn't have.
    parts[2].write_bytes(content.replace(b"split.tensors.count", b"split.tensors.coumt", 1))
    assert code_of(parts[0], checksums(parts)) == "gguf.split_foreign"


def test_another_part_than_the_first_is_named(parts: list[Path]) -> None:
    assert code_of(parts[1], checksums(parts)) == "source.parts"
    assert code_of(parts[0].with_name("x-00001-of-00001.gguf"), "sha256:" + "0" * 64) == "source.parts"
    assert code_of(parts[0].with_name("x-00001-of-09999.gguf"), "sha256:" + "0" * 64) == "source.parts"


def test_a_part_elsewhere(parts: list[Path], tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    right = checksums(parts)
    parts[2].rename(elsewhere / "part")
    parts[2].symlink_to(elsewhere / "part")
    assert code_of(parts[0], right) == "source.scattered"
    # All of them behind links into one folder are as good as files there.
    for part in parts[:2]:
        part.rename(elsewhere / part.name)
        part.symlink_to(elsewhere / part.name)
    with Router(settings()) as router:
        router.load("tiny", parts[0], checksum=right)


def sign_all(kind: str, parts: Sequence[Path]) -> Path:
    """Sign each part with one key, which stands elsewhere."""
    keys = parts[0].parent / "keys"
    keys.mkdir()
    private, public = key_pair(kind, keys)
    for part in parts:
        openssl_sign(kind, private, part, part.with_name(part.name + ".sig"))
    return public


def test_each_part_s_signature_has_to_hold_besides_the_checksum(parts: list[Path]) -> None:
    public = sign_all("p256", parts)
    with Router(settings()) as router:
        for checksum in (whole(parts), checksums(parts)):
            info = router.load("tiny", parts[0], public_key=public, checksum=checksum)
            assert info.verified
            assert len(info.evidence) == 3
            assert [evidence.digest for evidence in info.evidence] == checksums(parts)
            assert info.digest == whole(parts)
            assert info.signer == info.evidence[0].signer
            router.unload("tiny")
        with pytest.raises(ChecksumError):
            router.load("tiny", parts[0], public_key=public, checksum="sha256:" + "0" * 64)
        first = parts[0].with_name(parts[0].name + ".sig")
        shutil.copy(first, parts[2].with_name(parts[2].name + ".sig"))
        with pytest.raises(SignatureError) as caught:
            router.load("tiny", parts[0], public_key=public, checksum=whole(parts))
        assert caught.value.code == "signature.invalid"
        parts[2].with_name(parts[2].name + ".sig").unlink()
        with pytest.raises(SourceError, match=r"00003-of-00003\.gguf\.sig"):
            router.load("tiny", parts[0], public_key=public, checksum=whole(parts))


def under(policy: ModelVerification, verification: Any = "always") -> Settings:
    return Settings(security=Security(verification=verification, model_verification=policy))


def test_signatures_alone_do_not_make_parts_one_model(parts: list[Path]) -> None:
    """One key signed the parts of two models: one part of the other has a signature that holds."""
    content = parts[2].read_bytes()
    parts[2].write_bytes(content[:-64] + bytes(64))
    public = sign_all("p256", parts)
    assert content != parts[2].read_bytes()
    policy = ModelVerification(proof="signature")
    for chosen in (settings(), under(policy), under(ModelVerification(), "danger-none")):
        with Router(chosen) as router, pytest.raises(SignatureError, match=whole(parts)) as caught:
            router.load("tiny", parts[0], public_key=public)
        assert caught.value.code == "signature.parts"
        for way in ("manifest=", "checksum="):
            assert way in caught.value.next_step
    operator = ModelVerification(digests=[TrustedDigest(digest=whole(parts))])
    with Router(under(operator)) as router:
        assert len(router.load("tiny", parts[0], public_key=public).evidence) == 3


def test_a_revoked_part(parts: list[Path]) -> None:
    sha512 = f"sha512:{hashlib.sha512(parts[1].read_bytes()).hexdigest()}"
    for revoked in (*checksums(parts), sha512, whole(parts)):
        policy = ModelVerification(revoked=[Revocation(digest=revoked, reason="withdrawn")])
        for checksum in (whole(parts), checksums(parts)):
            with Router(under(policy)) as router, pytest.raises(TrustError, match=revoked) as caught:
                router.load("tiny", parts[0], checksum=checksum)
            assert caught.value.code == "trust.revoked"


def test_the_digests_of_every_part_are_known(parts: list[Path], tiny: Model) -> None:
    image = _core.Image.load(
        str(parts[0]), checksum=whole(parts), parts=list(map(str, parts)), algorithms=["sha512"]
    )
    assert [digests[0] for digests in image.part_digests] == checksums(parts)
    assert [digests[1].partition(":")[0] for digests in image.part_digests] == ["sha512"] * 3
    assert _core.Image.load(str(tiny.path), checksum=tiny.checksum).part_digests == []


def test_a_signature_over_the_bytes_of_a_part_is_refused(parts: list[Path]) -> None:
    """Pure Ed25519 needs the whole message, and what a part's header was is not kept."""
    public = sign_all("ed25519", parts)
    with Router(settings()) as router, pytest.raises(SignatureError) as caught:
        router.load("tiny", parts[0], public_key=public, checksum=whole(parts))
    assert caught.value.code == "signature.incomplete"


def test_a_signature_can_t_be_named_for_all_parts(parts: list[Path]) -> None:
    public = sign_all("p256", parts)
    signature = parts[0].with_name(parts[0].name + ".sig")
    with Router(settings()) as router, pytest.raises(StrongroomError, match="signature") as caught:
        router.load("tiny", parts[0], public_key=public, signature=signature)
    assert caught.value.code == "option.out_of_range"


def test_headers_that_are_no_parts(tiny: Model, parts: list[Path]) -> None:
    shutil.copy(tiny.path, parts[2])
    assert code_of(parts[0], checksums(parts)) == "gguf.split"
    parts[2].write_bytes(b"")
    assert code_of(parts[0], whole(parts)) == "source.empty"
    parts[2].write_bytes(b"GGUF")
    with Router(settings()) as router, pytest.raises(PreflightError, match="00003-of-00003"):
        router.load("tiny", parts[0], checksum=whole(parts))


def test_names(tmp_path: Path) -> None:
    assert parts_of("model.gguf") == []
    assert parts_of("model-1-of-2.gguf") == []
    assert parts_of(f"{tmp_path}/a-00001-of-00002.gguf") == [
        f"{tmp_path}/a-00001-of-00002.gguf",
        f"{tmp_path}/a-00002-of-00002.gguf",
    ]


def test_at_the_command_line(parts: list[Path]) -> None:
    run = strongroom("run", parts[0], "Hello", "--max-tokens", "3", "--checksum", whole(parts))
    assert run.returncode == 0, run.stderr
    assert f"checked {whole(parts)}" in run.stderr
    each = [argument for checksum in checksums(parts) for argument in ("--checksum", checksum)]
    run = strongroom("run", parts[0], "Hello", "--max-tokens", "3", *each)
    assert run.returncode == 0, run.stderr
    why = strongroom("trust", "why", parts[0], *each)
    assert "is trusted" in why.stdout
    with pytest.raises(ChecksumError):
        _core.Image.load(str(parts[0]), checksum=whole(parts))
