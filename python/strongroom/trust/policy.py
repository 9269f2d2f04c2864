"""What an operator trusts, as one frozen tree. It only ever adds demands: no entry relaxes another.

ModelVerification(
trusted_sources=["/srv/models", TrustedSource(host="models.example.com", proof="signature")],
signers=[Signer(name="acme", key="sha256:…", models=["acme-*"])],
revoked=[Revocation(digest="sha256:…", reason="weights leaked a key")],
max_size="20GB",
)
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Self, TypeVar

from strongroom.errors import SettingsError
from strongroom.options import Options
from strongroom.quantities import bytes_of, invalid
from strongroom.trust import words

__all__ = [
    "LEVELS",
    "Level",
    "ModelRule",
    "ModelVerification",
    "Revocation",
    "Signer",
    "TrustedDigest",
    "TrustedSource",
]

Level = Literal["digest", "signature", "oms"]
LEVELS: tuple[Level, ...] = ("digest", "signature", "oms")
"""Kinds of proof, each of which also counts where one before it is asked for."""

Entry = TypeVar("Entry", bound=Options)


def put(owner: object, name: str, value: object) -> None:
    """Keep the checked form of an option of a frozen dataclass, while it is made."""
    object.__setattr__(owner, name, value)


def several(option: str, value: object, read: Callable[[str, object], Any], expected: str) -> tuple[Any, ...]:
    """Read a list, and say which of its items is refused."""
    words.refuse_user(option, value)
    if isinstance(value, str | bytes) or not isinstance(value, Sequence):
        raise invalid(option, value, f"a list of {expected}")
    if len(value) > words.MOST:
        raise invalid(option, value, f"a list of at most {words.MOST}; it has {len(value)}")
    return tuple(read(f"{option}[{position}]", item) for position, item in enumerate(value))


def entries(option: str, value: object, kind: type[Entry]) -> tuple[Entry, ...]:
    """Read a list of tables; one of a file is made into what checks it."""

    def read(place: str, item: object) -> Entry:
        if isinstance(item, kind):
            return item
        parse = getattr(kind, "parse", None)
        if isinstance(item, Mapping) and all(isinstance(key, str) for key in item):
            table: Entry = placed(place, lambda: kind(**item))
            return table
        if isinstance(item, str) and parse is not None:
            made: Entry = placed(place, lambda: parse(item))
            return made
        raise invalid(place, item, f"a {kind.__name__}")

    return several(option, value, read, kind.__name__)


def placed(place: str, make: Callable[[], Any]) -> Any:  # noqa: ANN401 - whatever is made
    """Make an item; say in its error which one it is."""
    try:
        return make()
    except SettingsError as error:
        raise SettingsError(error.code, f"{place}: {error.message}", error.next_step) from None


def level_of(option: str, value: object) -> Level:
    """Read a kind of proof."""
    for level in LEVELS:
        if value == level:
            return level
    raise invalid(option, value, '"digest", "signature" or "oms"')


def exactly_one(owner: str, options: Mapping[str, object]) -> None:
    """Refuse an entry that names none, or several, of what it can be about."""
    given = [name for name, value in options.items() if value is not None]
    if len(given) != 1:
        found = " and ".join(given) or "none"
        raise SettingsError(
            "settings.invalid", f"{owner} must have exactly one of {', '.join(options)}; it has {found}"
        )


@dataclass(frozen=True, kw_only=True)
class TrustedSource(Options):
    """A place that models may come from: a root of local paths, a host, or an organisation."""

    root: str | None = None
    """A directory by its real path: what lies below it, once every symbolic link is resolved."""
    host: str | None = None
    """Of https, exactly: no subdomain is meant with it. A port other than 443 follows a `:`."""
    organisation: str | None = None
    """Of Hugging Face, letter by letter."""
    proof: Level = "digest"
    """What a model from there needs at least."""
    signers: Sequence[str] = ()
    """Names of the signers that count there; none named: every one."""

    def __post_init__(self) -> None:
        """Check every option."""
        exactly_one("a source", {"root": self.root, "host": self.host, "organisation": self.organisation})
        if self.root is not None:
            put(self, "root", words.path_of("root", self.root))
        if self.host is not None:
            put(self, "host", words.host_of("host", self.host))
        if self.organisation is not None:
            put(self, "organisation", words.organisation_of("organisation", self.organisation))
        checked_demand(self)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the short form: `/srv/models`, `https://models.example.com:8443`, `hf://organisation`."""
        scheme, _, rest = text.partition("://")
        if not text.startswith("/"):
            words.refuse_user("a source", text)
        if text.startswith("/"):
            return cls(root=text)
        if scheme == "https":
            return cls(host=rest)
        if scheme == "hf":
            return cls(organisation=rest)
        raise invalid("a source", text, "an absolute path, https://HOST[:PORT] or hf://ORGANISATION")

    def __str__(self) -> str:
        """Return the short form."""
        if self.root is not None:
            return self.root
        return f"https://{self.host}" if self.host is not None else f"hf://{self.organisation}"


