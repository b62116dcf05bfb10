"""Files that tell where a robot was: only their owner may read them, from the first byte on."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import os
from pathlib import Path
from typing import BinaryIO

PRIVATE = 0o600
"""Mode of a file when it is made; the umask can only take from it."""


@contextlib.contextmanager
def private_file(path: Path) -> Iterator[BinaryIO]:
    """Open for writing, emptied; a file that is there keeps its mode. Raises OSError."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, PRIVATE),
                   'wb') as file:
        yield file
