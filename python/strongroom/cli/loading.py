"""Loading a model in view: the digest as it is checked, then the sandbox's report."""

import os
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from rich.table import Table

from strongroom._core import Layer
from strongroom.cli.progress import checking
from strongroom.cli.terminal import note, notes, plain
from strongroom.models.parts import file_name
from strongroom.models.proofs import Given
from strongroom.models.side_files import there
from strongroom.results import ModelInfo
from strongroom.router.registry import MAX_NAME
from strongroom.router.router import Router
from strongroom.settings import Settings

__all__ = ["Load", "loaded", "name_of", "sandbox_table", "summary"]

PART = re.compile(r"-\d{5}-of-\d{5}\Z", re.ASCII)
STYLES = {"in_force": "green", "absent": "yellow", "off": "bold red"}


@dataclass(frozen=True)
class Load:
    """What `run` and `doctor` load, and how."""

    model: str
    settings: Settings
    given: Given
    chat_template: str | None = None
    allow_architectures: Sequence[str] = ()
    name: str | None = None
    version: str | None = None


def name_of(model: str, name: str | None) -> str:
    """Return the name that a model is loaded and recorded under: the one given, or its file's."""
    if name is not None:
        return name
    source = there(model)
    file = os.path.basename(model) if source is None else file_name(source)  # noqa: PTH119 - any text
    found = PART.sub("", file.removesuffix(".gguf")).strip()
    return found if found.isprintable() and 1 <= len(found) <= MAX_NAME else "model"


@contextmanager
def loaded(load: Load, *, quiet: bool = False) -> Iterator[tuple[Router, ModelInfo, float]]:
    """Load a model and say what was checked and what is in force; yields also the seconds it took."""
    with Router(load.settings) as router:
        start = time.perf_counter()
        named = load.given.checksum
        what = named if isinstance(named, str) else load.model.partition("?")[0]
        with checking(what, quiet=quiet) as progress:
            info = router.load(
                name_of(load.model, load.name),
                load.model,
                checksum=load.given.checksum,
                version=load.version,
                signature=load.given.signature,
                public_key=load.given.public_key,
                hash=load.given.hash,
                manifest=load.given.manifest,
                chat_template=load.chat_template,
                allow_architectures=load.allow_architectures,
                progress=progress,
            )
        seconds = time.perf_counter() - start
        if not quiet:
            show(info)
        yield router, info, seconds


def show(info: ModelInfo) -> None:
    """Print the digest, the findings and the sandbox's report on standard error."""
    read = f"({info.size / 1e6:.1f} MB in {info.image_seconds:.2f} s)"
    if info.verified:
        note("checked", f"{info.digest} {read}", "bold green")
    else:
        note("NOT CHECKED", f"{info.digest} {read}: nothing proves that this is the model", "bold red")
    for evidence in info.evidence[:1]:  # all parts by the one key that was given
        note("signed", f"by {evidence.signer}, {evidence.how}", "bold green")
    if info.signer is not None and not info.evidence:
        note("signed", f"by {plain(info.signer).plain}, in a manifest", "bold green")
    for finding in info.findings:
        note("finding", f"{finding.message} [{finding.code}]", "yellow")
    worker = f"worker {info.pid} ({info.instruction_set})"
    note("sandbox", f"{summary(info.sandbox)}, isolation {info.isolation}, {worker}")
    notes().print(sandbox_table(info.sandbox))


def summary(layers: Sequence[Layer]) -> str:
    """Count the layers in force."""
    return f"{sum(layer.state == 'in_force' for layer in layers)} of {len(layers)} layers in force"


def sandbox_table(layers: Sequence[Layer]) -> Table:
    """Lay out the sandbox's report."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 2))
    for layer in layers:
        state = plain(layer.state.replace("_", " "), STYLES.get(layer.state, ""))
        table.add_row(plain(layer.name), state, plain(layer.detail, "dim"))
    return table
