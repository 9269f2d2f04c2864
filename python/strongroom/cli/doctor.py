"""`strongroom doctor`: what this machine can enforce."""

from typing import Annotated, Any

import typer

from strongroom import _core
from strongroom.cli.loading import Load, loaded, sandbox_table, summary
from strongroom.cli.terminal import note, plain, tables, write_json
from strongroom.cli.terminal import table as empty_table
from strongroom.results import ModelInfo
from strongroom.settings import Security, Settings

__all__ = ["doctor"]

VERDICTS = {True: ("yes", "green"), False: ("no", "bold red"), None: ("", "")}


def doctor(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="[MODEL]", help="A model to start a worker of, whose sandbox is then reported."
        ),
    ] = None,
    *,
    checksum: Annotated[
        str | None, typer.Option(metavar="ALGORITHM:HEX", help="The digest that the model must have.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")] = False,
) -> None:
    """Show what this machine can enforce; with a MODEL also what is in force around it."""
    capabilities = _core.doctor()
    info = None if model is None else started(model, checksum)
    if json:
        write_json(json_of_machine(capabilities, info))
        return
    table = empty_table("What this machine can enforce")
    for column in ("capability", "value", "enough", "detail"):
        table.add_column(column)
    for row in capabilities:
        verdict, style = VERDICTS[row.ok]
        table.add_row(plain(row.name), plain(row.value), plain(verdict, style), plain(row.detail, "dim"))
    console = tables()
    console.print(table)
    if info is not None:
        console.print(f"\nThe sandbox around {plain(model).plain}: {summary(info.sandbox)}", soft_wrap=True)
        console.print(sandbox_table(info.sandbox))
    if any(row.ok is False for row in capabilities):
        note("note:", 'a "no" rules out isolation="maximum", or every isolation; its detail says which')


def started(model: str, checksum: str | None) -> ModelInfo:
    """Start a worker of a model, with the defaults, and end it."""
    with loaded(Load(model, Settings(security=Security()), checksum), quiet=True) as (_, info, _):
        return info


def json_of_machine(capabilities: list[_core.Capability], info: ModelInfo | None) -> dict[str, Any]:
    """Return what was found for programs."""
    rows = [
        {"name": row.name, "value": row.value, "ok": row.ok, "detail": row.detail} for row in capabilities
    ]
    return {"capabilities": rows, "sandbox": None if info is None else json_of_sandbox(info)}


def json_of_sandbox(info: ModelInfo) -> list[dict[str, str]]:
    """Return the sandbox's report for programs."""
    return [{"name": layer.name, "state": layer.state, "detail": layer.detail} for layer in info.sandbox]
