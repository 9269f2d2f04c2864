"""`strongroom inspect`: what preflight sees, without handing one byte to C++."""

from typing import Annotated, Any

import typer
from rich.table import Table

from strongroom._core import Footprint, Header, Inspection
from strongroom.backends.capacity import STEP, default_context
from strongroom.cli.arguments import Architectures
from strongroom.cli.progress import checking
from strongroom.cli.terminal import json_of, note, plain, report, tables, write_json
from strongroom.cli.terminal import table as empty_table
from strongroom.errors import StrongroomError
from strongroom.models import inspection
from strongroom.quantities import mib

__all__ = ["inspect"]

LONGEST = 400
"""Characters of one text of the file that the table shows."""


def inspect(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A GGUF file.")],
    *,
    allow_architecture: Architectures = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")] = False,
) -> None:
    """Show what preflight sees of a model, without loading it. Exit code 1 where it is refused."""
    try:
        with checking(model, quiet=json) as progress:
            seen = inspection.inspect(model, allow_architectures=allow_architecture or [], progress=progress)
    except StrongroomError as error:
        if json:
            write_json(json_of(error))
        report(error)
        raise typer.Exit(1) from None
    if json:
        write_json(json_of_inspection(seen))
    else:
        tables().print(table_of(model, seen))
    if seen.refusal is not None:
        code, message = seen.refusal
        note("error:", f"preflight refuses this file: {message} [{code}]", "bold red")
        raise typer.Exit(1)


def table_of(model: str, seen: Inspection) -> Table:
    """Lay out an inspection; every text of the file is shown, not obeyed."""
    table = empty_table(model, header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")

    def row(name: str, value: object, style: str = "") -> None:
        text = str(value)
        if len(text) > LONGEST:
            text = f"{text[:LONGEST]}… ({len(text)} characters)"
        table.add_row(name, plain(text, style))

    row("digest", seen.digest)
    for number, digest in enumerate(seen.part_digests, 1):
        row(f"part {number}", digest)
    row("size", f"{seen.size:,} bytes")
    if seen.refusal is not None:
        row("refused", "{1} [{0}]".format(*seen.refusal), "bold red")
    if (header := seen.header) is not None:
        row("format", f"GGUF {header.version}")
        row("architecture", header.architecture)
        row("name", header.name if header.name is not None else "not given")
        row("parameters", f"{header.parameters:,}")
        row("quantization", header.quantization)
        row("context length", f"{header.context_length:,} tokens")
        row("shape", f"{header.block_count} blocks, {header.embedding_length} wide")
        row("tensors", f"{header.tensor_count}, and {header.metadata_count} keys")
        tokenizer = header.tokenizer
        kind = f"{tokenizer.model}, {tokenizer.pre}" if tokenizer.pre else tokenizer.model
        row("tokenizer", f"{kind}, {tokenizer.vocabulary_size:,} tokens")
        for token in tokenizer.special_tokens:
            row(f"token {token.role}", f"{token.id} {token.text}")
        for name, value in memory_of(seen.size, header):
            row(name, value)
        row("chat template", header.chat_template if header.chat_template is not None else "none")
        for finding in header.findings:
            row("finding", f"{finding.message} [{finding.code}]", "yellow")
        if not header.findings:
            row("findings", "none", "green")
    return table


def memory_of(size: int, header: Header) -> list[tuple[str, str]]:
    """Return what a worker takes of memory, in words."""
    if (footprint := header.footprint) is None:
        return [("memory", f"{mib(size)} of weights; the rest isn't known of an unchecked architecture")]
    length = default_context(header.context_length)
    cache = footprint.cache(length, STEP)
    each = f"{footprint.token_bytes + footprint.window_token_bytes:,} bytes a token"
    if footprint.window:
        windowed = footprint.window_token_bytes
        each += f", {windowed:,} of them no further than a window of {footprint.window:,} tokens"
    rest = footprint.compute(length, STEP, 1) + footprint.process()
    return [
        ("memory", f"{mib(size)} of weights, about {mib(rest)} of computation"),
        ("cache", f"{mib(cache)} for each request of {length:,} tokens: {each}"),
    ]


def json_of_inspection(seen: Inspection) -> dict[str, Any]:
    """Return an inspection for programs."""
    refusal = None if seen.refusal is None else {"code": seen.refusal[0], "message": seen.refusal[1]}
    header = None if seen.header is None else json_of_header(seen.header)
    return {
        "digest": seen.digest,
        "part_digests": seen.part_digests,
        "size": seen.size,
        "refusal": refusal,
        "header": header,
    }


def json_of_header(header: Header) -> dict[str, Any]:
    """Return a header for programs."""
    tokenizer = header.tokenizer
    return {
        "version": header.version,
        "architecture": header.architecture,
        "name": header.name,
        "parameters": header.parameters,
        "quantization": header.quantization,
        "context_length": header.context_length,
        "embedding_length": header.embedding_length,
        "block_count": header.block_count,
        "tensor_count": header.tensor_count,
        "metadata_count": header.metadata_count,
        "tokenizer": {
            "model": tokenizer.model,
            "pre": tokenizer.pre,
            "vocabulary_size": tokenizer.vocabulary_size,
            "special_tokens": [
                {"role": token.role, "id": token.id, "text": token.text} for token in tokenizer.special_tokens
            ],
        },
        "chat_template": header.chat_template,
        "footprint": None if header.footprint is None else json_of_footprint(header.footprint),
        "findings": [{"code": finding.code, "message": finding.message} for finding in header.findings],
    }


def json_of_footprint(footprint: Footprint) -> dict[str, int]:
    """Return what a worker takes for programs."""
    return {
        "cache_bytes_per_token": footprint.token_bytes,
        "window_cache_bytes_per_token": footprint.window_token_bytes,
        "window": footprint.window,
        "process_bytes": footprint.process(),
    }
