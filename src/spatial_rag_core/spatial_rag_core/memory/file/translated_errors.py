"""Errors of SQLite, of the file system and of damaged rows, told in our words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import errno
from pathlib import Path
import sqlite3

from spatial_rag_core.errors import (
    InputError,
    JournalDamagedError,
    JournalError,
    JournalUnavailableError,
)

import numpy as np

_REMEDIES = (  # what an SQLite message holds, and what to do about it
    ('full', 'free some space on that disk, then what was refused can be stored'),
    ('readonly', 'make the file and its folder writable, or name another memory_path'),
    ('locked', 'another program holds the file locked; close that program'),
    ('unable to open', 'check that the file exists and that its folder is writable'),
    ('disk I/O', 'the disk refuses or is full; check the disk and the system log'),
)
_OTHER_REMEDY = 'check that the folder is writable, and the disk not full'
_SCHEMA_WORDS = ('no such table', 'no such column', 'has no column', 'already exists',
                 'SQL logic error')
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


def damaged(path: Path, what: object) -> JournalDamagedError:
    """Tell damage, and what to do about it."""
    return JournalDamagedError(
        f'memory file {path} is damaged: {what}; see how far with `spatial-rag memory check '
        f'{path}`, then restore a backup, or what can still be read, with '
        '`spatial-rag memory restore`')


@contextmanager
def parsed(path: Path) -> Iterator[None]:
    """Values that a sound file cannot hold, told as damage."""
    try:
        with np.errstate(over='raise'):
            yield
    except (ArithmeticError, TypeError, ValueError) as error:
        raise damaged(path, error) from error


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Errors of SQLite and of the file system, told in our words."""
    try:
        yield
    except sqlite3.Error as error:
        raise _from_sqlite(path, error) from error
    except UnicodeDecodeError as error:  # in SQLite's own message
        raise damaged(path, error) from error
    except UnicodeEncodeError as error:
        raise InputError(f'a text for memory file {path} is no Unicode: {error}; check the '
                         'sender') from error
    except OSError as error:
        remedy = _REMEDIES[0][1] if error.errno in _DISK_FULL else (
            'check that the folder is writable or name another memory_path')
        raise JournalUnavailableError(f'memory file {path} cannot be used now: '
                                      f'{error.strerror or error}; {remedy}') from error


def _from_sqlite(path: Path, error: sqlite3.Error) -> JournalError:
    text = str(error)
    if isinstance(error, sqlite3.IntegrityError):
        return JournalError(f'memory file {path} already holds a memory of this id, or one lacks '
                            f'a field: {text}; give each memory an id of its own')
    if isinstance(error, sqlite3.ProgrammingError):
        return JournalUnavailableError(f'memory file {path} cannot be used now: {text}; '
                                       'open it again')
    if 'not a database' in text:
        return JournalDamagedError(f'{path} is damaged or not a memory file: {text}; '
                                   'restore a backup or name another memory_path')
    if not isinstance(error, sqlite3.OperationalError) or any(
            words in text for words in _SCHEMA_WORDS):
        return damaged(path, text)
    remedy = next((remedy for words, remedy in _REMEDIES if words in text), _OTHER_REMEDY)
    return JournalUnavailableError(f'memory file {path} cannot be used now: {text}; {remedy}')
