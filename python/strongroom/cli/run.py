"""`strongroom run`: ask a model, once or in a chat."""

import os
import stat
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from strongroom.cli import asking
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
from strongroom.cli.loading import Load, loaded
from strongroom.cli.store.options import AtStoreWithKeys, at_store
from strongroom.errors import OptionError, PromptError, SourceError
from strongroom.messages import Message, conversation, plain_text
from strongroom.sampling import Sampling, SamplingOptions

__all__ = ["run"]

MOST_INPUT = (1 << 20) + 1
"""Bytes read of standard input: one more than a prompt may have."""

MOST_TEMPLATE = 256 << 10
"""Bytes of a chat template: as many as one in a model's own file may have."""

UNWAITING = os.O_NONBLOCK | os.O_NOCTTY

SAMPLING = "Choosing tokens"
SANDBOX = "The sandbox"


@at_store
def run(
    model: Annotated[
        str,
        typer.Argument(metavar="MODEL", help="A GGUF file, https://… or hf://…, or a name in the store."),
    ],
    prompt: Annotated[
        str | None,
        typer.Argument(
            metavar="[PROMPT]",
            help="What to ask. Left out, it is read from standard input; at a terminal a chat begins.",
        ),
    ] = None,
    *,
    at: AtStoreWithKeys,
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
    system: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Instructions that precede the conversation.")
    ] = None,
    complete: Annotated[
        bool, typer.Option("--complete", help="Continue the prompt as plain text, without a template.")
    ] = False,
    max_tokens: Annotated[int | None, typer.Option(metavar="N", rich_help_panel=SAMPLING)] = None,
    temperature: Annotated[float | None, typer.Option(metavar="0…5", rich_help_panel=SAMPLING)] = None,
    top_k: Annotated[int | None, typer.Option(metavar="N", rich_help_panel=SAMPLING)] = None,
    top_p: Annotated[float | None, typer.Option(metavar="0…1", rich_help_panel=SAMPLING)] = None,
    min_p: Annotated[float | None, typer.Option(metavar="0…1", rich_help_panel=SAMPLING)] = None,
    repeat_penalty: Annotated[float | None, typer.Option(metavar="0…2", rich_help_panel=SAMPLING)] = None,
    presence_penalty: Annotated[float | None, typer.Option(metavar="-2…2", rich_help_panel=SAMPLING)] = None,
    frequency_penalty: Annotated[float | None, typer.Option(metavar="-2…2", rich_help_panel=SAMPLING)] = None,
    seed: Annotated[int | None, typer.Option(metavar="N", rich_help_panel=SAMPLING)] = None,
    stop: Annotated[
        list[str] | None,
        typer.Option(metavar="TEXT", help="Ends the answer; may be repeated.", rich_help_panel=SAMPLING),
    ] = None,
    logit_bias: Annotated[
        list[str] | None,
        typer.Option(metavar="ID=BIAS", help="For one token; may be repeated.", rich_help_panel=SAMPLING),
    ] = None,
    context_length: Annotated[int | None, typer.Option(metavar="TOKENS", rich_help_panel=SANDBOX)] = None,
    memory_limit: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="Of the worker, weights included.", rich_help_panel=SANDBOX),
    ] = None,
    cpu_limit: Annotated[
        str | None, typer.Option(metavar="CORES", help="As 2 or 80%; default all.", rich_help_panel=SANDBOX)
    ] = None,
    timeout: Annotated[
        str | None, typer.Option(metavar="TIME", help="Of an answer, as 30s or 2m.", rich_help_panel=SANDBOX)
    ] = None,
    isolation: Annotated[
        str | None,
        typer.Option(metavar="KIND", help="process, maximum, danger-none.", rich_help_panel=SANDBOX),
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object instead of a streamed answer.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the answer alone.")] = False,
) -> None:
    """Check a model, start it in its sandbox, and stream its answer to standard output."""
    if complete and system is not None:
        raise typer.BadParameter("--system is for conversations, --complete has none")
    chatting = prompt is None and not json and sys.stdin.isatty() and sys.stdout.isatty()
    if complete and chatting:
        raise typer.BadParameter("--complete needs a PROMPT, or standard input that is no terminal")
    sampling: dict[str, Any] = {
        "max_tokens": max_tokens,
        "temperature": temperature,
        "top_k": top_k,
        "top_p": top_p,
        "min_p": min_p,
        "repeat_penalty": repeat_penalty,
        "presence_penalty": presence_penalty,
        "frequency_penalty": frequency_penalty,
        "seed": seed,
        "stop": stop,
        "logit_bias": biases(logit_bias) if logit_bias else None,
    }
    options: SamplingOptions = {name: value for name, value in sampling.items() if value is not None}  # type: ignore[assignment]
    load = Load(
        model,
        at.settings(
            {
                "security.verification": "danger-none" if danger_no_verification else None,
                "security.isolation": isolation,
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
    before = () if system is None else (Message("system", system),)
    if chatting:
        with loaded(load, quiet=quiet) as (router, _, _):
            asking.chat(router, before, options, quiet=quiet)
        return
    text = standard_input() if prompt is None else prompt
    question = plain_text(text) if complete else (*before, *conversation(text))
    with loaded(load, quiet=quiet or json) as (router, info, seconds):
        if json:
            asking.write(router, question, options, info, seconds)
        else:
            asking.show(router, question, options, seconds, quiet=quiet)


def number_or_text(value: str | None) -> str | int | None:
    """Take a bare number as one: bytes of memory, or cores."""
    return int(value) if value and value.isascii() and value.isdigit() and len(value) <= 18 else value


def biases(options: list[str]) -> dict[int, float]:
    """Read ID=BIAS."""
    read: dict[int, float] = {}
    for option in options:
        token, _, bias = option.partition("=")
        try:
            read[int(token)] = float(bias)
        except ValueError:
            raise OptionError("option.wrong_type", "logit_bias must be ID=BIAS, as 13=-5") from None
    return read


def template_in(path: Path) -> str:
    """Read the operator's chat template."""
    try:
        # Without O_NONBLOCK the opening of a FIFO would wait for a writer.
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | UNWAITING)) as file:
            if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                data = file.read(MOST_TEMPLATE + 1)
                if len(data) <= MOST_TEMPLATE:
                    return data.decode()
                reason = f"it has more than {MOST_TEMPLATE} bytes"
            else:
                reason = "it is no regular file"
    except OSError as error:
        reason = error.strerror or "it fails"
    except ValueError as error:
        reason = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else "no file has such a name"
    raise SourceError(
        "source.unreadable", f"can't read the chat template {str(path)!r}: {reason}", "check the path"
    )


def standard_input() -> str:
    """Read a prompt from standard input."""
    data = sys.stdin.buffer.read(MOST_INPUT)
    try:
        return data.decode()
    except UnicodeDecodeError:  # holds the text: it must not become the error's context
        pass
    raise PromptError("prompt.not_unicode", "standard input is not UTF-8")