def checked_demand(owner: Any) -> None:  # noqa: ANN401 - what has `proof` and `signers`
    """Check what a source or a rule demands."""
    level_of("proof", owner.proof)
    names = several("signers", owner.signers, signer_name, "signers' names")
    words.unique("signers", list(names))
    put(owner, "signers", names)
    if names and owner.proof == "digest":
        raise invalid("proof", owner.proof, '"signature" or "oms" where signers are named')


def signer_name(option: str, value: object) -> str:
    """Read the name of a signer."""
    return words.text_of(option, value, "a signer's name")


@dataclass(frozen=True, kw_only=True)
class Signer(Options):
    """Somebody whose signature counts: by a key, or by an identity or root of OpenSSF Model Signing."""

    name: str = ""
    """For messages, and for the `signers` of sources and rules."""
    key: str | None = None
    """`sha256:` and the digest of the public key's SPKI DER."""
    identity: str | None = None
    """As the certificate says, letter by letter; with `issuer` or `root`."""
    issuer: str | None = None
    """Who vouched for the identity, letter by letter."""
    root: str | None = None
    """`sha256:` and the digest of the root certificate's DER."""
    trusted_root: str | None = None
    """`sha256:` and the digest of the `trusted_root.json` that identity and issuer are known by."""
    models: Sequence[str] = ("*",)
    """Patterns of the names that it may sign."""

    def __post_init__(self) -> None:
        """Check every option."""
        put(self, "name", signer_name("name", self.name))
        for option in ("key", "root", "trusted_root"):
            if (value := getattr(self, option)) is not None:
                put(self, option, words.fingerprint_of(option, value))
        for option in ("identity", "issuer"):
            if (value := getattr(self, option)) is not None:
                put(self, option, words.text_of(option, value, "one line of text"))
        others = [option for option in ("identity", "issuer", "root") if getattr(self, option) is not None]
        others += [] if self.trusted_root is None else ["trusted_root"]
        if (self.key is not None) is bool(others):
            raise SettingsError(
                "settings.invalid",
                f"signer {self.name!r} must have either a key, or an identity with its issuer, or a root",
            )
        if (self.issuer is not None and self.identity is None) or others == ["identity"]:
            raise SettingsError(
                "settings.invalid",
                f"signer {self.name!r} must have identity and issuer together, or a root",
                "an identity counts for nothing without who vouches for it",
            )
        if (self.issuer is None) is not (self.trusted_root is None) or {"issuer", "root"} <= set(others):
            raise SettingsError(
                "settings.invalid",
                f"signer {self.name!r} must have identity, issuer and trusted_root together, without a root",
                "anybody can make a trusted_root.json: name the sha256sum of the one that you trust",
            )
        patterns = several("models", self.models, words.pattern_of, "patterns of names")
        if not patterns:
            raise invalid("models", self.models, 'a list that is not empty; ["*"] is every name')
        put(self, "models", patterns)

    def may_sign(self, name: str) -> bool:
        """Whether one of the patterns has that name in it."""
        return any(words.matches(pattern, name) for pattern in self.models)


@dataclass(frozen=True, kw_only=True)
class TrustedDigest(Options):
    """A digest that the operator vouches for: proof without anything in the call."""

    digest: str = ""
    name: str = "*"
    """A pattern of the names that it is proof for."""
    version: str | None = None
    """Of the model that it is of."""

    def __post_init__(self) -> None:
        """Check every option."""
        put(self, "digest", words.digest_of("digest", self.digest))
        put(self, "name", words.pattern_of("name", self.name))
        if self.version is not None:
            words.version_of("version", self.version)


@dataclass(frozen=True, kw_only=True)
class ModelRule(Options):
    """What models of some names need beyond what all need."""

    name: str = ""
    """A pattern."""
    proof: Level = "digest"
    """At least."""
    signers: Sequence[str] = ()
    """Names of those whose signature counts; none named: every one."""
    minimum_version: str | None = None
    """Older ones are refused, and so are those of which no version is known."""
    max_size: str | int | None = None
    architectures: Sequence[str] | None = None

    def __post_init__(self) -> None:
        """Check every option."""
        put(self, "name", words.pattern_of("name", self.name))
        checked_demand(self)
        if self.minimum_version is not None:
            words.version_of("minimum_version", self.minimum_version)
        checked_bounds(self)


def checked_bounds(owner: Any) -> None:  # noqa: ANN401 - what has `max_size` and `architectures`
    """Check the bounds of a policy or a rule."""
    if owner.max_size is not None:
        bytes_of("max_size", owner.max_size)
    if owner.architectures is not None:
        names = several("architectures", owner.architectures, words.pattern_of, "architectures' names")
        if any("*" in name for name in names) or not names:
            raise invalid(
                "architectures", owner.architectures, "a list of architectures by their whole names"
            )
        put(owner, "architectures", names)


