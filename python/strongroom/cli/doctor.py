"""`strongroom doctor`: what this machine can enforce."""

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from strongroom import _core
from strongroom.backends.dispatch import worker_for
from strongroom.backends.local import WORKERS
from strongroom.cli.arguments import Checksums, ModelVersion, Name, checksum_of
from strongroom.cli.loading import Load, loaded, sandbox_table, summary
from strongroom.cli.store.options import AtStoreWithKeys, Json, at_store
from strongroom.cli.terminal import note, plain, report, tables, write_json
from strongroom.cli.terminal import table as empty_table
from strongroom.errors import StrongroomError
from strongroom.models.proofs import Given
from strongroom.settings import Settings

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
    settings = at.settings()
    capabilities = _core.doctor()
    worker = chosen(settings)
    if isinstance(worker, StrongroomError):
        sandbox: Sequence[_core.Layer] | StrongroomError = worker
    elif model is None:
        sandbox = rehearsed(worker)
    else:
        sandbox = started(
            Load(model, settings, Given(checksum=checksum_of(checksum)), name=name, version=model_version)
        )
    layers = [] if isinstance(sandbox, StrongroomError) else sandbox
    if json:
        write_json(json_of_machine(capabilities, worker, layers))
    else:
        show(capabilities, worker)
        around = "a worker before it loads a model" if model is None else plain(model).plain
        if layers:
            tables().print(f"\nThe sandbox around {around}: {summary(layers)}", soft_wrap=True)
            tables().print(sandbox_table(layers))
    if isinstance(sandbox, StrongroomError):
        report(sandbox)
        raise typer.Exit(1)


def chosen(settings: Settings) -> _core.Worker | StrongroomError:
    """Choose the worker that would serve here; or say why none can."""
    try:
        return worker_for(settings.limits, WORKERS)
    except StrongroomError as error:
        return error


def show(capabilities: Sequence[_core.Capability], worker: _core.Worker | StrongroomError) -> None:
    """Print what the machine has, and the worker that is for it."""
    table = empty_table("What this machine can enforce")
    for column in ("capability", "value", "enough", "detail"):
        table.add_column(column)
    for row in capabilities:
        verdict, style = VERDICTS[row.ok]
        table.add_row(plain(row.name), plain(row.value), plain(verdict, style), plain(row.detail, "dim"))
    value, detail = "none", "the error below says why"
    if found := isinstance(worker, _core.Worker):
        value, detail = worker.instruction_set, f"of those installed: {', '.join(worker.carried) or 'none'}"
    table.add_row("worker", value, plain(*VERDICTS[found]), plain(detail, "dim"))
    tables().print(table)
    if not found or any(row.ok is False for row in capabilities):
        note("note:", 'a "no" rules out isolation="maximum", or every isolation; its detail says which')


def rehearsed(worker: _core.Worker) -> Sequence[_core.Layer] | StrongroomError:
    """Start a worker, with the defaults, that locks itself in and is ended; or say why that failed."""
    try:
        return _core.rehearse(worker.executable)
    except StrongroomError as error:
        return error


def started(load: Load) -> Sequence[_core.Layer]:
    """Start a worker of a model and end it."""
    with loaded(load, quiet=True) as (_, info, _):
        return info.sandbox


def json_of_machine(
    capabilities: Sequence[_core.Capability],
    worker: _core.Worker | StrongroomError,
    sandbox: Sequence[_core.Layer],
) -> dict[str, Any]:
    """Return what was found for programs."""
    serving = None
    if isinstance(worker, _core.Worker):
        serving = {"instruction_set": worker.instruction_set, "installed": worker.carried}
    return {
        "worker": serving,
        "capabilities": [
            {"name": row.name, "value": row.value, "ok": row.ok, "detail": row.detail} for row in capabilities
        ],
        "sandbox": [{"name": layer.name, "state": layer.state, "detail": layer.detail} for layer in sandbox],
    }
