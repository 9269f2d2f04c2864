"""What a signature adds to a load: `make bench-signatures`.

Reading key and signature and verifying over a digest is measured alone, on a file of one page, since a
load of a large one swings by more. A signature over another digest than the checksum's is measured on the
model, against the same load and that digest one after the other.
"""

from __future__ import annotations

import argparse
import hashlib
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

import strongroom
from benches.pairs import Goal, alternate
from strongroom import _core

if TYPE_CHECKING:
    from strongroom.models.signing import KeyKind

GOAL_SECONDS = 0.005
RUNS = 51
KINDS: tuple[tuple[KeyKind, str], ...] = (
    ("p256", "pkcs1"),
    ("p384", "pkcs1"),
    ("p521", "pkcs1"),
    ("rsa2048", "pkcs1"),
    ("rsa3072", "pss"),
    ("rsa4096", "pss"),
)


def pair(folder: Path, kind: KeyKind) -> tuple[Path, Path]:
    """Make a key pair: private, public."""
    private, public = folder / f"{kind}.key", folder / f"{kind}.pub"
    strongroom.generate_key(kind, private_key=private, public_key=public)
    return private, public


def own_digest(folder: Path, kind: KeyKind, padding: str) -> float:
    """Measure the median seconds of reading key and signature, and verifying a page."""
    private, public = pair(folder, kind)
    page = folder / f"{kind}.page"
    page.write_bytes(bytes(4096))
    options = {"rsa_padding": padding} if kind.startswith("rsa") else {}
    strongroom.sign(page, private_key=private, **options)  # type: ignore[arg-type]
    seconds = []
    for _ in range(RUNS):
        start = time.perf_counter()
        strongroom.verify_signature(page, public_key=public)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def other_digest(model: Path, folder: Path, console: Console) -> None:
    """Compare one pass for two digests with a load and a pass after it."""
    apart = folder / "other"
    apart.mkdir()
    private, public = pair(apart, "p384")
    with model.open("rb") as file:
        checksum = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    signature = folder / "model.sig"
    strongroom.sign(model, private_key=private, output=signature)

    def one_pass() -> float:
        start = time.perf_counter()
        image = _core.Image.load(
            str(model), checksum=checksum, signature=str(signature), public_key=str(public)
        )
        seconds = time.perf_counter() - start
        del image
        return seconds

    def one_after_the_other() -> float:
        start = time.perf_counter()
        image = _core.Image.load(str(model), checksum=checksum)
        strongroom.verify_signature(model, public_key=public, signature=signature)
        seconds = time.perf_counter() - start
        del image
        return seconds

    measured = alternate(
        "a signature over another digest, in the load's own pass",
        one_pass,
        one_after_the_other,
        unit="s",
        goal=Goal(1, at_least=False),
        progress=lambda _: None,
    )
    interval = f"{measured.low:.3f} to {measured.high:.3f}"
    console.print(
        f"{measured.name}: {measured.ratio:.3f} ({interval}) of a pass of its own "
        f"[{measured.goal}: {measured.verdict}]",
        markup=False,
        soft_wrap=True,
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    model = parser.parse_args().model
    console = Console(highlight=False)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for kind, padding in KINDS:
            seconds = own_digest(folder, kind, padding)
            verdict = "met" if seconds < GOAL_SECONDS else "missed"
            how = f" {padding}" if kind.startswith("rsa") else ""
            console.print(
                f"a signature by {kind}{how} over the load's own digest adds {seconds * 1e3:.2f} ms "
                f"[< 5 ms: {verdict}]",
                markup=False,
                soft_wrap=True,
            )
        other_digest(model, folder, console)


if __name__ == "__main__":
    main()
