"""`strongroom trust revoke`: a digest or a key that nothing is loaded for again."""

from typing import Annotated

import typer

from strongroom.cli.arguments import Config
from strongroom.cli.terminal import note
from strongroom.trust.editing import append

__all__ = ["revoke"]


def revoke(
    *,
    digest: Annotated[str | None, typer.Option(metavar="ALGORITHM:HEX", help="Of a model's file.")] = None,
    key: Annotated[
        str | None,
        typer.Option(
            metavar="sha256:HEX", help="The id of a signer's or authority's key, or a root's digest."
        ),
    ] = None,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Shown where something is refused for it.")],
    config: Config = None,
) -> None:
    """Revoke a digest or a key in the trust policy, for good and whatever else speaks for it."""
    if (digest is None) is (key is None):
        raise typer.BadParameter("give --digest or --key")
    about = {"digest": digest} if digest is not None else {"key": key}
    path = append(config, "revoked", about | {"reason": reason})
    note("revoked", f"in {path}", "bold green")
