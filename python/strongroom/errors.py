"""Every error that Strongroom raises: one tree, each with a stable code and a next step.

The code's prefix decides the class, on both sides of the boundary to Rust. No error carries a prompt, an
answer or a key.
"""

from collections.abc import Mapping
from types import MappingProxyType

__all__ = [
    "ArenaError",
    "CertificateError",
    "ChecksumError",
    "DataError",
    "FetchError",
    "JournalError",
    "LoadError",
    "ManifestError",
    "OptionError",
    "OutputError",
    "PreflightError",
    "PromptError",
    "RequestError",
    "RouterError",
    "SandboxError",
    "SealError",
    "SecureMemoryError",
    "SettingsError",
    "SignatureError",
    "SigningKeyError",
    "SourceError",
    "StoreError",
    "StrongroomError",
    "TemplateError",
    "TrustError",
    "WorkerError",
    "codes",
    "from_core",
]

PYTHON_CODES: Mapping[str, str] = MappingProxyType(
    {
        "settings.unknown_option": "see `help(strongroom.Settings)` for the options that exist",
        "settings.invalid": "give a value that the option's documentation names",
        "settings.unavailable": "leave the option out: what can't be enforced is never accepted silently",
        "settings.machine": "give a limit that this machine has; `strongroom doctor` shows what it has",
        "settings.conflict": "keep one of the two",
        "settings.file_missing": "check the path, or leave it out",
        "settings.file_unreadable": "let this user read it, and the directories above it",
        "settings.file_special": "name the regular file itself",
        "settings.file_too_large": "shorten it: a configuration is a page or two",
        "settings.file_permissions": "let nobody but this user and root write to it: chmod go-w",
        "settings.file_unwritable": "make room, or let this user write there",
        "settings.file_busy": "try again once the other process is done",
        "settings.file_malformed": "correct it there; README.md has an example",
        "option.unknown": "see `help(strongroom.SamplingOptions)` for the options that exist",
        "option.wrong_type": "give a value of the type that the option's documentation names",
        "option.out_of_range": "see the option's documented range",
        "source.invalid": "name a file: a path with a `/` in it, or one that ends in .gguf",
        "source.parts": "give the path of the first part, …-00001-of-0000N.gguf, and keep no other version "
        "of the model in its folder",
        "source.unavailable": "fetch it with `strongroom fetch`, then name the file that it prints",
        "source.stored": "give the path of a file: one with a `/` in it, or one that ends in .gguf",
        "store.unknown": "name one that is there; `strongroom store list` lists them",
        "store.exists": "choose another name, or replace it with --replace",
        "store.no_key": "name one, as --key-file FILE or in the [store] table of the configuration",
        "store.service": "see to the service, its address and this program's rights there",
        "store.changed": "look what it is now, then try again",
        "store.other": "name the directory of that store, or the id of this one",
        "store.unbound": "seal it anew, without naming the store's id: `strongroom store rekey`",
        "store.missing": "restore the store's directory from a copy, or remove the name from it",
        "store.evidence": "add the model again, from its source",
        "store.unreadable": "check the store's directory and the permissions in it",
        "store.unwritable": "make room, or let this user write there",
        "store.index_unreadable": "let this user read it, and the directories above it",
        "store.index_missing": "add a model first: that makes the store",
        "store.index_special": "restore it from a copy: it is a file that the store wrote",
        "store.index_too_large": "see what made it so large; restore it from a copy",
        "store.index_permissions": "let nobody but this user and root write to it: chmod go-w",
        "store.index_malformed": "restore it from a copy, or correct what was edited",
        "store.index_unwritable": "make room, or let this user write there",
        "store.index_busy": "try again once the other process is done",
        "trust.revoked": "take another model: what is revoked is loaded by nothing",
        "trust.source": "load it from a place that the policy names, or add its place to the policy",
        "trust.too_large": "take a smaller model, or raise max_size in the policy",
        "trust.architecture": "take another model, or add its architecture to the policy",
        "trust.version": "take a newer one; version= says which one it is where the policy doesn't",
        "trust.unsigned": "give a signature of a signer that the policy lets sign it",
        "trust.reserved": "add its digest or its signer to the policy: `strongroom trust add`",
        "trust.changed": "accept it with `strongroom trust accept`, if that is meant",
        "trust.rollback": "accept it with `strongroom trust accept`, if that is meant",
        "trust.lock_unreadable": "let this user read it, and the directories above it",
        "trust.lock_missing": "load a model first: that makes the file",
        "trust.lock_special": "name the regular file itself",
        "trust.lock_too_large": "see what made it so large; restore it from a copy",
        "trust.lock_permissions": "let nobody but this user and root write to it: chmod go-w",
        "trust.lock_malformed": "restore it from a copy; removing it accepts whatever is loaded next",
        "trust.lock_unwritable": "make room or let this user write there, or name another file in trust.lock",
        "trust.lock_busy": "try again once the other process is done",
        "load.no_room": "unload a model, lower context_length or max_concurrent, or raise total_memory",
        "prompt.empty": "give a prompt that is not empty",
        "prompt.invalid": "give a string, or messages with `role`, `content` and, where wanted, `name`",
        "prompt.not_unicode": "give text that encodes to UTF-8: without lone surrogates or invalid bytes",
        "request.already_read": "read a stream in one thread or task, and pass its pieces on from there",
        "request.unfinished": "read the stream to its end before asking for its result",
        "journal.damaged": "restore it from a copy; without it the batch begins anew",
        "journal.foreign": "name the journal of the batch (model, template, context, options), or a new file",
        "journal.busy": "wait for the other batch, or name another file",
        "journal.permissions": "let nobody but its owner read and write it: chmod 600",
        "journal.special": "name a regular file, or one that isn't there yet",
        "journal.unusable": "make room, or let this user read and write it",
        "router.closed": "make a new Router",
        "router.forked": "make a Router in the child process, or start children with `spawn`",
        "router.unknown_model": "load the model under this name first, or use a name that is loaded",
        "router.ambiguous_model": "say which one with model=",
        "router.name_taken": "unload the model that has the name, or choose another name",
        "router.model_changed": "unload it, and load the new one if it is the one that is meant",
        "router.invalid_name": "give a name of 1 to 100 printable characters",
    }
)
"""The codes that Python itself raises, with what to do next."""


