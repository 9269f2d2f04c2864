"""What is in secure memory when Python ends is wiped, whoever still refers to it."""

import os
import subprocess
import sys

from tests.store.traces import found

PROGRAM = """
import ctypes, os, sys
from strongroom import SecureArena

# What is registered first runs last: after the arena's own handler the pipe is closed, and the process stays.
library = ctypes.CDLL(None)
for function, argument in ((library.pause, 0), (library.close, 1)):
    assert library.__cxa_atexit(ctypes.cast(function, ctypes.c_void_p), ctypes.c_void_p(argument), None) == 0

# Locked memory can be read from outside, so that its wiping can be seen.
buffer = SecureArena(100, backing="locked").allocate(32, "secret")
view = memoryview(buffer)
library.malloc.restype = ctypes.c_void_p
control = (ctypes.c_ubyte * 32).from_address(library.malloc(32))  # freed by nobody
masked = sys.stdin.buffer.read(64)
for place in range(32):  # byte by byte: no other copy comes to be
    view[place] = masked[place] ^ 0x55
    control[place] = masked[32 + place] ^ 0x55
sys.kept = view
os.write(1, b"held\\n")
sys.stdin.buffer.read(1)
"""


def test_it_is_wiped_while_it_is_referred_to() -> None:
    secret, control = os.urandom(32), os.urandom(32)
    wanted = {"secret": {secret}, "control": {control}}
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", PROGRAM], stdin=pipe, stdout=pipe) as process:
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(bytes(byte ^ 0x55 for byte in secret + control))
            process.stdin.flush()
            assert process.stdout.readline() == b"held\n"
            assert found(process.pid, wanted) == {"secret": 1, "control": 1}
            process.stdin.close()
            assert process.stdout.read() == b""
            assert process.poll() is None
            assert found(process.pid, wanted) == {"secret": 0, "control": 1}
        finally:
            process.kill()
