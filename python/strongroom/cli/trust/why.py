"""`strongroom trust why`: how a model comes to be trusted, or refused, rule by rule."""

from typing import Annotated, Any

import typer

from strongroom.cli.arguments import (
    Architectures,
    CertificateChain,
    Checksums,
    Config,
    Hash,
    Identity,
    Issuer,
    ManifestFile,
    ModelVersion,
    Name,
    PublicKey,
    SignatureFile,
    TrustedRoot,
    configured,
    given_of,
)
from strongroom.cli.loading import name_of
from strongroom.cli.progress import checking
from strongroom.cli.terminal import json_of, note, plain, report, tables, write_json
from strongroom.cli.terminal import table as empty_table
from strongroom.errors import StrongroomError, class_of
from strongroom.models.source import path_of
from strongroom.models.trust import examine
from strongroom.trust.decision import Decision

__all__ = ["why"]


def why(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A GGUF file.")],
    *,
    checksum: Checksums = None,
    public_key: PublicKey = None,
    signature: SignatureFile = None,
    manifest: ManifestFile = None,
    certificate_chain: CertificateChain = None,
    identity: Identity = None,
    issuer: Issuer = None,
    trusted_root: TrustedRoot = None,
    hash: Hash = None,
    name: Name = None,
    model_version: ModelVersion = None,
    allow_architecture: Architectures = None,
    config: Config = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")] = False,
) -> None:
    """Say step by step how MODEL comes to be trusted or refused. Nothing is run, and nothing recorded."""
    try:
        settings = configured(config, {})
        with checking(model, quiet=json) as progress:
            decision = examine(
                path_of(model),
                name=name_of(model, name),
                version=model_version,
                given=given_of(
                    checksum=checksum,
                    signature=signature,
                    public_key=public_key,
                    hash=hash,
                    manifest=manifest,
                    certificate_chain=certificate_chain,
                    identity=identity,
                    issuer=issuer,
                    trusted_root=trusted_root,
                ),
                security=settings.security,
                allow_architectures=allow_architecture or (),
                progress=progress,
            )
    except StrongroomError as error:
        if json:
            write_json(json_of(error))
        raise
    refusal = decision.refusal
    if json:
        write_json(json_of_decision(decision))
    else:
        table = empty_table(f"Why {decision.claim.name} is {'trusted' if refusal is None else 'refused'}")
        for column in ("rule", "verdict", "what was found"):
            table.add_column(column, overflow="fold")
        for step in decision.steps:
            verdict = plain("passed", "green") if step.refusal is None else plain("refused", "bold red")
            found = step.detail if step.refusal is None else step.refusal.message
            table.add_row(plain(step.rule), verdict, plain(found))
        tables().print(table)
    if refusal is not None:
        report(class_of(refusal.code)(*refusal))
        raise typer.Exit(1)
    if decision.proof is None and not json:
        note("NOT CHECKED", "nothing proves that this is the model", "bold red")


def json_of_decision(decision: Decision) -> dict[str, Any]:
    """Return a decision for programs."""
    return {
        "name": decision.claim.name,
        "trusted": decision.refusal is None,
        "digests": list(decision.evidence.digests),
        "size": decision.evidence.size,
        "architecture": decision.evidence.architecture,
        "source": str(decision.evidence.source),
        "proof": None if decision.proof is None else str(decision.proof),
        "signer": decision.signer,
        "version": decision.version,
        "steps": [
            {
                "rule": step.rule,
                "passed": step.refusal is None,
                "code": None if step.refusal is None else step.refusal.code,
                "detail": step.detail if step.refusal is None else step.refusal.message,
            }
            for step in decision.steps
        ],
    }
