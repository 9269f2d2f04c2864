"""Run language models from files that strangers made, in processes that can reach nothing.

    from strongroom import Router

    with Router() as router:
        router.load("smol", "model.gguf", checksum="sha256:…")
        print(router.chat("Why is the sky blue?", model="smol", max_tokens=64).text)

The public names:

- Router: loads models and puts requests to them, from any thread
- AsyncRouter: the same methods, awaited
- Stream: the pieces of an answer, from `Router.stream`
- AsyncStream: the pieces of an answer, from `AsyncRouter.stream`
- Message: one message of a conversation
- MessageDict: a message as a plain dictionary
- Prompt: what `chat` answers: a string or messages
- Role: who speaks: system, user, assistant, tool
- SamplingOptions: the keyword arguments of a request that choose tokens
- Sampling: their meaning, ranges and defaults
- Settings: what an operator decides, as one tree
- Security: what is trusted, and what stands between a model and the machine
- Sandboxing: what a worker may use of the machine
- ModelVerification: the trust policy: what proves a model, and what is refused whatever proves it
- TrustedSource: a place that models may come from, and the proof that they need there
- TrustedDigest: a digest that the operator vouches for
- Signer: somebody whose signature counts, and for which names
- ModelRule: what models of some names need beyond what all need
- Revocation: a digest or key that nothing is loaded for again
- Limits: bounds on what callers ask for
- Sources: which hosts models may be fetched from
- Store: models that lie encrypted, in one directory
- add_to_store: verify a model once, and seal it into a store
- StoreSettings: where the store is, and which keys open it
- KeyFile: a key of the store in a file
- EnvironmentKey: a key of the store in an environment variable
- PassphraseKey: a key of the store made of a passphrase
- KernelKey: a key of the store in the kernel's keyrings
- KeyService: what a service that wraps the store's data keys has to be
- load_settings: settings from the configuration file and the environment
- Completion: a whole answer
- Piece: some of an answer
- Timings: where a request's time went
- FinishReason: why an answer ended
- ModelInfo: a loaded model, and the worker and sandbox that serve it
- MemoryUse: what it takes of memory
- Layer: one layer of a worker's sandbox
- fetch: a source on a host into the cache, proved
- Fetched: where `fetch` put it
- inspect: digest and preflight of a file, without handing one byte to C++
- Inspection: what `inspect` saw
- Header: what a model's file says about itself
- Footprint: what a worker of it takes of memory, as far as the file says
- Tokenizer: what it says about its vocabulary
- SpecialToken: a token with a role of its own
- Finding: something that preflight noticed and does not refuse
- verify_manifest: hold a directory or a file to what was signed (OpenSSF Model Signing)
- sign_manifest: sign a directory or a file
- SignedManifest: a signed list of files as proof of a load, and whose signature is accepted
- ManifestEvidence: what `verify_manifest` verified, and by whom it was signed
- verify_signature: who signed a file, or an error
- sign: signs a file
- generate_key: makes a key pair
- Evidence: what a verification found: who, what, how, when, by which rule
- SecureArena: memory for secrets, up to a limit
- SecureBuffer: bytes in it
- BufferUsage: a buffer that is held, what for, and since when
- ArenaProtection: what an arena's memory is protected by
- DataCipher: encrypts and decrypts what an application stores, record by record
- DataKey: a version of a data key, and where it is
- KeyFile: a key in a file
- EnvironmentKey: a key in an environment variable
- KernelKey: a key in the kernel's keyrings
- compare_digest: whether two secrets are the same, in constant time
- doctor: what this machine can enforce
- Capability: one row of `doctor`
- StrongroomError: the root of the errors, each with `code`, `message` and `next_step`
- SettingsError: an option of the settings is misspelt, malformed, or can't be enforced
- OptionError: an option of a call is misspelt, of the wrong type, or out of range
- SourceError: the file can't be read, or changed while it was read
- FetchError: the source is malformed, not allowed, or can't be fetched
- ChecksumError: the checksum is malformed, or the file has another one
- SigningKeyError: a key can't be read, or is not to be used
- SignatureError: the signature is malformed, or not one of these bytes by this key
- SealError: an encrypted model can't be opened, or a model can't be encrypted
- StoreError: the encrypted store, or a model in it, can't be read or changed
- DataError: a record can't be encrypted, or an envelope can't be opened
- OutputError: a file can't be written
- TrustError: nothing proves that the file is the one that was meant
- CertificateError: the certificates don't lead from the signer to a pinned root
- ManifestError: the signed manifest proves nothing, or the model is not the one that was signed
- PreflightError: the file is not a well-formed model
- LoadError: llama.cpp couldn't load the model within its limits
- SandboxError: this machine can't enforce the isolation
- WorkerError: the worker died, or said something that is no answer
- PromptError: the prompt is empty, malformed or too long
- PrefixError: a prefix can't be published
- TemplateError: the chat template is missing, fails, or can't be trusted
- RequestError: the request was refused, or missed its deadline
- RouterError: the Router is closed, or has no such model
- JournalError: the journal of a batch can't be used, is damaged, or is another batch's
- ArenaError: a secure buffer can't be had, used or freed
- SecureMemoryError: the kernel doesn't give memory that is protected as was asked for
"""

