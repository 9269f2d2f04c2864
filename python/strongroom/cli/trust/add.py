"""`strongroom trust add`: one more source, digest or signer in the policy."""

from typing import Annotated

import typer

from strongroom.cli.arguments import Config, ModelVersion
from strongroom.cli.terminal import note
from strongroom.trust.editing import append

__all__ = ["add"]

Text = str | None


def add(
    *,
    digest: Annotated[
        Text, typer.Option(metavar="ALGORITHM:HEX", help="A digest to vouch for.", rich_help_panel="A digest")
    ] = None,
    name: Annotated[
        Text,
        typer.Option(metavar="PATTERN", help="Of the models it is of.", rich_help_panel="A digest"),
    ] = None,
    model_version: ModelVersion = None,
    source: Annotated[
        Text,
        typer.Option(
            metavar="PLACE",
            help="/DIRECTORY, https://HOST[:PORT] or hf://ORGANISATION.",
            rich_help_panel="A source",
        ),
    ] = None,
    proof: Annotated[
        Text,
        typer.Option(metavar="KIND", help="digest, signature, oms.", rich_help_panel="A source"),
    ] = None,
    signer: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Of the signer; of a source one whose signature counts there."),
    ] = None,
    key: Annotated[
        Text, typer.Option(metavar="sha256:HEX", help="The id of its key.", rich_help_panel="A signer")
    ] = None,
    identity: Annotated[
        Text, typer.Option(metavar="TEXT", help="As its certificate says.", rich_help_panel="A signer")
    ] = None,
    issuer: Annotated[
        Text, typer.Option(metavar="URL", help="Who vouches for the identity.", rich_help_panel="A signer")
    ] = None,
    root: Annotated[
        Text,
        typer.Option(metavar="sha256:HEX", help="Its root certificate.", rich_help_panel="A signer"),
    ] = None,
    trusted_root: Annotated[
        Text,
        typer.Option(
            metavar="sha256:HEX", help="Digest of its trusted_root.json.", rich_help_panel="A signer"
        ),
    ] = None,
    models: Annotated[
        list[str] | None,
        typer.Option(metavar="PATTERN", help="Names that it may sign.", rich_help_panel="A signer"),
    ] = None,
    config: Config = None,
) -> None:
    """Add a digest, a source or a signer to the trust policy in the configuration file."""
    signs: dict[str, object] = {
        "key": key,
        "identity": identity,
        "issuer": issuer,
        "root": root,
        "trusted_root": trusted_root,
        "models": models,
    }
    of_source: dict[str, object] = {"proof": proof}
    of_digest: dict[str, object] = {"name": name, "version": model_version}
    about = [digest is not None, source is not None, any(value is not None for value in signs.values())]
    if sum(about) != 1:
        raise typer.BadParameter("give --digest, --source, or what a --signer is known by")
    entry: dict[str, object]
    if digest is not None:
        refuse(of_source | signs | {"signer": signer}, "a digest")
        option, entry = "digests", {"digest": digest} | of_digest
    elif source is not None:
        refuse(of_digest | signs, "a source")
        option, entry = "trusted_sources", {"source": source, "signers": signer} | of_source
    else:
        refuse(of_digest | of_source, "a signer")
        if signer is None or len(signer) != 1:
            raise typer.BadParameter("--signer NAME is needed once, as the signer's name")
        option, entry = "signers", {"name": signer[0]} | signs
    path = append(config, option, {name: value for name, value in entry.items() if value is not None})
    note("added", f"to trust.{option} in {path}", "bold green")


def refuse(options: dict[str, object], what: str) -> None:
    """Refuse options that say nothing about what is added."""
    for name, value in options.items():
        if value is not None:
            raise typer.BadParameter(
                f"--{name.replace('version', 'model-version').replace('_', '-')} says nothing about {what}"
            )
