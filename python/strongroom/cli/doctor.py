"""`strongroom doctor`: what this machine can enforce."""

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from strongroom import _core
from strongroom.backends.local import WORKERS
from strongroom.cli.arguments import Checksums, ModelVersion, Name, checksum_of
from strongroom.cli.loading import Load, loaded, sandbox_table, summary
from strongroom.cli.store.options import AtStoreWithKeys, Json, at_store
from strongroom.cli.terminal import note, plain, report, tables, write_json
from strongroom.cli.terminal import table as empty_table
from strongroom.errors import StrongroomError
from strongroom.models.proofs import Given

__all__ = ["doctor"]

VERDICTS = {True: ("yes", "green"), False: ("no", "bold red"), None: ("", "")}


@at_store
def doctor(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="[MODEL]",
            help="A model, or a name in the store, to start a worker of; its sandbox is then reported.",
        ),
    ] = None,
    *,
    at: AtStoreWithKeys,
    checksum: Checksums = None,
    name: Name = None,
    model_version: ModelVersion = None,
    json: Json = False,
) -> None:
    """Show what this machine can enforce, and what is in force around a worker, with or without a MODEL."""
    capabilities = _core.doctor()
    # Without either there is nothing that settings could change.
    settings = None if model is None and at.config is None else at.settings()
    if model is None or settings is None:
        sandbox = rehearsed()
    else:
        sandbox = started(
            Load(model, settings, Given(checksum=checksum_of(checksum)), name=name, version=model_version)
        )
    layers = [] if isinstance(sandbox, StrongroomError) else sandbox
    if json:
        write_json(json_of_machine(capabilities, layers))
    else:
        show(capabilities)
        around = "a worker before it loads a model" if model is None else plain(model).plain
        if layers:
            tables().print(f"\nThe sandbox around {around}: {summary(layers)}", soft_wrap=True)
            tables().print(sandbox_table(layers))
    if isinstance(sandbox, StrongroomError):
        report(sandbox)
        raise typer.Exit(1)


def show(capabilities: Sequence[_core.Capability]) -> None:
    """Print what the machine has."""
    table = empty_table("What this machine can enforce")
    for column in ("capability", "value", "enough", "detail"):
        table.add_column(column)
    for row in capabilities:
        verdict, style = VERDICTS[row.ok]
        table.add_row(plain(row.name), plain(row.value), plain(verdict, style), plain(row.detail, "dim"))
    tables().print(table)
    if any(row.ok is False for row in capabilities):
        note("note:", 'a "no" rules out isolation="maximum", or every isolation; its detail says which')


def rehearsed() -> Sequence[_core.Layer] | StrongroomError:
    """Start a worker, with the defaults, that locks itself in and is ended; or say why that failed."""
    try:
        return _core.rehearse(str(WORKERS))
    except StrongroomError as error:
        return error


def started(load: Load) -> Sequence[_core.Layer]:
    """Start a worker of a model and end it."""
    with loaded(load, quiet=True) as (_, info, _):
        return info.sandbox


def json_of_machine(
    capabilities: Sequence[_core.Capability], sandbox: Sequence[_core.Layer]
) -> dict[str, list[dict[str, Any]]]:
    """Return what was found for programs."""
    return {
        "capabilities": [
            {"name": row.name, "value": row.value, "ok": row.ok, "detail": row.detail} for row in capabilities
        ],
        "sandbox": [{"name": layer.name, "state": layer.state, "detail": layer.detail} for layer in sandbox],
    }
