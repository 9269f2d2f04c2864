"""What a verification found."""

from dataclasses import dataclass
from typing import Self

from strongroom import _core

__all__ = ["Evidence"]


@dataclass(frozen=True, slots=True)
class Evidence:
    """Who signed what, how and when, and by which rule that counts. Its comment is the signer's text."""

    signer: str
    """The key's id: the SHA-256 of its SubjectPublicKeyInfo, `sha256:` and hexadecimal digits."""
    digest: str
    """The one that was signed, or one that names the bytes that were."""
    how: str
    """As in "ECDSA on P-256 over sha256"."""
    signed_at: int | None
    """In seconds since 1970, where the signature says so and covers that too."""
    comment: str | None
    """What else the signer says, where the signature covers that too."""
    rule: str

    @classmethod
    def of(cls, found: _core.Evidence) -> Self:
        """Take over what the core found."""
        return cls(found.signer, found.digest, found.how, found.signed_at, found.comment, found.rule)
