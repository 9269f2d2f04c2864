"""`python -m strongroom`, and the command `strongroom`."""

import sys
from typing import NoReturn

__all__ = ["main"]

INTERRUPTED = 130


def main() -> NoReturn:
    """Run the command line and exit with its code; Ctrl-C may come while it is still imported."""
    try:
        from strongroom.cli import main as command  # noqa: PLC0415 - within `try`

        command()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
