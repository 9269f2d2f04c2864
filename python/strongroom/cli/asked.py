"""What `run` and `batch` share: which model is loaded, by whom it is vouched for, and how it is asked."""

import os
import stat
from dataclasses import dataclass
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
from strongroom.cli.loading import Load
from strongroom.cli.store.options import AtStoreWithKeys
from strongroom.errors import OptionError, SourceError
from strongroom.sampling import SamplingOptions

__all__ = ["Asked", "ModelToLoad"]

MOST_TEMPLATE = 256 << 10
"""Bytes of a chat template: as many as one in a model's own file may have."""

UNWAITING = os.O_NONBLOCK | os.O_NOCTTY

SAMPLING = "Choosing tokens"
SANDBOX = "The sandbox"

ModelToLoad = Annotated[
    str,
    typer.Argument(metavar="MODEL", help="A GGUF file, https://… or hf://…, or a name in the store."),
]
"""The argument MODEL."""


@dataclass(frozen=True, kw_only=True)
class Asked(AtStoreWithKeys):
    """The options of a command that loads a model and asks it; `at_store` gives them to it."""

    checksum: Checksums = None
    name: Name = None
    model_version: ModelVersion = None
    public_key: PublicKey = None
    signature: SignatureFile = None
    manifest: ManifestFile = None
    certificate_chain: CertificateChain = None
    identity: Identity = None
    issuer: Issuer = None
    trusted_root: TrustedRoot = None
    hash: Hash = None
    danger_no_verification: Annotated[
        bool, typer.Option("--danger-no-verification", help="Run a model that nothing proves.")
    ] = False
    allow_architecture: Architectures = None
    chat_template: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A chat template to use instead of the model's.")
    ] = None
    max_tokens: Annotated[int | None, typer.Option(metavar="N", rich_help_panel=SAMPLING)] = None
    temperature: Annotated[float | None, typer.Option(metavar="0…5", rich_help_panel=SAMPLING)] = None
    top_k: Annotated[int | None, typer.Option(metavar="N", rich_help_panel=SAMPLING)] = None
    top_p: Annotated[float | None, typer.Option(metavar="0…1", rich_help_panel=SAMPLING)] = None
    min_p: Annotated[float | None, typer.Option(metavar="0…1", rich_help_panel=SAMPLING)] = None
    repeat_penalty: Annotated[float | None, typer.Option(metavar="0…2", rich_help_panel=SAMPLING)] = None
    presence_penalty: Annotated[float | None, typer.Option(metavar="-2…2", rich_help_panel=SAMPLING)] = None
    frequency_penalty: Annotated[float | None, typer.Option(metavar="-2…2", rich_help_panel=SAMPLING)] = None
    seed: Annotated[int | None, typer.Option(metavar="N", rich_help_panel=SAMPLING)] = None
    stop: Annotated[
        list[str] | None,
        typer.Option(metavar="TEXT", help="Ends the answer; may be repeated.", rich_help_panel=SAMPLING),
    ] = None
    logit_bias: Annotated[
        list[str] | None,
        typer.Option(metavar="ID=BIAS", help="For one token; may be repeated.", rich_help_panel=SAMPLING),
    ] = None
    context_length: Annotated[int | None, typer.Option(metavar="TOKENS", rich_help_panel=SANDBOX)] = None
    memory_limit: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="Of the worker, weights included.", rich_help_panel=SANDBOX),
    ] = None
    cpu_limit: Annotated[
        str | None, typer.Option(metavar="CORES", help="As 2 or 80%; default all.", rich_help_panel=SANDBOX)
    ] = None
    timeout: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="Of an answer, its wait included, as 30s or 2m.", rich_help_panel=SANDBOX
        ),
    ] = None
    isolation: Annotated[
        str | None,
        typer.Option(metavar="KIND", help="process, maximum, danger-none.", rich_help_panel=SANDBOX),
    ] = None

    def sampling(self) -> SamplingOptions:
        """Return how the next token is chosen, as far as the command line says.

        Raises OptionError.
        """
        given: dict[str, Any] = {
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
            "top_k": self.top_k,
            "top_p": self.top_p,
            "min_p": self.min_p,
            "repeat_penalty": self.repeat_penalty,
            "presence_penalty": self.presence_penalty,
            "frequency_penalty": self.frequency_penalty,
            "seed": self.seed,
            "stop": self.stop,
            "logit_bias": biases(self.logit_bias) if self.logit_bias else None,
        }
        options: SamplingOptions = {name: value for name, value in given.items() if value is not None}  # type: ignore[assignment]
        return options

    def load(self, model: str) -> Load:
        """Return what is loaded, and how.

        Raises OptionError, SettingsError, SourceError.
        """
        settings = self.settings(
            {
                "security.verification": "danger-none" if self.danger_no_verification else None,
                "security.isolation": self.isolation,
                "security.sandboxing.memory_limit": number_or_text(self.memory_limit),
                "security.sandboxing.cpu_limit": number_or_text(self.cpu_limit),
                "security.sandboxing.timeout": self.timeout,
                "limits.context_length": self.context_length,
            }
        )
        given = given_of(
            checksum=self.checksum,
            signature=self.signature,
            public_key=self.public_key,
            hash=self.hash,
            manifest=self.manifest,
            certificate_chain=self.certificate_chain,
            identity=self.identity,
            issuer=self.issuer,
            trusted_root=self.trusted_root,
        )
        return Load(
            model,
            settings,
            given=given,
            chat_template=None if self.chat_template is None else template_in(self.chat_template),
            allow_architectures=self.allow_architecture or (),
            name=self.name,
            version=self.model_version,
        )


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
