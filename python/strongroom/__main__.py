"""`python -m strongroom`, and the command `strongroom`."""

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

__all__ = ["main"]

INTERRUPTED = 130


def leave(*_: object) -> None:
    """End at once on Ctrl-C: before the command has begun, and after it has ended, nothing is open.

    An exception would do while Python imports, and in its own last steps, only most of the time.
    """
    os._exit(INTERRUPTED)


def main() -> "NoReturn":
    """Run the command line and exit with its code; Ctrl-C may come while it is still imported."""
    try:
        import signal  # noqa: PLC0415 - within `try`

        heeded = signal.getsignal(signal.SIGINT) is signal.default_int_handler
        if heeded:  # and not ignored, as behind `nohup`
            signal.signal(signal.SIGINT, leave)
        from strongroom.cli import main as command  # noqa: PLC0415

        try:
            if heeded:
                signal.signal(signal.SIGINT, signal.default_int_handler)
            command()
        finally:
            if heeded:
                signal.signal(signal.SIGINT, leave)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
