"""`strongroom trust show`: the policy, and the record of models."""

from typing import Annotated

import typer

from strongroom.cli.arguments import Config
from strongroom.cli.config import simple, worded
from strongroom.cli.terminal import json_of, plain, tables, write_json
from strongroom.cli.terminal import table as empty_table
from strongroom.configuration.load import configure
from strongroom.errors import StrongroomError
from strongroom.trust import lock

__all__ = ["show"]


def show(
    *,
    config: Config = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")] = False,
) -> None:
    """Show the trust policy that holds, where each part of it is set, and what was loaded so far."""
    try:
        configuration = configure(config)
        policy = configuration.settings.security.model_verification
        records = {} if policy.lock == "off" else lock.read(policy.lock)
    except StrongroomError as error:
        if json:
            write_json(json_of(error))
        raise
    if json:
        write_json({"file": configuration.file, "policy": simple(policy), "records": simple_records(records)})
        return
    table = empty_table(f"The trust policy, from {configuration.file or 'no file'}")
    for column in ("option", "value", "from"):
        table.add_column(column, overflow="fold")
    for name, origin in configuration.origins.items():
        if not name.startswith("trust."):
            continue
        value = configuration.value(name)
        entries = list(value) if isinstance(value, tuple) else [value]
        for entry in entries or ["none"]:
            table.add_row(plain(name), plain(worded(entry)), plain(origin, "dim"))
    tables().print(table)
    record = empty_table(f"Loaded so far, as {policy.lock} has it")
    for column in ("name", "digest", "version", "signer"):
        record.add_column(column, overflow="fold")
    for model, found in records.items():
        record.add_row(
            plain(model), plain(found.digest), plain(found.version or "-"), plain(found.signer or "-")
        )
    tables().print(record)


def simple_records(records: dict[str, lock.Record]) -> dict[str, dict[str, str | None]]:
    """Return records for programs."""
    return {
        name: {"digest": record.digest, "signer": record.signer, "version": record.version}
        for name, record in records.items()
    }
