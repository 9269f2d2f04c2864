"""A tenant that was named before a fork can be served by a Router of the child's own."""

import multiprocessing
import os
import warnings
from multiprocessing.connection import Connection

from strongroom import Router
from tests.conftest import Model


def serve(model: Model, connection: Connection) -> None:
    """Serve a tenant in the child, and say how it went."""
    try:
        with Router() as router:
            router.load("own", model.path, checksum=model.checksum)
            found = router.complete("hello", tenant="ann", max_tokens=2)
            connection.send(str(found.completion_tokens))
    except BaseException as error:  # noqa: BLE001 - told to the parent
        connection.send(repr(error))
    finally:
        connection.close()
        os._exit(0)


def test_a_tenant_named_before_a_fork_is_served_after_it(tiny: Model) -> None:
    with Router() as router:
        router.load("tiny", tiny.path, checksum=tiny.checksum)
        router.complete("hello", tenant="ann", max_tokens=2)
        ours, theirs = multiprocessing.Pipe()
        context = multiprocessing.get_context("fork")
        child = context.Process(target=serve, args=(tiny, theirs))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of forking with threads: it is the point
            child.start()
        theirs.close()
        assert ours.poll(60)
        assert ours.recv() == "2"
        child.join(60)
        assert router.complete("hello", tenant="ann", max_tokens=2).completion_tokens == 2
