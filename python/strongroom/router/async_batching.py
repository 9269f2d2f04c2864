"""Driving a batch from an event loop."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import ExitStack
from functools import partial
from typing import TypeVar

from strongroom.errors import StrongroomError
from strongroom.router.batch import PAUSE, Item, Result
from strongroom.router.batching import Plan
from strongroom.router.bells import Bells
from strongroom.router.request import Begun
from strongroom.router.stream import AsyncStream

__all__ = ["async_answers"]

T = TypeVar("T")


async def async_answers(plan: Plan, bells: Bells) -> AsyncGenerator[Result, None]:
    """Yield the results in order. Closed, cancelled, or ended by an error, it stops what is under way."""
    tasks: dict[asyncio.Task[Result], Item] = {}
    with plan.progress() as progress, ExitStack() as opened:
        journal = await to_its_end(lambda: opened.enter_context(plan.journal()))
        batch = plan.batch(journal, progress)
        try:
            while True:
                while (begun := batch.begin()) is not None:
                    tasks[asyncio.create_task(whole(begun[1], bells))] = begun[0]
                for result in batch.told():
                    yield result
                if batch.over:
                    return
                if not tasks:
                    await asyncio.sleep(PAUSE if batch.held_off else 0)
                    batch.held_off = False
                    continue
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    item, result = tasks.pop(task), task.result()
                    await to_its_end(partial(batch.record, item, result))
                    batch.finish(item, result)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def to_its_end(call: Callable[[], T]) -> T:
    """Return what a thread does. Cancelled, it waits for the thread all the same, and raises that then."""
    # No task: a loop that ends cancels every one, and would not wait for its thread.
    work = asyncio.get_running_loop().run_in_executor(None, call)
    cancelled: asyncio.CancelledError | None = None
    while not work.done():
        try:
            await asyncio.wait((work,))
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is None:
        return work.result()
    work.exception()  # is nobody's any more
    raise cancelled


async def whole(begun: Begun, bells: Bells) -> Result:
    """Read an answer to its end."""
    try:
        async with AsyncStream(*begun, bells) as stream:
            return await stream.read()
    except StrongroomError as error:
        return error
