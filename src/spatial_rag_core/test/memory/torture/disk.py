"""The hand on the failing disk that faults/shim.c puts under this process."""

from __future__ import annotations

import ctypes
import errno
import functools
import os
from pathlib import Path
import shutil
import subprocess
import sys

SOURCE = Path(__file__).parents[1] / 'faults' / 'shim.c'
ERRORS = ('ENOSPC', 'EIO', 'EROFS')
FOR_EVER = 1 << 40


def compiler() -> str | None:
    """A C compiler of this machine, if any."""
    return next(filter(None, map(shutil.which, ('cc', 'gcc', 'clang'))), None)


def run_preloaded(folder: Path, arguments: list[str]) -> int:
    """Run this program again on the failing disk; return its exit code."""
    found = compiler()
    if found is None:
        sys.exit('there is no C compiler here; install gcc')
    library = folder / 'shim.so'
    subprocess.run([found, '-shared', '-fPIC', '-O1', '-o', library, SOURCE, '-ldl', '-lpthread'],
                   check=True)
    return subprocess.run([sys.executable, str(Path(__file__).parent), *arguments], check=False,
                          env={**os.environ, 'LD_PRELOAD': str(library)}).returncode


@functools.cache
def _library() -> ctypes.CDLL:
    library = ctypes.CDLL(None)
    library.shim_arm.argtypes = [ctypes.c_char_p, ctypes.c_long, ctypes.c_long, ctypes.c_int,
                                 ctypes.c_int]
    library.shim_count.restype = library.shim_failed.restype = ctypes.c_long
    library.shim_trace.argtypes = [ctypes.c_char_p]
    library.shim_mark.argtypes = [ctypes.c_long]
    return library


def is_preloaded() -> bool:
    """Whether the failing disk is under this process."""
    return hasattr(ctypes.CDLL(None), 'shim_arm')


def fail(name: str, first: int, last: int, error: str, half: bool = False) -> None:
    """
    Fail the calls from first to last, counted from now, that change files with this name.

    half: the first of them writes half of its bytes before the others fail.
    """
    _library().shim_arm(name.encode(), first, last, getattr(errno, error), half)


def lift(name: str) -> None:
    """Nothing fails any more; calls are counted from now."""
    fail(name, 0, -1, 'EIO')


def count() -> int:
    """Calls since fail or lift."""
    return int(_library().shim_count())


def failed() -> int:
    """Calls that were made to fail since fail or lift."""
    return int(_library().shim_failed())


def trace(path: Path | None) -> None:
    """Write down every call from now on; None ends it."""
    _library().shim_trace(b'' if path is None else str(path).encode())


def mark(number: int) -> None:
    """Put a number between the calls that are written down."""
    _library().shim_mark(number)