@dataclass(frozen=True, kw_only=True)
class Revocation(Options):
    """What is never loaded again, whatever else speaks for it."""

    digest: str | None = None
    """Of a file, be it a whole model or one of its parts; or of the digests of all parts."""
    key: str | None = None
    """The id of a key, of a signer or of an authority above one, or the digest of a root or of a
    `trusted_root.json`: no signature that it vouches for proves anything, and a load that gives one is
    refused. A root's key id also meets its other certificates, which a digest doesn't. A load by checksum
    alone looks at no signature, whatever lies beside the file."""
    reason: str = ""
    """Shown where something is refused for it."""

    def __post_init__(self) -> None:
        """Check every option."""
        exactly_one("a revocation", {"digest": self.digest, "key": self.key})
        if self.digest is not None:
            put(self, "digest", words.digest_of("digest", self.digest))
        if self.key is not None:
            put(self, "key", words.fingerprint_of("key", self.key))
        put(self, "reason", words.text_of("reason", self.reason, "a reason, in one line"))


@dataclass(frozen=True, kw_only=True)
class ModelVerification(Options):
    """The whole policy. Its default is zero trust: a digest or a signature in the call, or no load."""

    proof: Level = "digest"
    """What every model needs at least: "digest", "signature" (detached or OMS), "oms"."""
    call_proof: Literal["accepted", "reserved"] = "accepted"
    """Whether a digest, or a signature and key, that is given in the call is proof, or whether only what
    stands in this policy is."""
    trusted_sources: Sequence[TrustedSource | str] = ()
    """Where models may come from; none named: anywhere."""
    digests: Sequence[TrustedDigest] = field(default=(), metadata={"tables_only": True})
    """Models that the operator vouches for."""
    signers: Sequence[Signer] = field(default=(), metadata={"tables_only": True})
    """Whose signatures count, and for which names."""
    models: Sequence[ModelRule] = field(default=(), metadata={"tables_only": True})
    """What some names need in addition; every rule whose pattern has the name in it holds."""
    revoked: Sequence[Revocation] = field(default=(), metadata={"tables_only": True})
    """What is never loaded."""
    max_size: str | int | None = None
    """Of a model's file."""
    architectures: Sequence[str] | None = None
    """Those that may be loaded; None is every one that preflight lets pass."""
    lock: str = "off"
    """Path of the file that records what was loaded, or "off". In a configuration file that has a [trust]
    table the default is `strongroom.lock` beside it."""

    def __post_init__(self) -> None:
        """Check every option, and what they say of each other."""
        level_of("proof", self.proof)
        if self.call_proof not in ("accepted", "reserved"):
            raise invalid("call_proof", self.call_proof, '"accepted" or "reserved"')
        kinds: dict[str, type[Options]] = {
            "trusted_sources": TrustedSource,
            "digests": TrustedDigest,
            "signers": Signer,
            "models": ModelRule,
            "revoked": Revocation,
        }
        for option, kind in kinds.items():
            put(self, option, entries(option, getattr(self, option), kind))
        checked_bounds(self)
        if self.lock != "off":
            put(self, "lock", words.path_of("lock", self.lock))
        words.unique("trusted_sources", [str(source) for source in self.trusted_sources])
        words.unique("signers", [signer.name for signer in self.signers])
        words.unique("revoked", [entry.digest or entry.key or "" for entry in self.revoked])
        known = {signer.name for signer in self.signers}
        for owner in self.owners:
            for name in owner.signers:
                if name not in known:
                    raise invalid("signers", name, f"a signer of this policy ({', '.join(known) or 'none'})")

    @property
    def sources(self) -> tuple[TrustedSource, ...]:
        """`trusted_sources`, each in its long form."""
        return tuple(source for source in self.trusted_sources if isinstance(source, TrustedSource))

    @property
    def owners(self) -> tuple["TrustedSource | ModelRule", ...]:
        """Everything in it that may demand a proof of its own."""
        return (*self.sources, *self.models)

    @property
    def algorithms(self) -> tuple[str, ...]:
        """The hash functions whose digests this policy has to know of a file."""
        named = [entry.digest for entry in self.digests]
        named += [entry.digest for entry in self.revoked if entry.digest is not None]
        recorded = set() if self.lock == "off" else {"sha256"}
        return tuple(sorted({digest.partition(":")[0] for digest in named} | recorded))

    @property
    def demanding(self) -> bool:
        """Whether it asks for more proof than a digest in the call."""
        return self.call_proof == "reserved" or self.signatures

    @property
    def signatures(self) -> bool:
        """Whether it asks for a signature anywhere."""
        return self.proof != "digest" or any(owner.proof != "digest" for owner in self.owners)

    def pins(self, name: str) -> list[str]:
        """Return the digests that the operator vouches for under a name."""
        return [entry.digest for entry in self.digests if words.matches(entry.name, name)]

    def rules(self, name: str) -> list[ModelRule]:
        """Return the rules that hold for a name."""
        return [rule for rule in self.models if words.matches(rule.name, name)]