TYPE_CHECKING = False  # typing's own would be imported for nothing else
if TYPE_CHECKING:
    __version__: str
    from strongroom._core import (
        Capability,
        Finding,
        Footprint,
        Header,
        Inspection,
        Layer,
        SpecialToken,
        Tokenizer,
        doctor,
    )
    from strongroom.configuration.load import load_settings
    from strongroom.data import DataCipher, DataKey
    from strongroom.errors import (
        ArenaError,
        CertificateError,
        ChecksumError,
        DataError,
        FetchError,
        JournalError,
        LoadError,
        ManifestError,
        OptionError,
        OutputError,
        PrefixError,
        PreflightError,
        PromptError,
        RequestError,
        RouterError,
        SandboxError,
        SealError,
        SecureMemoryError,
        SettingsError,
        SignatureError,
        SigningKeyError,
        SourceError,
        StoreError,
        StrongroomError,
        TemplateError,
        TrustError,
        WorkerError,
    )
    from strongroom.memory import (
        ArenaProtection,
        BufferUsage,
        SecureArena,
        SecureBuffer,
        compare_digest,
    )
    from strongroom.messages import Message, MessageDict, Prompt, Role
    from strongroom.models.evidence import Evidence
    from strongroom.models.fetching import Fetched, fetch
    from strongroom.models.inspection import inspect
    from strongroom.models.listed import SignedManifest
    from strongroom.models.manifest import ManifestEvidence, sign_manifest, verify_manifest
    from strongroom.models.sealing import add_to_store
    from strongroom.models.signing import generate_key, sign, verify_signature
    from strongroom.results import Completion, FinishReason, MemoryUse, ModelInfo, Piece, Timings
    from strongroom.router.async_router import AsyncRouter
    from strongroom.router.router import Router
    from strongroom.router.stream import AsyncStream, Stream
    from strongroom.sampling import Sampling, SamplingOptions
    from strongroom.settings import Limits, Sandboxing, Security, Settings
    from strongroom.sources import Sources
    from strongroom.store.keys import EnvironmentKey, KernelKey, KeyFile, KeyService, PassphraseKey
    from strongroom.store.settings import StoreSettings
    from strongroom.store.store import Store
    from strongroom.trust.policy import (
        ModelRule,
        ModelVerification,
        Revocation,
        Signer,
        TrustedDigest,
        TrustedSource,
    )

__all__ = [
    "ArenaError",
    "ArenaProtection",
    "AsyncRouter",
    "AsyncStream",
    "BufferUsage",
    "Capability",
    "CertificateError",
    "ChecksumError",
    "Completion",
    "DataCipher",
    "DataError",
    "DataKey",
    "EnvironmentKey",
    "Evidence",
    "FetchError",
    "Fetched",
    "Finding",
    "FinishReason",
    "Footprint",
    "Header",
    "Inspection",
    "JournalError",
    "KernelKey",
    "KeyFile",
    "KeyService",
    "Layer",
    "Limits",
    "LoadError",
    "ManifestError",
    "ManifestEvidence",
    "MemoryUse",
    "Message",
    "MessageDict",
    "ModelInfo",
    "ModelRule",
    "ModelVerification",
    "OptionError",
    "OutputError",
    "PassphraseKey",
    "Piece",
    "PrefixError",
    "PreflightError",
    "Prompt",
    "PromptError",
    "RequestError",
    "Revocation",
    "Role",
    "Router",
    "RouterError",
    "Sampling",
    "SamplingOptions",
    "SandboxError",
    "Sandboxing",
    "SealError",
    "SecureArena",
    "SecureBuffer",
    "SecureMemoryError",
    "Security",
    "Settings",
    "SettingsError",
    "SignatureError",
    "SignedManifest",
    "Signer",
    "SigningKeyError",
    "SourceError",
    "Sources",
    "SpecialToken",
    "Store",
    "StoreError",
    "StoreSettings",
    "Stream",
    "StrongroomError",
    "TemplateError",
    "Timings",
    "Tokenizer",
    "TrustError",
    "TrustedDigest",
    "TrustedSource",
    "WorkerError",
    "add_to_store",
    "compare_digest",
    "doctor",
    "fetch",
    "generate_key",
    "inspect",
    "load_settings",
    "sign",
    "sign_manifest",
    "verify_manifest",
    "verify_signature",
]

