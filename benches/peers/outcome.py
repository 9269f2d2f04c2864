"""What came of one order, and the figures that are drawn from it."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from benches.peers.serving import Stream


@dataclass(frozen=True, slots=True)
class Outcome:
    """All answers to an order, which began at once. Times are seconds since then."""

    seconds: float
    streams: list[Stream]
    cpu_seconds: float
    """Of the contender's processes, as the kernel counts them: to a hundredth."""
    host_cpu_seconds: float | None
    """Of the process that asks, where another one computes."""
    foreign_share: float
    """Of this machine's processor time meanwhile, what others used."""

    @property
    def tokens(self) -> int:
        """New ones."""
        return sum(stream.tokens for stream in self.streams)

    @property
    def prompt_tokens(self) -> int:
        """Of all prompts."""
        return sum(stream.prompt_tokens for stream in self.streams)

    @property
    def request_rate(self) -> float:
        """New tokens per second of whole requests, prompts and waiting included."""
        return self.tokens / self.seconds

    @property
    def decode_rate(self) -> float | None:
        """New tokens per second from the time when each stream had its first, until the end.

        None where there are no two pieces after that. A piece may be more than a token: those of a stream
        are taken to be equally long.
        """
        began = max(stream.times[0] for stream in self.streams)
        late = [time for stream in self.streams for time in stream.times if time > began]
        if not late or max(late) == began:
            return None
        tokens = sum(
            stream.tokens * sum(time > began for time in stream.times) / len(stream.times)
            for stream in self.streams
        )
        return tokens / (max(late) - began)

    @property
    def first_token_seconds(self) -> float:
        """Until a stream's first piece: the streams' median."""
        return statistics.median(stream.times[0] for stream in self.streams)

    @property
    def gaps(self) -> list[float]:
        """Between pieces of a stream, all streams'."""
        return [
            later - earlier
            for stream in self.streams
            for earlier, later in zip(stream.times, stream.times[1:], strict=False)
        ]

    @property
    def cpu_per_token(self) -> float:
        """Processor time of all the contender's processes per new token, prompts included."""
        return self.cpu_seconds / self.tokens

    @property
    def host_cpu_per_token(self) -> float | None:
        """Processor time of the process that asks per new token."""
        return None if self.host_cpu_seconds is None else self.host_cpu_seconds / self.tokens


def percentile(values: list[float], share: float) -> float:
    """Return the smallest value that this share of them doesn't exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
