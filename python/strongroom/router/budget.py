"""What all models of a Router together may take of memory."""

from collections.abc import Sequence
from typing import NamedTuple

from strongroom.errors import LoadError
from strongroom.quantities import mib
from strongroom.results import MemoryUse
from strongroom.router import machine
from strongroom.settings import Limits

__all__ = ["NOTHING", "Budget", "Claim"]


class Claim(NamedTuple):
    """What one model takes, in bytes."""

    total: int
    """As it was accounted."""
    resident: int
    """Of that, what has been taken already, so that the machine offers it no more."""


NOTHING = Claim(0, 0)


class Budget:
    """Says how much is missing for one more claim. What is there is looked up each time."""

    def __init__(self, limits: Limits) -> None:
        """Take the bound of the settings."""
        self._total = limits.total_memory_bytes

    def missing(self, claim: Claim, others: Sequence[Claim]) -> int:
        """Return the bytes that `claim` needs beyond what is there beside the `others`; at most 0 if it fits.

        Raises SettingsError where the machine doesn't say what it has, and no `total_memory` does.
        """
        return claim.total - claim.resident - self._left(claim, others)

    def _left(self, claim: Claim, others: Sequence[Claim]) -> int:
        """Return the bytes that may be taken beyond what is resident."""
        if self._total is not None:
            return self._total - sum(other.total for other in others) - claim.resident
        offer = machine.offered()
        promised = sum(other.total - other.resident for other in others)
        return offer.available - machine.reserve_of(offer.total) - promised

    def refusal(self, name: str, memory: MemoryUse, claim: Claim, others: dict[str, Claim]) -> LoadError:
        """Build the error: what is needed, for what, and what is there."""
        parts = [f"{mib(memory.weights)} of weights"]
        if memory.worker:
            parts += [
                f"{mib(memory.cache)} of key-value cache",
                f"{mib(memory.compute + memory.process)} to compute in",
            ]
        if memory.prefixes:
            parts.append(f"{mib(memory.prefixes)} for what is kept of requests")
        if memory.paused:
            parts.append(f"{mib(memory.paused)} for requests that make way for others")
        left = max(0, self._left(claim, list(others.values())) + claim.resident)
        where = (
            f"{mib(left)} are free on this machine, a reserve left aside"
            if self._total is None
            else f"{mib(left)} of total_memory, {mib(self._total)}, are left"
        )
        held = ", ".join(f"{other!r} {mib(claim.total)}" for other, claim in others.items() if claim.total)
        return LoadError(
            "load.no_room",
            f"{name!r} takes {mib(memory.total)} of memory ({', '.join(parts)}), and {where}; "
            f"other models take: {held or 'nothing'}",
        )
