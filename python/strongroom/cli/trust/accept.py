"""`strongroom trust accept`: that a model of a name is another one from now on."""

from typing import Annotated

import typer

from strongroom.cli.arguments import Config, ModelVersion, configured
from strongroom.cli.terminal import note
from strongroom.errors import SettingsError, TrustError
from strongroom.router.registry import checked_name
from strongroom.trust import lock, words

__all__ = ["accept"]


def accept(
    name: Annotated[str, typer.Argument(metavar="NAME", help="That the model is loaded under.")],
    digest: Annotated[str, typer.Argument(metavar="sha256:HEX", help="That it is to have from now on.")],
    *,
    model_version: ModelVersion = None,
    signer: Annotated[
        str | None, typer.Option(metavar="WHO", help="As the refusal named it; else the next load's.")
    ] = None,
    lock_file: Annotated[
        str | None, typer.Option("--lock", metavar="FILE", help="Instead of the one in the policy.")
    ] = None,
    config: Config = None,
) -> None:
    """Accept that NAME is another model than it was, in the record. The trust policy still decides."""
    policy = configured(config, {"trust.lock": lock_file}).security.model_verification
    if policy.lock == "off":
        raise SettingsError(
            "settings.invalid",
            "there is no record of models: trust.lock is off",
            "name its file with --lock, or in the [trust] table of the configuration file",
        )
    now = lock.Record(
        words.fingerprint_of("the digest", digest),
        None if signer is None else words.text_of("the signer", signer, "one line of text"),
        None if model_version is None else words.version_of("the version", model_version),
    )
    for entry in policy.revoked:
        if entry.digest == now.digest:
            raise TrustError("trust.revoked", f"{now.digest} is revoked: {entry.reason}")
    before = lock.accept(policy.lock, checked_name(name), now)
    note("accepted", f"{name} is {now}; it was {before or 'not recorded'}", "bold green")
