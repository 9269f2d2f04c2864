"""The Rust core. Use `strongroom`, which puts words for people around it.

Every function and method raises `strongroom.errors.StrongroomError` subclasses, chosen by the
prefix of the error's stable code. Whatever takes long releases the GIL and answers Ctrl-C with
`KeyboardInterrupt` within a tenth of a second.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal, Self, final

from typing_extensions import Buffer

__all__ = [
    "Arena",
    "ArenaUsage",
    "Began",
    "Bell",
    "BufferUsage",
    "Capability",
    "DataCipher",
    "DataKey",
    "Embedded",
    "Evidence",
    "Fetched",
    "Finding",
    "Finished",
    "Footprint",
    "Header",
    "Image",
    "Inspection",
    "Keyring",
    "Layer",
    "Manifest",
    "ManifestEvidence",
    "Model",
    "Piece",
    "Processor",
    "Published",
    "Received",
    "SealedHeader",
    "SecureBuffer",
    "SideFile",
    "Sources",
    "SpecialToken",
    "Stream",
    "Tokenizer",
    "Worker",
    "__version__",
    "assemble",
    "choose_worker",
    "compare_digest",
    "digest_of",
    "doctor",
    "error_codes",
    "export_sealed",
    "fetch",
    "generate_key",
    "inspect",
    "local_path",
    "name_in_manifest",
    "open_sealed",
    "owner_of",
    "read_side_file",
    "receive",
    "rehearse",
    "reseal",
    "seal_file",
    "seal_image",
    "sealed_header",
    "sign_file",
    "sign_manifest",
    "verify_file",
    "verify_manifest",
    "verify_sealed",
]

__version__: str
"""Of the package."""

def error_codes() -> list[str]:
    """Every stable code that the core can raise, sorted."""

def inspect(
    path: str,
    *,
    parts: Sequence[str] = (),
    allow_architectures: Sequence[str] = (),
    progress: Callable[[int, int], None] | None = None,
) -> Inspection:
    """Digest and preflight of a file, in constant memory, without handing one byte to C++.

    `parts` are the paths of all parts of a split model, in their order: preflight is of the file that they
    make, and the digest that of their digests.

    A file that preflight refuses is no error here: `Inspection.refusal` says why.
    `progress(done, total)` is called with bytes, in this thread, at most every few MiB; what it
    raises ends the inspection and is raised.

    Raises SourceError when the file can't be read.
    """

def digest_of(text: str) -> str:
    """Returns a digest as it is written everywhere: `sha256:` and lower-case hexadecimal digits.

    Raises ChecksumError where it is none.
    """

def local_path(reference: str) -> str | None:
    """The path that a reference names (a `file:` URL, or a path), None where it is a source on a host.

    Raises FetchError (`fetch.reference`).
    """

def owner_of(reference: str) -> tuple[Literal["https", "hf"], str] | None:
    """Whose a source on a host is, as a policy names it; None for a path.

    `https` and its host, with a port that isn't 443; or `hf` and the organisation.

    Raises FetchError (`fetch.reference`).
    """

def fetch(
    reference: str,
    *,
    sources: Sources,
    cache: str,
    checksum: str | None,
    signature: str | SideFile | None = None,
    public_key: str | None = None,
    hash: str | None = None,
    manifest: Manifest | None = None,
    manifest_name: str | None = None,
    danger_unverified: bool = False,
    recheck: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> Fetched:
    """Gets a source on a host into the directory `cache`, or finds it there.

    The file has its name only when it is whole and everything that is given holds: the digest `checksum`;
    `signature`, by the owner of `public_key`; `manifest`, which has to list it as `manifest_name`. One that
    is there already, of the digest or signed, is found and no host asked; without `recheck` it isn't even
    hashed again: its loading does that. `progress(done, total)` is called with bytes, in this thread, about
    ten times a second; `total` is 0 where it isn't known, or while another process downloads; what it
    raises ends the download and is raised.

    Raises FetchError, ChecksumError, SignatureError, SigningKeyError, ManifestError, SourceError,
    OptionError; TrustError (`trust.no_proof`) where nothing is given, unless `danger_unverified`.
    """

def read_side_file(
    reference: str,
    *,
    kind: str,
    sources: Sources,
    progress: Callable[[int, int], None] | None = None,
) -> SideFile:
    """Reads a small file of a host into memory: a `signature` or a `manifest`, of no more bytes than one has.

    Raises FetchError (`fetch.side_file` where it has more), OptionError.
    """

def name_in_manifest(reference: str, *, manifest: str | None = None) -> str:
    """The name that a signed manifest has for a source on a host; `manifest` is where it is, if on one too.

    Its path from the manifest's folder; of a manifest that is elsewhere the path in the repository of
    `hf://`, or the last part of the URL.

    Raises FetchError (`fetch.reference`), OptionError.
    """

def assemble(files: Sequence[tuple[str, str]], *, cache: str) -> str:
    """Gives the files of a model in parts their names beside each other; returns the path of the first.

    The names come with the SHA-256 digests under which the cache has the files.

    Raises FetchError, ChecksumError.
    """

def verify_manifest(
    path: str,
    *,
    signature: str,
    public_key: str | None = None,
    certificates: Sequence[str] = (),
    identity: str | None = None,
    issuer: str | None = None,
    trusted_root: str | None = None,
    ignore_paths: Sequence[str] = (),
    files: Sequence[str] | None = None,
    now: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ManifestEvidence:
    """Hold the directory or file at `path` to the signed manifest at `signature`.

    Exactly one of `public_key`, `certificates`, and `identity` with `issuer` and `trusted_root` says whom
    to trust: PEM files, and the JSON of a Sigstore instance. `now` is in seconds since 1970.
    `progress(done, total)` is called with bytes, in this thread; what it raises ends the work and is
    raised.

    Raises ManifestError, CertificateError, SourceError, OptionError.
    """

def sign_manifest(
    path: str,
    *,
    private_key: str,
    output: str,
    passphrase: bytearray | None = None,
    passphrase_file: str | None = None,
    certificates: Sequence[str] = (),
    algorithm: str = "sha256",
    shard_size: int | None = None,
    allow_symlinks: bool = False,
    ignore_paths: Sequence[str] = (),
    files: Sequence[str] | None = None,
    now: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Sign the directory or file at `path`, and write the manifest to `output`, which isn't listed.

    `passphrase` is wiped; `output` may not exist.

    Raises ManifestError, CertificateError, SigningKeyError, SourceError, OutputError, OptionError.
    """

