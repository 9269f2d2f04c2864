"""A process that encrypts, forks, and writes to standard output what parent and child were given, pickled.

`python -m tests.data.forking KEY_FILE`; in a process of its own, as that of the tests may have threads.
"""

from __future__ import annotations

import os
import pickle
import sys

from strongroom import DataCipher, DataError, DataKey, KeyFile

CONTEXT = {"tenant": "acme", "record": "note/7"}


def main() -> None:
    key = DataKey(id="app", version=1, key=KeyFile(file=sys.argv[1]))
    cipher = DataCipher([key])
    before = cipher.encrypt(b"x", CONTEXT)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        told: list[object] = []
        try:
            for attempt in (cipher.encrypt, cipher.decrypt, cipher.reencrypt):
                try:
                    told.append(attempt(before, CONTEXT))
                except DataError as error:
                    told.append(error)
            told.append(DataCipher([key]).encrypt(b"x", CONTEXT))
            os.write(writing, pickle.dumps(told))
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        told = pickle.load(pipe)  # noqa: S301 - our child's
    os.waitpid(child, 0)
    assert cipher.decrypt(told[-1], CONTEXT) == b"x"  # type: ignore[arg-type]
    sys.stdout.buffer.write(pickle.dumps((before, told, cipher.encrypt(b"x", CONTEXT))))


if __name__ == "__main__":
    main()
