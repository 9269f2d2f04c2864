"""`strongroom config`: the settings as they come together."""

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import typer

from strongroom.cli.arguments import Config
from strongroom.cli.commands import Commands, Entry
from strongroom.cli.terminal import json_of, plain, tables, write_json
from strongroom.cli.terminal import table as empty_table
from strongroom.configuration.environment import ALIASES, SIGNATURES, variable_of
from strongroom.configuration.load import Configuration, configure
from strongroom.configuration.schema import leaves
from strongroom.errors import StrongroomError

__all__ = ["app", "check"]


class Configuring(Commands):
    """The commands about the settings."""

    table: ClassVar = {"check": Entry("strongroom.cli.config", "check", alone=True)}


app = typer.Typer(cls=Configuring, no_args_is_help=True, help="The settings as they come together.")


def check(
    *,
    config: Config = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")] = False,
) -> None:
    """Check the configuration file and the environment, and show where each value came from."""
    try:
        configuration = configure(config)
    except StrongroomError as error:
        if json:
            write_json(json_of(error))
        raise
    if json:
        write_json(json_of_configuration(configuration))
        return
    table = empty_table(f"The settings, from {configuration.file or 'no file'}")
    for column in ("option", "value", "from", "variable"):
        table.add_column(column, overflow="fold")
    for name, origin in configuration.origins.items():
        style = "dim" if origin.kind == "default" else ""
        value, variables = worded(configuration.value(name)), ", ".join(names(name))
        table.add_row(
            plain(name, style),
            plain(value, style),
            plain(origin, style),
            plain(variables, "dim"),
        )
    tables().print(table)


def names(option: str) -> list[str]:
    """Return the variables that set an option."""
    aliases = [alias for alias, named in ALIASES.items() if named == option]
    if leaves()[option].field.metadata.get("tables_only"):
        return []
    return [variable_of(option), *aliases, *([SIGNATURES] if option == "trust.proof" else [])]


def json_of_configuration(configuration: Configuration) -> dict[str, Any]:
    """Return the settings for programs."""
    return {
        "file": configuration.file,
        "settings": {
            name: {
                "value": simple(configuration.value(name)),
                "origin": {"kind": origin.kind, "where": origin.where},
                "variables": names(name),
            }
            for name, origin in configuration.origins.items()
        },
    }


def simple(value: object) -> Any:  # noqa: ANN401 - what JSON has
    """Return a value as JSON has it; of a table what is set in it."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        table = {field.name: simple(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return {name: item for name, item in table.items() if item not in (None, [])}
    if isinstance(value, list | tuple):
        return [simple(item) for item in value]
    if isinstance(value, Mapping):
        return {name: simple(item) for name, item in value.items()}
    return value


def worded(value: object) -> str:
    """Return a value on one line."""
    value = simple(value)
    if isinstance(value, list):
        return "; ".join(worded(item) for item in value) or "none"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} = {worded(item)}" for name, item in value.items()) or "none"
    if isinstance(value, bool):
        return str(value).lower()
    return "not set" if value is None else str(value)
