"""What `make soak` finds: that its account notices what is wrong."""

import os
import time
from dataclasses import replace

from benches.soak.asking import Asking
from benches.soak.book import Mark
from benches.soak.growth import HOST_SLACK, Size, all_started, grown
from benches.soak.judging import answered, failed
from benches.soak.ledger import MOST_TIES, Ledger

from strongroom import Completion, Timings
from strongroom.errors import from_core

MARK = Mark(7, " m")


def asking(**other: object) -> Asking:
    return replace(
        Asking("marked", "mortal", "m the", options={"max_tokens": 3}, mark=MARK),
        **other,  # type: ignore[arg-type]
    )


def completion(text: str, tokens: int = 3, reason: str = "length") -> Completion:
    return Completion(text, "mortal", 2, 0, tokens, reason, 1, Timings(0, 0, 0))  # type: ignore[arg-type]


def test_a_request_that_ends_twice_or_never() -> None:
    ledger = Ledger()
    assert ledger.enter("whole", "steady") is None
    ledger.admit(open_for_new=True)
    ticket = ledger.enter("whole", "steady")
    assert ticket is not None
    assert ledger.under_way == 1
    assert ledger.overdue(60) == []
    ticket.began = time.monotonic() - 61
    [late] = ledger.overdue(60)
    assert late.startswith("whole of steady")
    ledger.check()
    assert ledger.fault_count == 1
    ledger.end(ticket, "answered")
    ledger.check()
    assert ledger.fault_count == 1
    ledger.end(ticket, "answered")
    assert ledger.faults[-1] == "whole: ended twice"


def test_an_answer_that_is_another_s() -> None:
    ledger = Ledger()
    assert answered(ledger, asking(), completion(" m m m")) == "answered"
    assert answered(ledger, asking(reading="cancel"), completion(" m", 1, "cancelled")) == "cancelled"
    assert ledger.faults == []
    for wrong in (completion(" n n n"), completion(" m m n"), completion(" m m", 2)):
        before = ledger.fault_count
        answered(ledger, asking(), wrong)
        assert ledger.fault_count == before + 1


def test_a_tie_is_always_the_same_one_and_rare() -> None:
    ledger = Ledger()

    def greedy(prompt: str, text: str) -> int:
        others = frozenset({"another's"})
        one = asking(prompt=prompt, mark=None, answer="own", others=others)
        answered(ledger, one, completion(text))
        return ledger.fault_count

    assert greedy("0", "own") == 0
    assert [greedy(str(number), "tied") for number in range(MOST_TIES)] == [0] * MOST_TIES
    assert greedy("0", "tied") == 0
    assert greedy("0", "something else") == 1
    assert greedy("1", "another's") == 2
    assert greedy("more", "tied") == 3


def test_a_death_is_for_whoever_was_there() -> None:
    ledger = Ledger()
    killed = from_core("worker.killed", "it was killed", "")
    early = ledger.part("marked", "mortal")
    ledger.dying("mortal")
    assert failed(ledger, ledger.part("marked", "mortal"), asking(), killed) == "worker.killed"
    ledger.killed("mortal")
    assert failed(ledger, early, asking(), killed) == "worker.killed"
    assert ledger.faults == []
    time.sleep(0.001)
    failed(ledger, ledger.part("marked", "mortal"), asking(), killed)
    failed(ledger, ledger.part("marked", "steady"), asking(), killed)
    failed(ledger, early, asking(), ValueError("of a bug"))
    failed(ledger, early, asking(must="prompt.empty"), killed)
    assert ledger.fault_count == 4


def test_what_has_grown() -> None:
    with all_started(2):
        size = Size.now(0, [os.getpid()])
        assert grown(size, size) == []
        assert "descriptors" in grown(size, replace(size, descriptors=size.descriptors + 1))[0]
        assert "threads" in grown(size, replace(size, threads=size.threads + 1))[0]
        assert "process" in grown(size, replace(size, host=size.host + HOST_SLACK + 1))[0]
        assert "worker" in grown(size, replace(size, workers=(size.workers[0] * 2,)))[0]
    assert Size.now(0, []).threads == size.threads - 2
