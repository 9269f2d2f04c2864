"""The roots of a policy, held against this machine's directories."""

import os

from strongroom.errors import SettingsError
from strongroom.trust.policy import ModelVerification

__all__ = ["check_roots"]


def check_roots(policy: ModelVerification) -> None:
    """Refuse a root that is no directory, or whose path goes through a symbolic link.

    Files are held to roots by their real paths: below a link there is none.
    """
    for source in policy.sources:
        if source.root is None:
            continue
        try:
            real = os.path.realpath(source.root, strict=True)
            found = "it is no directory" if not os.path.isdir(real) else None  # noqa: PTH112
        except OSError as error:
            real, found = source.root, str(error.strerror)
        if found is not None:
            raise SettingsError(
                "settings.machine",
                f"the trusted source {source.root!r} can't be used: {found}",
                "make the directory, or take it out of the policy",
            )
        if real != source.root:
            raise SettingsError(
                "settings.machine",
                f"the trusted source {source.root!r} goes through a symbolic link",
                f"write its real path, {real!r}, if that is meant",
            )
