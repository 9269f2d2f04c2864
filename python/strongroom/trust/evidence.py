"""What was found about a model, by whoever read and verified it; nothing here is checked again."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from strongroom.text import printable

__all__ = ["Claim", "File", "Found", "Https", "HuggingFace", "Proof", "Signature", "Source", "Vouched"]


@dataclass(frozen=True, slots=True)
class File:
    """A local file."""

    path: str | None
    """Of the open file, without symbolic links; None where it has no name any more."""

    def __str__(self) -> str:
        """Name it."""
        return "a file without a name" if self.path is None else printable(self.path, keep="")


@dataclass(frozen=True, slots=True)
class Https:
    """A download. The host is the one that the request went to first; redirects are its own affair."""

    host: str
    """As `TrustedSource.host`: lower case, with `:` and the port where that isn't 443."""

    def __str__(self) -> str:
        """Name it."""
        return f"https://{self.host}"


@dataclass(frozen=True, slots=True)
class HuggingFace:
    """A download from Hugging Face."""

    organisation: str

    def __str__(self) -> str:
        """Name it."""
        return f"hf://{self.organisation}"


Source = File | Https | HuggingFace

LONGEST = 1000


def line_of(text: str) -> str:
    """Write text of a certificate in printable characters, each text otherwise: none looks like another."""
    line = "".join(
        character if character.isprintable() and character != "\\" else f"\\u{{{ord(character):x}}}"
        for character in text
    )
    line = f"\\u{{20}}{line[1:]}" if line.startswith(" ") else line
    if len(line) <= LONGEST:
        return line
    return f"{line[:100]}… sha256:{hashlib.sha256(line.encode()).hexdigest()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Vouched:
    """A digest that was expected, and found."""

    digest: str
    by: Literal["call", "operator"] = "call"
    """Who named it."""

    def __str__(self) -> str:
        """Name it."""
        where = "in the call" if self.by == "call" else "in the policy"
        return f"the digest {self.digest}, named {where}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """A signature that was verified over these bytes."""

    kind: Literal["signature", "oms"]
    """Detached (also minisign), or OpenSSF Model Signing."""
    key: str | None = None
    """Id of the key that verified it: `sha256:` and the digest of its SPKI DER."""
    identity: str | None = None
    """Of the certificate."""
    issuer: str | None = None
    """Who vouched for that identity."""
    root: str | None = None
    """Fingerprint of the root that the certificate's chain ends in."""
    trusted_root: str | None = None
    """SHA-256 of the `trusted_root.json` whose authority vouched for identity and issuer."""
    authorities: tuple[str, ...] = ()
    """Ids of the keys of that root and of the authorities between it and the signer."""
    rule: str = ""
    """How it was verified, as "ecdsa-p384-sha384" or "oms key files sha256"."""
    when: datetime | None = None
    """When it was signed, where that is proved."""

    def __str__(self) -> str:
        """Name it."""
        kind = "an OMS signature" if self.kind == "oms" else "a signature"
        return f"{kind} by {self.signer}"

    @property
    def vouching(self) -> frozenset[str]:
        """Everything whose revocation ends its trust: keys, the root, the trusted root."""
        named = {self.key, self.root, self.trusted_root, *self.authorities}
        return frozenset(name for name in named if name is not None)

    @property
    def signer(self) -> str:
        """Who signed, in one line that nothing in it can break: what is recorded."""
        if self.identity is not None and self.issuer is not None:
            told = f"{self.identity} ({self.issuer})"
            return line_of(told if self.trusted_root is None else f"{told} under {self.trusted_root}")
        if self.root is not None:
            return line_of(f"{self.identity or 'a certificate'} under {self.root}")
        return line_of(self.key or "an unnamed key")


Proof = Vouched | Signature


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What was found about one model's bytes, in the one pass in which they were read."""

    digests: tuple[str, ...]
    """Every one that was computed. Of a model in parts each is of the parts' digests, one after the other."""
    size: int
    """In bytes."""
    architecture: str | None
    """As preflight read it; None where it wasn't."""
    source: Source
    """Where the bytes came from."""
    proofs: tuple[Proof, ...] = ()
    """What was compared or verified, and held. The policy's own digests are compared by the decision."""
    when: datetime | None = None
    """When the bytes were read."""
    part_digests: tuple[str, ...] = ()
    """Every one of every part, of a model in parts."""

    @property
    def digest(self) -> str | None:
        """The SHA-256, by which models are recorded."""
        return next((digest for digest in self.digests if digest.startswith("sha256:")), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What whoever asks for the load says that the model is."""

    name: str
    """The one that it is to be loaded under."""
    version: str | None = None
    danger: bool = False
    """Whether the operator named the danger of loading without proof."""
