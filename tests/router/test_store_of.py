"""The store of a Router's settings, which is made when the first model is taken from it."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from strongroom import Settings
from strongroom.router import loading


def test_two_first_loads_at_once_have_one_store(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[object] = []

    class Slow:
        """Takes as long to make as a store on a slow disk."""

        def __init__(self, *_: Any, **__: Any) -> None:
            made.append(self)
            time.sleep(0.05)

    monkeypatch.setattr(loading, "Store", Slow)
    store, together = loading.store_of(Settings()), threading.Barrier(2)

    def take(_: int) -> object:
        together.wait(10)
        return store()

    with ThreadPoolExecutor(2) as threads:
        first, second = threads.map(take, range(2))
    assert first is second
    assert made == [first]
