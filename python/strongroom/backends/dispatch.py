"""Which of the wheel's workers serves on this machine."""

from pathlib import Path

from strongroom import _core
from strongroom.settings import Limits

__all__ = ["worker_for"]


def processor() -> _core.Processor:
    """Ask this machine's processor what it offers."""
    return _core.Processor.detect()


def worker_for(limits: Limits, directory: Path) -> _core.Worker:
    """Choose from the workers in `directory` the fastest that the processor runs, or the one asked for.

    Raises WorkerError (`worker.unsupported_processor`) where it runs none, SettingsError
    (`settings.unavailable`) where the one asked for can't be had: no other takes its place.
    """
    return _core.choose_worker(directory, instruction_set=limits.instruction_set, processor=processor())