class StrongroomError(Exception):
    """The root of the tree: `message` says what failed for which thing, `next_step` what to do."""

    code: str
    """Stable, `noun.reason`."""
    message: str
    """For people; may change between versions."""
    next_step: str
    """What the caller can do."""

    def __init__(self, code: str, message: str, next_step: str | None = None) -> None:
        """Describe a failure; `next_step` may be left out for the codes in `PYTHON_CODES`."""
        super().__init__(code, message, PYTHON_CODES[code] if next_step is None else next_step)
        self.code, self.message, self.next_step = self.args

    def __str__(self) -> str:
        """Return one line: what failed, the code, and what to do next."""
        return f"{self.message} [{self.code}]; next: {self.next_step}"

    def __repr__(self) -> str:
        """Show the class, the code and the message."""
        return f"{type(self).__name__}({self.code!r}, {self.message!r})"


class SettingsError(StrongroomError, ValueError):
    """An option of `Settings` is misspelt, malformed, or can't be enforced here."""


class OptionError(StrongroomError, ValueError):
    """An option of a call is misspelt, of the wrong type, or out of range."""


class SourceError(StrongroomError):
    """The model's file can't be read, or changed while it was read."""


class FetchError(StrongroomError):
    """The source is malformed, not allowed, or can't be fetched whole from who it should be."""


class ChecksumError(StrongroomError):
    """The checksum is malformed, or the file has another one."""


class SigningKeyError(StrongroomError):
    """A public or private key can't be read, or is not to be used."""


class SignatureError(StrongroomError):
    """The signature is malformed, or not one of these bytes by this key."""


class SealError(StrongroomError):
    """An encrypted model can't be opened, or a model can't be encrypted."""


class DataError(StrongroomError):
    """A record can't be encrypted, or an envelope can't be opened."""


class OutputError(StrongroomError):
    """A file can't be written."""


class TrustError(StrongroomError):
    """Nothing proves that the file is the one that was meant."""


class CertificateError(StrongroomError):
    """The certificates don't lead from the signer to a pinned root, or aren't for signing models."""


class ManifestError(StrongroomError):
    """The signed manifest proves nothing, or the model is not the one that was signed."""


class PreflightError(StrongroomError):
    """The file is not a well-formed model; no C++ has seen it."""


class LoadError(StrongroomError):
    """llama.cpp, in its sandbox, couldn't load the model within its limits."""


class SandboxError(StrongroomError):
    """The machine can't enforce the isolation that was asked for."""


class WorkerError(StrongroomError):
    """The worker died, or said something that is no answer."""


class StoreError(StrongroomError):
    """The encrypted store, or a model in it, can't be read or changed."""


class PromptError(StrongroomError, ValueError):
    """The prompt is empty, malformed or too long."""


class PrefixError(StrongroomError):
    """A prefix can't be published."""


class TemplateError(StrongroomError):
    """The chat template is missing, fails, or can't be trusted with the messages."""


class RequestError(StrongroomError):
    """The request was refused, or missed its deadline."""


class RouterError(StrongroomError):
    """The router is closed, or has no such model."""


class JournalError(StrongroomError):
    """The journal of a batch can't be used, is damaged, or is another batch's."""


class ArenaError(StrongroomError, BufferError):
    """A secure buffer can't be had within its arena's limits, not be used any more, or not be freed yet."""


class SecureMemoryError(StrongroomError, MemoryError):
    """The kernel doesn't give memory that is protected as was asked for."""


CLASSES: Mapping[str, type[StrongroomError]] = MappingProxyType(
    {
        "settings": SettingsError,
        "option": OptionError,
        "source": SourceError,
        "fetch": FetchError,
        "checksum": ChecksumError,
        "key": SigningKeyError,
        "signature": SignatureError,
        "output": OutputError,
        "trust": TrustError,
        "certificate": CertificateError,
        "manifest": ManifestError,
        "gguf": PreflightError,
        "load": LoadError,
        "sandbox": SandboxError,
        "worker": WorkerError,
        "prompt": PromptError,
        "template": TemplateError,
        "request": RequestError,
        "prefix": PrefixError,
        "router": RouterError,
        "journal": JournalError,
        "seal": SealError,
        "data": DataError,
        "store": StoreError,
        "arena": ArenaError,
        "memory": SecureMemoryError,
    }
)
"""The class of each prefix."""


def class_of(code: str) -> type[StrongroomError]:
    """Return the class that a code belongs to; the root for a prefix that is not known."""
    return CLASSES.get(code.partition(".")[0], StrongroomError)


def from_core(code: str, message: str, next_step: str) -> StrongroomError:
    """Build the error for what the core reports; the one way in which Rust's errors become Python's."""
    return class_of(code)(code, message, next_step)


def codes() -> list[str]:
    """Return every stable code that can be raised, from Python and from the core, sorted."""
    from strongroom import _core  # noqa: PLC0415 - the core imports this module to raise its errors

    return sorted(PYTHON_CODES.keys() | set(_core.error_codes()))