@final
class Manifest:
    """A signed manifest whose signer was verified, for the load of files that it lists."""

    def __new__(
        cls,
        path: str | SideFile,
        *,
        public_key: str | None = None,
        certificates: Sequence[str] = (),
        identity: str | None = None,
        issuer: str | None = None,
        trusted_root: str | None = None,
        now: int | None = None,
    ) -> Self:
        """Reads and verifies a signed manifest, at a path or sent by a host; no file that it lists is opened.

        Whom to trust is as for `verify_manifest`.

        Raises ManifestError, CertificateError, SigningKeyError, SourceError, OptionError.
        """
    @property
    def names(self) -> list[str]:
        """The files that were signed, in order; `.` alone for a single file."""

@final
class ManifestEvidence:
    """That a tree is what was signed. Names in it are the signer's."""

    @property
    def method(self) -> Literal["key", "certificate", "sigstore"]: ...
    @property
    def key(self) -> str: ...
    @property
    def subject(self) -> str | None: ...
    @property
    def certificate(self) -> str | None: ...
    @property
    def root_subject(self) -> str | None: ...
    @property
    def root_certificate(self) -> str | None: ...
    @property
    def authorities(self) -> list[str]:
        """Ids of the keys of the root and of the authorities between."""
    @property
    def not_after(self) -> int | None:
        """Last second of the signer's certificate, since 1970."""
    @property
    def identity(self) -> str | None: ...
    @property
    def issuer(self) -> str | None: ...
    @property
    def trusted_root(self) -> str | None:
        """SHA-256 of the `trusted_root.json`."""
    @property
    def signed_at(self) -> int | None:
        """As a log or a time stamp says, since 1970."""
    @property
    def model(self) -> str: ...
    @property
    def root(self) -> str: ...
    @property
    def algorithm(self) -> str: ...
    @property
    def serialization(self) -> Literal["files", "shards"]: ...
    @property
    def files(self) -> int: ...
    @property
    def listed(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def verified_at(self) -> int: ...

def verify_file(
    path: str,
    *,
    public_key: str,
    signature: str | None = None,
    hash: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Evidence:
    """Holds the signature of a file to it, by the owner of `public_key`. Nothing of the file is kept.

    Key and signature are read first; the file once. A signature that isn't named is `path` with `.sig`,
    or with a key of minisign `.minisig`, behind it. `hash` is `sha256`, `sha384` or `sha512`.

    Raises SignatureError, SigningKeyError, SourceError, OptionError.
    """

def sign_file(
    path: str,
    *,
    private_key: str,
    format: str,
    output: str | None = None,
    hash: str | None = None,
    rsa_padding: str | None = None,
    comment: str | None = None,
    passphrase: bytearray | None = None,
    passphrase_file: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Path, Evidence]:
    """Signs a file and writes the signature, which is verified before; `passphrase` is wiped.

    `format` is `detached` or `minisign`, `rsa_padding` `pkcs1` or `pss`.

    Raises SignatureError, SigningKeyError, SourceError, OutputError, OptionError.
    """

def generate_key(
    *,
    kind: str,
    private_key: str,
    public_key: str,
    passphrase: bytearray | None = None,
    passphrase_file: str | None = None,
) -> str:
    """Makes a key pair and writes both files, neither of which may exist; `passphrase` is wiped.

    `kind` is `p256`, `p384`, `p521`, `ed25519`, `rsa2048`, `rsa3072`, `rsa4096` or `minisign`.
    Returns the key's id.

    Raises OptionError, OutputError, SourceError.
    """

def doctor() -> list[Capability]:
    """What this machine can enforce."""

def rehearse(executable: str | Path) -> list[Layer]:
    """What a worker finds in force around itself here, before it would parse a model.

    `executable` is the worker's. The filter for serving follows the loading, and isn't in force.

    Raises SandboxError, WorkerError.
    """

def choose_worker(
    directory: str | Path, *, instruction_set: str = "auto", processor: Processor | None = None
) -> Worker:
    """Chooses from the executables `strongroom-worker-*` in `directory`.

    It is the fastest that `processor`, None being this one, can run; or that of `instruction_set`,
    `avx2` or `avx512`. Where `directory` has none it is one that starting will not find.

    Raises WorkerError (`worker.unsupported_processor`), SettingsError (`settings.unavailable`).
    """

@final
class Processor:
    """What a processor and its kernel offer of the features that workers use."""

    def __new__(cls, features: Sequence[str]) -> Self:
        """One that has `features`, by Rust's names; those that no worker uses are left out."""
    @staticmethod
    def detect() -> Processor:
        """The one that this runs on."""
    @property
    def features(self) -> list[str]: ...

@final
class Worker:
    """A worker's executable."""

    @property
    def executable(self) -> Path: ...
    @property
    def instruction_set(self) -> Literal["avx2", "avx512"]:
        """What it is compiled for."""
    @property
    def carried(self) -> list[str]:
        """What else there is a worker for, this one's included; the fastest first."""

@final
class Capability:
    """One row of `doctor()`."""

    @property
    def name(self) -> str: ...
    @property
    def value(self) -> str: ...
    @property
    def ok(self) -> bool | None:
        """Whether it is enough for every isolation; None where there is nothing to judge."""
    @property
    def detail(self) -> str: ...

@final
class Evidence:
    """What verifying a signature found."""

    @property
    def signer(self) -> str:
        """The key's id."""
    @property
    def digest(self) -> str:
        """The one that was signed, or one that names the bytes that were."""
    @property
    def how(self) -> str: ...
    @property
    def signed_at(self) -> int | None:
        """In seconds since 1970, where the signature covers it."""
    @property
    def comment(self) -> str | None: ...
    @property
    def rule(self) -> str: ...

@final
class SideFile:
    """A signature or a manifest that a host sent. Nothing proves it: it is what proves."""

    @property
    def source(self) -> str:
        """Where it is from, without a query."""

@final
class Sources:
    """Which hosts may be asked, and what they have to show."""

    def __new__(
        cls,
        *,
        hosts: Sequence[str],
        hf_organisations: Sequence[str],
        hf_endpoint: str,
        ca_file: str | None,
        pins: Sequence[tuple[str, Sequence[str]]],
        danger_allow_addresses: Sequence[tuple[str, Sequence[str]]],
        max_size: int,
    ) -> Sources:
        """Raises SettingsError, which names the option; FetchError (`fetch.ca_file`)."""

@final
class Fetched:
    """A file in the cache."""

    @property
    def source(self) -> str:
        """Where it is from, without a query."""
    @property
    def path(self) -> str: ...
    @property
    def digest(self) -> str:
        """`sha256:` and 64 hexadecimal digits."""
    @property
    def size(self) -> int:
        """Bytes."""
    @property
    def verified(self) -> bool:
        """Whether something was given that proves it, and held."""
    @property
    def cached(self) -> bool:
        """Whether it was there already, or another process fetched it meanwhile."""
    @property
    def evidence(self) -> Evidence | None:
        """Who signed it, where a signature was given and is not left to the loading."""

@final
class Finding:
    """Something that preflight noticed and does not refuse."""

    @property
    def code(self) -> str: ...
    @property
    def message(self) -> str: ...

@final
class SpecialToken:
    """A token with a role of its own."""

    @property
    def role(self) -> str:
        """`bos`, `eos`, `unknown` and others of the format."""
    @property
    def id(self) -> int: ...
    @property
    def text(self) -> str: ...

@final
class Tokenizer:
    """What the header says about its vocabulary."""

    @property
    def model(self) -> str: ...
    @property
    def pre(self) -> str | None: ...
    @property
    def vocabulary_size(self) -> int: ...
    @property
    def special_tokens(self) -> list[SpecialToken]: ...

@final
class Footprint:
    """What a worker of a model takes of memory besides the weights, in bytes."""

    @property
    def token_bytes(self) -> int:
        """Of cache, for a token, in the layers that see the whole context."""
    @property
    def window_token_bytes(self) -> int:
        """Of cache, for a token, in the layers that see a window of it."""
    @property
    def window(self) -> int:
        """Tokens of that window; 0 where no layer has one."""
    def cache(self, context_length: int, batch_tokens: int) -> int:
        """Of the key-value cache of one sequence: exact."""
    def compute(self, context_length: int, batch_tokens: int, sequences: int) -> int:
        """Of the buffers that a step is computed in: an estimate."""
    def process(self) -> int:
        """Of the process itself: an estimate."""

@final
class Header:
    """A GGUF header that preflight accepted. Text in it is the file's: untrusted."""

    @property
    def version(self) -> int: ...
    @property
    def architecture(self) -> str: ...
    @property
    def name(self) -> str | None: ...
    @property
    def parameters(self) -> int:
        """Weights, counted from the shapes."""
    @property
    def quantization(self) -> str: ...
    @property
    def context_length(self) -> int:
        """Tokens that the model was trained with."""
    @property
    def embedding_length(self) -> int: ...
    @property
    def block_count(self) -> int: ...
    @property
    def tokenizer(self) -> Tokenizer: ...
    @property
    def chat_template(self) -> str | None: ...
    @property
    def footprint(self) -> Footprint | None:
        """None where the architecture isn't checked in depth."""
    @property
    def tensor_count(self) -> int: ...
    @property
    def metadata_count(self) -> int: ...
    @property
    def findings(self) -> list[Finding]: ...

@final
class Inspection:
    """What `inspect()` saw."""

    @property
    def digest(self) -> str:
        """`sha256:` and 64 hexadecimal digits, of the whole file; of parts, of their digests."""
    @property
    def part_digests(self) -> list[str]:
        """The same of each part, of a model in parts."""
    @property
    def size(self) -> int:
        """Bytes, of all parts."""
    @property
    def header(self) -> Header | None:
        """None where preflight refuses."""
    @property
    def refusal(self) -> tuple[str, str] | None:
        """Code and message, where preflight refuses."""

@final
class Image:
    """A model in sealed memory: its digest proved, its header through preflight.

    Dropped, its memory goes back when the last worker of it has ended.
    """

    @staticmethod
    def load(
        path: str,
        *,
        checksum: str | None,
        danger_unverified: bool = False,
        signature: str | SideFile | None = None,
        public_key: str | None = None,
        hash: str | None = None,
        allow_architectures: Sequence[str] = (),
        size_limit: int | None = None,
        progress: Callable[[int, int], None] | None = None,
        pins: Sequence[str] = (),
        algorithms: Sequence[str] = (),
        parts: Sequence[str] = (),
        part_checksums: Sequence[str] = (),
        manifest: Manifest | None = None,
        manifest_names: Sequence[str] = (),
        received: Sequence[Received] = (),
    ) -> Image:
        """Reads a file, or every part of a model, once into sealed memory, hashing every byte.

        What was `received`, the file or every part of it, is taken in its place, and can be once; `path`
        and `parts` are what messages call it.

        `checksum` is `sha256:`, `sha384:` or `sha512:` and hexadecimal digits; where it is given it
        is compared, whatever `danger_unverified` says. So is a signature by the owner of `public_key`;
        `signature` and `hash` are as for `verify_file`, and read before the file. A file of more than
        `size_limit` bytes is refused before any is read. `progress(done, total)` is called with bytes,
        in this thread, at most every few MiB; what it raises ends the loading and is raised.
        `pins` are digests of which one has to be the file's where no checksum is given; `algorithms`
        (`sha256`, …) are computed in the same pass beside those that checksum and pins need. `parts`
        are the paths of all parts of a split model, in their order: they become one image, without the
        keys that say so; its digests are those of the parts' digests, one after the other, and
        `part_checksums` has one for each. Their signatures stand beside them, and are refused where
        nothing else says that they are one model. The file, or each part, has to be what `manifest`
        lists under its name in `manifest_names`.

        Raises ChecksumError, SignatureError, SigningKeyError, SourceError, PreflightError; TrustError
        (`trust.no_proof`, with the digest found) without a checksum, a public key or a pin that
        matches, unless `danger_unverified`.
        """
    @staticmethod
    def unseal(
        path: str,
        descriptor: int,
        *,
        keyrings: Sequence[Keyring],
        message_id: str,
        expected: Mapping[str, str | None],
        digest: str,
        allow_architectures: Sequence[str] = (),
        size_limit: int | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> tuple[Image, dict[str, str]]:
        """Opens a sealed model into sealed memory; returns also the context that it was sealed with.

        Every frame is authenticated before any of them is an image, and all are wiped where one isn't;
        the context must have every pair of `expected`, and vouches for `digest`; the message's id must be
        `message_id`, in hexadecimal. `path` is for messages:
        what is read is `descriptor`.

        Raises SealError, SourceError, PreflightError, StoreError (`store.unreadable`).
        """
    @property
    def digest(self) -> str:
        """The one that was compared, without one the signature's, else SHA-256."""
    @property
    def digests(self) -> list[str]:
        """Every one that was computed, the checksum's algorithm first."""
    @property
    def part_digests(self) -> list[list[str]]:
        """The same of each part, of a model in parts."""
    @property
    def real_path(self) -> str | None:
        """Where the file was once it was open, without symbolic links; None where it had no name."""
    @property
    def size(self) -> int:
        """Bytes."""
    @property
    def header(self) -> Header: ...
    @property
    def verified(self) -> bool:
        """Whether a checksum, a signature, or one of the pins held."""
    @property
    def evidence(self) -> list[Evidence]:
        """What verifying the signature found: one, or one of each part."""
    @property
    def listed(self) -> ManifestEvidence | None:
        """Who signed the manifest that lists it."""
    @property
    def pinned(self) -> bool:
        """Whether none of it can go to a swap device."""
    @property
    def seconds(self) -> float:
        """From open to sealed, proved and preflighted."""

@final
class Layer:
    """One layer of a worker's sandbox."""

    @property
    def name(self) -> str: ...
    @property
    def state(self) -> Literal["in_force", "absent", "off"]: ...
    @property
    def detail(self) -> str: ...

@final
class Model:
    """A worker that serves one image, replaced when it dies. Safe to use from many threads."""

    @staticmethod
    def start(
        image: Image,
        *,
        executable: str | Path,
        isolation: str,
        address_space: int,
        cores: int,
        load_timeout: float,
        request_timeout: float,
        concurrent_requests: int,
        tenant_requests: int | None,
        max_concurrent: int,
        batch_tokens: int,
        threads: int | None,
        prefix_quota: int,
        prefix_tenants: int,
        prefix_idle: int,
        erase: bool,
        separate: bool,
        embeddings: str | None,
        context_length: int | None,
        chat_template: str | None,
        proceed: Callable[[], bool] | None = None,
    ) -> Model:
        """Starts a worker and waits until it is ready.

        `executable` is the worker's, as `choose_worker` finds it; `isolation` is `process`, `maximum`
        or `danger-none`; `address_space` is in bytes, timeouts in seconds; `request_timeout` bounds
        every request's; `tenant_requests` None is `concurrent_requests`; `max_concurrent` sequences are
        decoded at once, `batch_tokens` tokens of them in a step at most; `threads` None is one per core
        that is free; of ended requests `prefix_quota` bytes are kept for each of `prefix_tenants`
        tenants, until they were idle for `prefix_idle` seconds; `erase` False leaves what they left, and
        `separate` False takes all requests for one tenant's; `embeddings` is `model` (its own pooling),
        `mean`, `cls` or `last`, and None where the model is to answer; `context_length` None is
        min(trained, 4096); `chat_template` replaces the file's. `proceed` is called in this thread about
        ten times a second: the worker is ended and LoadError (`load.cancelled`) raised once it returns
        False, or what it raises.

        Raises SettingsError, SandboxError, LoadError, WorkerError.
        """
    def report(self) -> list[Layer]:
        """The sandbox of the worker that serves now, as the worker found it in force."""
    @property
    def context_length(self) -> int: ...
    @property
    def context_trained(self) -> int: ...
    @property
    def vocabulary_size(self) -> int: ...
    @property
    def parameters(self) -> int: ...
    @property
    def max_concurrent(self) -> int:
        """Sequences decoded at once."""
    @property
    def dimensions(self) -> int:
        """Numbers of a vector; 0 of a model that answers."""
    @property
    def threads(self) -> int:
        """Compute threads."""
    @property
    def pid(self) -> int:
        """Of the worker that serves now, or of the last one."""
    @property
    def restarts(self) -> int:
        """Workers replaced."""
    @property
    def load_seconds(self) -> float:
        """In llama.cpp: parsing the image and making the context."""
    @property
    def lock_seconds(self) -> float:
        """From the worker's first order to its sandbox in force."""
    @property
    def chat_refusal(self) -> tuple[str, str] | None:
        """Code and detail of why a conversation will be refused, where it will."""
    @property
    def quarantine(self) -> tuple[str, str] | None:
        """Code and message of why no worker is started and every request refused, until `release()`."""
    def release(self) -> None:
        """Lets a quarantined model start a worker again; nothing where it isn't quarantined.

        Raises RequestError (`request.unloaded`), RouterError (`router.forked`).
        """
    def generate(
        self,
        prompt: str | Sequence[tuple[str, str, str | None]],
        *,
        temperature: float,
        top_k: int,
        top_p: float,
        min_p: float,
        repeat_penalty: float,
        presence_penalty: float,
        frequency_penalty: float,
        seed: int,
        logit_bias: Sequence[tuple[int, float]],
        stop: Sequence[str],
        max_tokens: int | None,
        timeout: float,
        piece_interval: float | None,
        tenant: str | bytes | None,
        priority: str,
    ) -> Stream:
        """Asks for a continuation of text, or an answer to messages of (role, content, name).

        Returns at once; what the worker refuses is raised by the stream. `timeout` in seconds is
        bounded by the model's `request_timeout`. Pieces come at ticks `piece_interval` seconds
        apart; with None the answer is one piece, or a few where it is long. `tenant`, 1 to 256 bytes or text
        of as many in UTF-8, is whose request it is: `tenant_requests` bounds how many one may have.
        `priority` is `low`, `normal` or `high`.

        Raises OptionError, PromptError, RequestError, WorkerError.
        """
    def embed(
        self,
        texts: Sequence[str],
        *,
        normalize: bool,
        timeout: float,
        tenant: str | bytes | None,
        priority: str,
    ) -> Stream:
        """Asks for the vectors of 1 to 256 texts, of 1 MiB of UTF-8 together: `Began`, then `Embedded`.

        Returns at once; what the worker refuses is raised by the stream.

        Raises OptionError, PromptError, RequestError, WorkerError.
        """
    def publish(self, prompt: str | Sequence[tuple[str, str, str | None]], *, timeout: float) -> Stream:
        """Asks for a prefix that every tenant may begin with: `Began`, then `Published`.

        Returns at once; what the worker refuses is raised by the stream. A worker that takes the place of
        the one that serves now reads it again.

        Raises OptionError, PromptError, RequestError, WorkerError.
        """
    def tokenize(self, text: str, *, timeout: float) -> list[int]:
        """Ids of plain text; special tokens in it are not parsed. BOS as the model says.

        Raises PromptError, RequestError, WorkerError.
        """
    def close(self) -> None:
        """Ends the worker and its requests. Again is nothing; other methods then raise."""

@final
class Stream:
    """What was asked of one request. Dropped before its end, it cancels."""

    def next(self) -> Began | Piece | Finished | Embedded | Published:
        """Waits for what comes next: `Began`, pieces, `Finished`; or `Embedded`, or `Published`.

        After the last of these it returns that again; after an error it raises that again.

        Raises PromptError, TemplateError, OptionError, RequestError, WorkerError.
        """
    def poll(self) -> Began | Piece | Finished | Embedded | Published | None:
        """What `next()` would return, or None where it would wait. Never blocks."""
    def watch(self, bell: Bell, key: int) -> None:
        """Has `bell` told, under `key`, of what comes after `poll()` returned None, or is there now.

        A stream has one bell: the last that it was given.

        Raises RouterError (`router.forked`).
        """
    def cancel(self) -> None:
        """Stops decoding at the next step; `Finished` with `cancelled` follows."""

@final
class Bell:
    """Tells one reader of many streams which of them have something: once for all that came together."""

    def __new__(cls) -> Bell:
        """Raises RequestError (`request.no_resources`) where the system gives no descriptor."""
    def fileno(self) -> int:
        """A descriptor, the bell's own, that is readable when `take()` has something."""
    def take(self) -> list[int]:
        """The keys of the streams that got something since the last call, in no order; never blocks.

        A key may be one of a stream that is gone, or that has been read meanwhile.

        Raises RouterError (`router.forked`).
        """
    def ring(self, key: int) -> None:
        """Tells the reader of `key`, for what no stream has.

        Raises RouterError (`router.forked`).
        """

@final
class Began:
    """The request left the queue and its prompt was accepted."""

    @property
    def prompt_tokens(self) -> int: ...
    @property
    def cached_tokens(self) -> int:
        """Of these, the first ones that were not read again."""

@final
class Embedded:
    """The vectors that were asked for."""

    @property
    def tokens(self) -> int:
        """Of all texts."""
    @property
    def rows(self) -> bytearray:
        """One row per text, of numbers in IEEE 754 binary32, little-endian."""

@final
class Published:
    """A public prefix is there."""

    @property
    def tokens(self) -> int: ...

@final
class Piece:
    """Text, in whole characters."""

    @property
    def text(self) -> str: ...
    @property
    def tokens(self) -> int:
        """Decoded for it."""

@final
class Finished:
    """The request ended well."""

    @property
    def reason(self) -> Literal["stop", "length", "cancelled"]: ...
    @property
    def completion_tokens(self) -> int: ...
    @property
    def queue_seconds(self) -> float: ...
    @property
    def prompt_seconds(self) -> float:
        """From leaving the queue to the first token's logits."""
    @property
    def decode_seconds(self) -> float: ...

@final
class Keyring:
    """A key that encrypts and decrypts models; its repr is its id, which has nothing of its bytes."""

    @staticmethod
    def from_key_file(path: str, *, namespace: str, name: str) -> Keyring:
        """The key in a file of 32 bytes or 64 hexadecimal digits, which nobody else may read.

        Raises SealError.
        """

    @staticmethod
    def from_hex(digits: bytearray, *, namespace: str, name: str, source: str) -> Keyring:
        """The key in 64 hexadecimal digits, which are wiped; `source` names them in errors.

        Raises SealError.
        """

    @staticmethod
    def from_passphrase(
        passphrase: bytearray | None = None,
        *,
        passphrase_file: str | None = None,
        memory: int = 65536,
        passes: int = 3,
        lanes: int = 1,
    ) -> Keyring:
        """A passphrase, which is wiped, or the file that it is the one line of; `memory` is in KiB.

        Raises SealError, SourceError, OptionError.
        """

    @staticmethod
    def from_variable(variable: str, *, namespace: str, name: str) -> Keyring:
        """A raw key out of an environment variable, which is removed, and wiped where the system put it.

        Raises SealError.
        """
    @staticmethod
    def from_kernel(description: str, *, namespace: str, name: str) -> Keyring:
        """A raw key of the type `user` out of the kernel's keyrings.

        Raises SealError.
        """
    @staticmethod
    def from_service(service: object) -> Keyring:
        """A service: an object with `provider`, `name`, `wrap` and `unwrap`."""
    @property
    def id(self) -> str:
        """Namespace and name."""

@final
class DataKey:
    """A data key on its way into one cipher; its repr is its name."""

    @staticmethod
    def from_key_file(path: str, *, key_id: str, version: int) -> DataKey:
        """The key in a file of 32 bytes or 64 hexadecimal digits, which nobody else may read.

        Raises SealError, DataError.
        """

    @staticmethod
    def from_hex(digits: bytearray, *, key_id: str, version: int, source: str) -> DataKey:
        """The key in 64 hexadecimal digits, which are wiped; `source` names them in errors.

        Raises SealError, DataError.
        """

    @staticmethod
    def from_variable(variable: str, *, key_id: str, version: int) -> DataKey:
        """The key in an environment variable, which is removed, and wiped where the system put it.

        Raises SealError, DataError.
        """

    @staticmethod
    def from_kernel(description: str, *, key_id: str, version: int) -> DataKey:
        """The key of the type `user` out of the kernel's keyrings.

        Raises SealError, DataError.
        """

@final
class DataCipher:
    """Encrypts and decrypts records; `rust/seal/ENVELOPE.md` is the format."""

    def __new__(cls, keys: Sequence[DataKey]) -> Self:
        """Take the keys, the one that encrypts first.

        Raises DataError.
        """

    def encrypt(self, obj: object, context: dict[str, str], purpose: str) -> bytes:
        """The envelope of an object.

        Raises DataError, SealError.
        """

    def decrypt(
        self, envelope: Buffer, context: dict[str, str], purpose: str
    ) -> bytes | bytearray | str | int | float | list[object] | dict[str, object] | None:
        """What is in an envelope.

        Raises DataError, SealError.
        """

    def reencrypt(self, envelope: Buffer, context: dict[str, str], purpose: str) -> bytes:
        """The envelope, under the first key, of what is in another.

        Raises DataError, SealError.
        """

    @staticmethod
    def key_of(envelope: Buffer) -> tuple[str, int]:
        """Id and version of the key that an envelope says it is under; nothing is authenticated.

        Raises DataError.
        """

    @property
    def keys(self) -> list[tuple[str, int]]:
        """Ids and versions, the one that encrypts first."""

@final
class Received:
    """A file that a host sent, in sealed memory. Nothing proves it yet."""

    @property
    def source(self) -> str:
        """Where it is from, without a query."""
    @property
    def size(self) -> int:
        """Bytes."""

def receive(
    reference: str,
    *,
    sources: Sources,
    checksum: str | None = None,
    size_limit: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Received:
    """Receives a source on a host into sealed memory; no file has any of it.

    It has to have the digest `checksum` where that is given. `progress` is as in `fetch`. Raises FetchError,
    ChecksumError, SourceError.
    """

@final
class SealedHeader:
    """What a sealed file says to whoever has no key. Nothing of it is authenticated."""

    @property
    def message_id(self) -> str:
        """In hexadecimal."""
    @property
    def keys(self) -> list[str]:
        """Ids of the keys that open it."""
    @property
    def context(self) -> dict[str, str]: ...

def sealed_header(path: str, descriptor: int) -> SealedHeader:
    """Reads the header of an open sealed file. Raises SealError, StoreError."""

def seal_file(
    path: str,
    output: str,
    *,
    keyrings: Sequence[Keyring],
    context: Mapping[str, str],
    frame_length: int | None = None,
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Encrypts a file into a new one, which appears when it is whole; returns how many bytes it has.

    `context` is readable by everybody, and bound to the keys. `frame_length` is in bytes, 1 MiB where
    it is None; `threads` are as many as there are cores. `progress(done, total)` is called with bytes,
    in any thread; what it raises ends the sealing and is raised.

    Raises SealError, SourceError, OutputError.
    """

def open_sealed(
    path: str,
    output: str,
    *,
    keyrings: Sequence[Keyring],
    expected: Mapping[str, str] | None = None,
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, str]:
    """Decrypts a file into a new one, which appears when all of it is authentic; returns its context.

    The first of `keyrings` that can opens it; the context has to have what is `expected`. Otherwise
    as `seal_file`.

    Raises SealError, SourceError, OutputError.
    """

def seal_image(
    image: Image,
    descriptor: int,
    *,
    keyrings: Sequence[Keyring],
    context: Mapping[str, str],
    progress: Callable[[int, int], None] | None = None,
) -> str:
    """Seals an image into an open, empty file, and puts it on the disk; returns the message's id.

    Raises SealError, StoreError (`store.unwritable`).
    """

def verify_sealed(
    path: str,
    descriptor: int,
    *,
    keyrings: Sequence[Keyring],
    message_id: str,
    expected: Mapping[str, str | None],
    progress: Callable[[int, int], None] | None = None,
) -> tuple[dict[str, str], str]:
    """Authenticates every byte of a sealed file; returns its context, and the SHA-256 of what is in it.

    The file must be of the message `message_id`, in hexadecimal. Its context has to have each pair that is
    `expected`, and no pair of a key for which None is.

    Raises SealError, StoreError.
    """

def export_sealed(
    path: str,
    descriptor: int,
    output_path: str,
    output: int,
    *,
    keyrings: Sequence[Keyring],
    message_id: str,
    expected: Mapping[str, str | None],
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Opens a sealed file into an open, empty one, which is put on the disk.

    What is there while it isn't whole is not to be used. `output_path` names it in errors. Raises
    SealError, StoreError, OutputError.
    """

def reseal(
    path: str,
    descriptor: int,
    output: int,
    *,
    keyrings: Sequence[Keyring],
    new_keyrings: Sequence[Keyring],
    message_id: str,
    expected: Mapping[str, str | None],
    added: Mapping[str, str],
    progress: Callable[[int, int], None] | None = None,
) -> str:
    """Seals what is in a sealed file anew, under a fresh data key; returns the new message's id.

    Pairs that are `added` to its context have keys that it hasn't.

    Raises SealError, StoreError.
    """

def compare_digest(a: Buffer | str, b: Buffer | str, /) -> bool:
    """Whether two secrets are the same, in a time that depends on their lengths alone.

    Both are bytes-like, or both strings of ASCII characters; like `hmac.compare_digest`, this raises
    `TypeError` for anything else, and shows nothing of it.
    """

@final
class SecureBuffer(Buffer):
    """Bytes in secure memory, which `memoryview` and NumPy see without a copy.

    It is wiped when it is closed or dropped, when it has lain idle for longer than its arena allows, and at
    exit. A view of it keeps the memory: while there is one, closing raises `ArenaError` (`arena.in_use`),
    which is a `BufferError`. In a forked child there is no such memory: a view that was made before the fork
    must not be touched there, and making one raises `arena.forked`.
    """

    @property
    def purpose(self) -> str:
        """What it is for, as it was allocated."""
    @property
    def backing(self) -> Literal["secret", "locked", "swappable"]:
        """What holds its pages."""
    @property
    def closed(self) -> bool:
        """Whether it was closed, or wiped for its age."""
    def close(self) -> None:
        """Wipe and free it; nothing where that was done already."""
    def write(self, data: Buffer, offset: int = 0) -> None:
        """Copy bytes into it. What they were copied from is left as it is."""
    def __len__(self) -> int: ...
    def __enter__(self) -> Self: ...
    def __exit__(self, *_exception: object) -> None: ...

@final
class Arena:
    """Secure memory up to a limit; `strongroom.SecureArena` describes the arguments."""

    def __new__(cls, max_bytes: int, max_age: float | None, backing: str, fallback: str) -> Self: ...
    def allocate(self, size: int, purpose: str) -> SecureBuffer:
        """A buffer of zeros."""
    def reclaim(self) -> int:
        """Wipes what lay idle for too long; returns how many buffers that were."""
    def usage(self) -> ArenaUsage:
        """What is held."""

@final
class BufferUsage:
    """A buffer that is held; times are in seconds."""

    @property
    def id(self) -> int: ...
    @property
    def purpose(self) -> str: ...
    @property
    def bytes(self) -> int: ...
    @property
    def age(self) -> float: ...
    @property
    def idle(self) -> float: ...
    @property
    def views(self) -> int: ...
    @property
    def backing(self) -> Literal["secret", "locked", "swappable"]: ...

@final
class ArenaUsage:
    """What an arena holds; `secret`, `locked` and `swappable` are mapped bytes."""

    @property
    def buffers(self) -> list[BufferUsage]: ...
    @property
    def bytes(self) -> int: ...
    @property
    def max_bytes(self) -> int: ...
    @property
    def secret(self) -> int: ...
    @property
    def locked(self) -> int: ...
    @property
    def swappable(self) -> int: ...
    @property
    def fallbacks(self) -> list[str]: ...
