"""Errors of SQLite, of the file system and of damaged rows, told in our words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
import sqlite3

from spatial_rag_core.errors import JournalError, JournalUnavailableError

import numpy as np


@contextmanager
def parsed(path: Path) -> Iterator[None]:
    """Values that a sound file cannot hold, told as damage."""
    try:
        with np.errstate(over='raise'):
            yield
    except (ArithmeticError, TypeError, ValueError) as error:
        raise JournalError(f'memory file {path} is damaged: {error}; restore a copy or name '
                           'another memory_path') from error


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Errors of SQLite and of the file system, told in our words."""
    try:
        yield
    except sqlite3.IntegrityError as error:
        raise JournalError(f'memory file {path} already holds a memory of this id, or one lacks '
                           f'a field: {error}; give each memory an id of its own') from error
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:  # the latter in its message
        if isinstance(error, sqlite3.OperationalError):
            raise JournalUnavailableError(
                f'memory file {path} cannot be used now: {error}; check that the folder is '
                'writable, the disk is not full, and no other program locks it') from error
        raise JournalError(f'memory file {path} is damaged or not a memory file: {error}; '
                           'restore a copy or name another memory_path') from error
    except OSError as error:
        raise JournalUnavailableError(
            f'memory file {path} cannot be used now: {error.strerror or error}; check that the '
            'folder is writable or name another memory_path') from error
