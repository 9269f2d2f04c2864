"""`strongroom batch`: answer a file of prompts, into a file of results."""

import os
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import typer

from strongroom.cli.arguments import (
    Architectures,
    CertificateChain,
    Checksums,
    Hash,
    Identity,
    Issuer,
    ManifestFile,
    ModelVersion,
    Name,
    PublicKey,
    SignatureFile,
    TrustedRoot,
    given_of,
)
from strongroom.cli.batch_lines import Input, line_of
from strongroom.cli.loading import Load, loaded
from strongroom.cli.run import SAMPLING, number_or_text, template_in
from strongroom.cli.store.options import AtStoreWithKeys, at_store
from strongroom.cli.terminal import note
from strongroom.errors import OutputError, StrongroomError
from strongroom.router.batching import Plan, answers
from strongroom.sampling import Sampling, SamplingOptions
from strongroom.store.files import exists, written

__all__ = ["batch"]

JOURNAL = ".journal"
"""What the name of an output's journal ends in."""
NEW = ".new"
"""What the name of a file ends in that replaces another."""


@at_store
def batch(
    model: Annotated[
        str,
        typer.Argument(metavar="MODEL", help="A GGUF file, https://… or hf://…, or a name in the store."),
    ],
    prompts: Annotated[
        str,
        typer.Argument(
            metavar="INPUT.jsonl",
            help='Prompts, one JSON value a line: a string, or {"prompt": …} or {"messages": […]}, with an '
            '"id" where wanted.',
        ),
    ],
    *,
    at: AtStoreWithKeys,
    output: Annotated[
        str, typer.Option(metavar="OUTPUT.jsonl", help="The results, a line each, in the prompts' order.")
    ],
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on with OUTPUT.jsonl.journal, and ask again what failed."),
    ] = False,
    concurrency: Annotated[
        int | None, typer.Option(metavar="N", help="Requests at once; default as many as the model holds.")
    ] = None,
    complete: Annotated[
        bool, typer.Option("--complete", help="Continue the prompts as plain text, without a template.")
    ] = False,
    checksum: Checksums = None,
    name: Name = None,
    model_version: ModelVersion = None,
    public_key: PublicKey = None,
    signature: SignatureFile = None,
    manifest: ManifestFile = None,
    certificate_chain: CertificateChain = None,
    identity: Identity = None,
    issuer: Issuer = None,
    trusted_root: TrustedRoot = None,
    hash: Hash = None,
    danger_no_verification: Annotated[
        bool, typer.Option("--danger-no-verification", help="Run a model that nothing proves.")
    ] = False,
    allow_architecture: Architectures = None,
    chat_template: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A chat template to use instead of the model's.")
    ] = None,
    max_tokens: Annotated[int | None, typer.Option(metavar="N", rich_help_panel=SAMPLING)] = None,
    temperature: Annotated[float | None, typer.Option(metavar="0…5", rich_help_panel=SAMPLING)] = None,
    top_k: Annotated[int | None, typer.Option(metavar="N", rich_help_panel=SAMPLING)] = None,
    top_p: Annotated[float | None, typer.Option(metavar="0…1", rich_help_panel=SAMPLING)] = None,
    min_p: Annotated[float | None, typer.Option(metavar="0…1", rich_help_panel=SAMPLING)] = None,
    seed: Annotated[int | None, typer.Option(metavar="N", rich_help_panel=SAMPLING)] = None,
    stop: Annotated[
        list[str] | None,
        typer.Option(metavar="TEXT", help="Ends an answer; may be repeated.", rich_help_panel=SAMPLING),
    ] = None,
    context_length: Annotated[int | None, typer.Option(metavar="TOKENS")] = None,
    memory_limit: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Of the worker, weights included.")
    ] = None,
    cpu_limit: Annotated[str | None, typer.Option(metavar="CORES", help="As 2 or 80%; default all.")] = None,
    timeout: Annotated[
        str | None, typer.Option(metavar="TIME", help="Of one answer, its wait included: 30s, 10m.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing of what is done.")] = False,
) -> None:
    """Answer a file of prompts. Exit code 1 where some failed: their results say why.

    Killed or interrupted, the same command with --resume goes on where it ended. Results and journal are
    plain text, for their owner alone; the journal is removed once every prompt has its answer.
    """
    sampling: dict[str, Any] = {
        "max_tokens": max_tokens,
        "temperature": temperature,
        "top_k": top_k,
        "top_p": top_p,
        "min_p": min_p,
        "seed": seed,
        "stop": stop,
    }
    options: SamplingOptions = {name: value for name, value in sampling.items() if value is not None}  # type: ignore[assignment]
    load = Load(
        model,
        at.settings(
            {
                "security.verification": "danger-none" if danger_no_verification else None,
                "security.sandboxing.memory_limit": number_or_text(memory_limit),
                "security.sandboxing.cpu_limit": number_or_text(cpu_limit),
                "security.sandboxing.timeout": timeout,
                "limits.context_length": context_length,
            }
        ),
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
        chat_template=None if chat_template is None else template_in(chat_template),
        allow_architectures=allow_architecture or (),
        name=name,
        version=model_version,
    )
    Sampling.of(options)  # before minutes may go into loading
    given = Input(prompts, raw=complete)
    journal = output + JOURNAL
    refuse_present(output, journal, resume=resume)
    with loaded(load, quiet=quiet) as (router, info, _):
        plan = Plan(
            router._registry,  # noqa: SLF001 - results one by one, not a list of all
            given,
            raw=complete,
            model=info.name,
            concurrency=concurrency,
            limit=load.settings.limits.concurrent_requests,
            resume=journal,
            progress=not quiet,
            on_error="keep",
            tenant=None,
            priority="normal",
            timeout=None,
            options=options,
        )
        failed = answer(plan, given, output)
    if not quiet:
        note("batch", f"{len(given) - failed} of {len(given)} prompts answered, in {output}")
    if failed:
        note("next:", "see the errors in it; --resume asks again what failed")
        raise typer.Exit(1)
    os.unlink(journal)  # noqa: PTH108 - of text that may be no path


def refuse_present(output: str, journal: str, *, resume: bool) -> None:
    """Refuse to begin where there are results or a journal already, unless they are to be gone on with."""
    there = [path for path in (output, journal) if os.path.lexists(path)]
    if there and not (resume and journal in there):
        error = exists(there[0])
        step = error.next_step if resume else "go on with --resume, or name another file"
        raise OutputError(error.code, error.message, step)


def answer(plan: Plan, given: Input, output: str) -> int:
    """Write the results as they come, into a file that has a name once it is whole; count the errors."""
    failed = 0
    results = answers(plan)
    again = os.path.lexists(output)  # of the call before, which this one goes on with
    whole = output + NEW if again else output
    with closing(results), written(whole) as descriptor, os.fdopen(os.dup(descriptor), "wb") as file:
        for index, result in enumerate(results):
            failed += isinstance(result, StrongroomError)
            file.write(line_of(index, given.ids.popleft(), result))
        file.flush()
        os.fsync(descriptor)
    if again:
        os.replace(whole, output)
    return failed
