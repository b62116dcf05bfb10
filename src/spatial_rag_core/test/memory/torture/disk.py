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
import tempfile
from typing import NoReturn

SOURCE = Path(__file__).parents[1] / 'faults' / 'shim.c'


def compiler() -> str | None:
    """A C compiler of this machine, if any."""
    return next(filter(None, map(shutil.which, ('cc', 'gcc', 'clang'))), None)


def restart_on_it() -> NoReturn:
    """Become the same program again, with the failing disk under it; `take_away` ends that."""
    if (found := compiler()) is None:
        sys.exit('there is no C compiler here; install gcc')
    library = Path(tempfile.mkdtemp(prefix='torture-disk-')) / 'shim.so'
    subprocess.run([found, '-shared', '-fPIC', '-O1', '-o', library, SOURCE, '-ldl', '-lpthread'],
                   check=True)
    others = os.environ.get('LD_PRELOAD', '')
    os.execve(sys.executable, [sys.executable, str(Path(__file__).parent), *sys.argv[1:]],
              {**os.environ, 'LD_PRELOAD': f'{library}:{others}' if others else str(library)})


def take_away() -> None:
    """Delete the library; it stays where it is loaded."""
    if is_there():
        shutil.rmtree(Path(os.environ['LD_PRELOAD'].split(':')[0]).parent)


@functools.cache
def _library() -> ctypes.CDLL:
    library = ctypes.CDLL(None)
    library.shim_arm.argtypes = [ctypes.c_char_p, ctypes.c_long, ctypes.c_long, ctypes.c_int,
                                 ctypes.c_int]
    library.shim_count.restype = library.shim_failed.restype = ctypes.c_long
    library.shim_trace.argtypes = [ctypes.c_char_p]
    library.shim_mark.argtypes = [ctypes.c_long]
    return library


def is_there() -> bool:
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