_WHERE = {
    "add_to_store": "strongroom.models.sealing",
    "ArenaError": "strongroom.errors",
    "ArenaProtection": "strongroom.memory",
    "AsyncRouter": "strongroom.router.async_router",
    "AsyncStream": "strongroom.router.stream",
    "BufferUsage": "strongroom.memory",
    "Capability": "strongroom._core",
    "CertificateError": "strongroom.errors",
    "ChecksumError": "strongroom.errors",
    "Completion": "strongroom.results",
    "DataCipher": "strongroom.data",
    "DataError": "strongroom.errors",
    "DataKey": "strongroom.data",
    "EnvironmentKey": "strongroom.store.keys",
    "Evidence": "strongroom.models.evidence",
    "FetchError": "strongroom.errors",
    "Fetched": "strongroom.models.fetching",
    "Finding": "strongroom._core",
    "FinishReason": "strongroom.results",
    "Footprint": "strongroom._core",
    "Header": "strongroom._core",
    "Inspection": "strongroom._core",
    "JournalError": "strongroom.errors",
    "KernelKey": "strongroom.store.keys",
    "KeyFile": "strongroom.store.keys",
    "KeyService": "strongroom.store.keys",
    "Layer": "strongroom._core",
    "Limits": "strongroom.settings",
    "LoadError": "strongroom.errors",
    "ManifestError": "strongroom.errors",
    "ManifestEvidence": "strongroom.models.manifest",
    "MemoryUse": "strongroom.results",
    "Message": "strongroom.messages",
    "MessageDict": "strongroom.messages",
    "ModelInfo": "strongroom.results",
    "ModelRule": "strongroom.trust.policy",
    "ModelVerification": "strongroom.trust.policy",
    "OptionError": "strongroom.errors",
    "OutputError": "strongroom.errors",
    "PassphraseKey": "strongroom.store.keys",
    "Piece": "strongroom.results",
    "PreflightError": "strongroom.errors",
    "Prompt": "strongroom.messages",
    "PrefixError": "strongroom.errors",
    "PromptError": "strongroom.errors",
    "RequestError": "strongroom.errors",
    "Revocation": "strongroom.trust.policy",
    "Role": "strongroom.messages",
    "Router": "strongroom.router.router",
    "RouterError": "strongroom.errors",
    "Sampling": "strongroom.sampling",
    "SamplingOptions": "strongroom.sampling",
    "SandboxError": "strongroom.errors",
    "Sandboxing": "strongroom.settings",
    "SecureArena": "strongroom.memory",
    "SecureBuffer": "strongroom.memory",
    "SecureMemoryError": "strongroom.errors",
    "SealError": "strongroom.errors",
    "Security": "strongroom.settings",
    "Settings": "strongroom.settings",
    "SettingsError": "strongroom.errors",
    "SignatureError": "strongroom.errors",
    "SignedManifest": "strongroom.models.listed",
    "Signer": "strongroom.trust.policy",
    "SigningKeyError": "strongroom.errors",
    "SourceError": "strongroom.errors",
    "Sources": "strongroom.sources",
    "SpecialToken": "strongroom._core",
    "Store": "strongroom.store.store",
    "StoreError": "strongroom.errors",
    "StoreSettings": "strongroom.store.settings",
    "Stream": "strongroom.router.stream",
    "StrongroomError": "strongroom.errors",
    "TemplateError": "strongroom.errors",
    "Timings": "strongroom.results",
    "Tokenizer": "strongroom._core",
    "TrustError": "strongroom.errors",
    "TrustedDigest": "strongroom.trust.policy",
    "TrustedSource": "strongroom.trust.policy",
    "WorkerError": "strongroom.errors",
    "compare_digest": "strongroom.memory",
    "doctor": "strongroom._core",
    "fetch": "strongroom.models.fetching",
    "generate_key": "strongroom.models.signing",
    "inspect": "strongroom.models.inspection",
    "load_settings": "strongroom.configuration.load",
    "sign": "strongroom.models.signing",
    "sign_manifest": "strongroom.models.manifest",
    "verify_manifest": "strongroom.models.manifest",
    "verify_signature": "strongroom.models.signing",
}
"""Where each name is: imported when it is asked for, so that the command line can heed Ctrl-C before."""

if not TYPE_CHECKING:  # which would let any name pass

    def __getattr__(name: str) -> object:
        """Import a public name."""
        from importlib import import_module  # noqa: PLC0415

        where = "strongroom._core" if name == "__version__" else _WHERE.get(name)
        if where is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(where), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        """List the public names too that were not asked for yet."""
        return sorted({*globals(), *_WHERE, "__version__"})
