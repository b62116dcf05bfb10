"""
How far a memory file had come, told outside of it: so that a loss of its newest part is noticed.

SQLite reads its write-ahead log up to the first damaged place and gives up what follows without a
word, and a log that was cut or deleted leaves no trace in the file. The writer therefore puts the
last numbers that it gave into its lock file after each commit: a few microseconds, not synced. A
mark that is behind proves nothing; one that is ahead proves a loss.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
import sqlite3
from typing import NamedTuple

from spatial_rag_core.errors import JournalDamagedError


class Lost(NamedTuple):
    """Memories, and changes to memories (forgotten, labelled), that were acknowledged."""

    memories: int = 0
    changes: int = 0


class HighWaterMark(NamedTuple):
    """A file's generation, and the last numbers that it gave to a memory and to a change."""

    generation: int
    last_seq: int
    last_change: int

    def lost(self, now: HighWaterMark | None) -> Lost:
        """What a file that has come to `now` lacks; nothing where it is another state of it."""
        if now is None or now.generation != self.generation:
            return Lost()
        return Lost(max(0, self.last_seq - now.last_seq),
                    max(0, self.last_change - now.last_change))


def mark_of(connection: sqlite3.Connection) -> HighWaterMark | None:
    """Read it from a memory file; None where it holds none, or does not tell."""
    with contextlib.suppress(sqlite3.Error):
        row = connection.execute(
            "SELECT (SELECT value FROM meta WHERE key = 'generation'), "
            "max(coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'memories'), 0), "
            'coalesce((SELECT max(seq) FROM memories), 0)), '
            "coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'changes'), 0)").fetchone()
        if all(isinstance(number, int) for number in row):
            return HighWaterMark(*row)
    return None


def parsed_mark(content: bytes) -> HighWaterMark | None:
    """Read it from what a lock file says; None where that says none."""
    with contextlib.suppress(ValueError, TypeError, KeyError):
        generation, last_seq, last_change = json.loads(content)['stored']
        return HighWaterMark(int(generation), int(last_seq), int(last_change))
    return None


def lost_of(mark: HighWaterMark | None, connection: sqlite3.Connection) -> Lost:
    """What a memory file lacks; read the mark before the file, for a writer may be at work."""
    return Lost() if mark is None else mark.lost(mark_of(connection))


def lost_error(path: Path, lost: Lost) -> JournalDamagedError:
    """Tell a loss."""
    return JournalDamagedError(
        f'memory file {path} lacks its newest {lost.memories} memories and {lost.changes} changes '
        'that were stored already: its write-ahead log was damaged, cut or deleted, or the power '
        "was cut without durability 'power'. Restore a backup if they matter; whoever opens it "
        'for writing goes on without them')
