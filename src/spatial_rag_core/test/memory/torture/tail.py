"""A reader in a process of its own that follows the store all the time, as a retriever does."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
from pathlib import Path
import select
import traceback

from spatial_rag_core.errors import JournalUnavailableError
from spatial_rag_core.memory.index import IndexRows
from spatial_rag_core.memory.journal import Journal

from contents import MOVE, position_of, vector_of
from ledger import Ledger

POLL_SEC = 0.002


def digest(labels: dict[int, frozenset[str]]) -> str:
    """Of memories by number, and their labels."""
    text = repr([(number, sorted(labels[number])) for number in sorted(labels)])
    return hashlib.sha256(text.encode()).hexdigest()


class Follower:
    """What a reader knows of the store: memories by sequence number, and their labels."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._journal: Journal | None = None
        self._forget_all()
        self.reopened = self.rebuilt = self.busy = self.rows = 0

    def _forget_all(self) -> None:
        self._known: dict[int, tuple[int, frozenset[str]]] = {}
        self._seq = self._change = 0
        self._generation: int | None = None

    @property
    def labels(self) -> dict[int, frozenset[str]]:
        """By number. Raises ValueError where a memory is there twice."""
        labels = dict(self._known.values())
        if len(labels) != len(self._known):
            raise ValueError(f'{len(self._known) - len(labels)} memories are there twice')
        return labels

    def figures(self) -> dict[str, int]:
        return {'memories': len(self._known), 'rows_read': self.rows, 'rebuilt': self.rebuilt,
                'reopened': self.reopened, 'found_it_busy': self.busy}

    def follow(self) -> None:
        """Take in what is new; where the store cannot be read now, later."""
        try:
            if self._is_open():
                self._take_changes()
                self._take_rows()
        except JournalUnavailableError:
            self.busy += 1

    def _is_open(self) -> bool:
        if self._journal is not None and self._journal.is_detached:
            self._journal.close()
            self._journal = None
            self._forget_all()
            self.reopened += 1
        if self._journal is None and self._path.exists():
            self._journal = Journal.open_reader(self._path)
        return self._journal is not None

    def _take_changes(self) -> None:
        assert self._journal is not None
        generation = self._journal.generation
        changes = self._journal.changes_after(self._change)
        if generation != self._generation or changes is None:
            self.rebuilt += 1
            self._forget_all()
            self._change = self._journal.last_change
            self._generation = generation
            return
        for seq in changes.forgotten.tolist():
            self._known.pop(seq, None)
        held = [seq for seq in changes.relabelled.tolist() if seq in self._known]
        self._take(self._journal.index_rows(held))
        self._change = changes.last

    def _take_rows(self) -> None:
        assert self._journal is not None
        while len((rows := self._journal.index_rows_after(self._seq)).seqs):
            self._take(rows)
            self._seq = int(rows.seqs[-1])

    def _take(self, rows: IndexRows) -> None:
        self.rows += len(rows.seqs)
        numbers = rows.vectors[:, 0].astype(int).tolist()
        for n, seq in enumerate(rows.seqs.tolist()):
            labels = frozenset(rows.context_table[int(rows.contexts[n])].labels)
            self._known[seq] = numbers[n], labels
            if rows.vectors[n].tolist() != vector_of(numbers[n]):
                raise ValueError(f'memory {numbers[n]} has another vector')
            moves = round((rows.positions[n, 0] - position_of(numbers[n]).x) / MOVE.x)
            if math.dist(rows.positions[n], position_of(numbers[n], moves)) > 1e-6:
                raise ValueError(f'memory {numbers[n]} is at another place')


def _serve(path: Path, ear: int, mouth: int) -> None:
    """Follow the store; answer each byte with what is known, until there are no more."""
    follower = Follower(path)
    while True:
        if select.select([ear], [], [], POLL_SEC)[0]:
            if not os.read(ear, 1):
                return
            follower.follow()
            answer = {'digest': digest(follower.labels), **follower.figures()}
            os.write(mouth, f'{json.dumps(answer)}\n'.encode())
        follower.follow()


class Tail:
    """The reading process, seen from its parent; make it while no memory file is open."""

    def __init__(self, path: Path) -> None:
        ear, self._ask = os.pipe()
        self._answer, mouth = os.pipe()
        self._pid = os.fork()
        if self._pid:
            os.close(ear)
            os.close(mouth)
            return
        try:
            os.close(self._ask)
            os.close(self._answer)
            _serve(path, ear, mouth)
        except BaseException:
            with contextlib.suppress(OSError):
                os.write(mouth, f'{json.dumps({"failed": traceback.format_exc()})}\n'.encode())
        finally:
            os._exit(0)

    def figures(self) -> dict[str, object]:
        """What it knows now, or why it failed."""
        return {name: value for name, value in self._answer_now().items() if name != 'digest'}

    def _answer_now(self) -> dict[str, object]:
        with contextlib.suppress(BrokenPipeError):  # it has told why, before it ended
            os.write(self._ask, b'?')
        text = b''
        while not text.endswith(b'\n'):
            if not (block := os.read(self._answer, 1 << 16)):
                return {'failed': 'the reading process died'}
            text += block
        return dict(json.loads(text.splitlines()[0]))

    def disagreement(self, ledger: Ledger) -> str:
        """Say in what the reader's view differs; empty where it does not."""
        figures = self._answer_now()
        if 'failed' in figures:
            return f'failed: {figures["failed"]}'
        if figures['digest'] != digest(ledger.labels):
            return f'knows {figures["memories"]} memories, not the {len(ledger.labels)} stored'
        return ''

    def close(self) -> None:
        """End the process."""
        os.close(self._ask)
        os.waitpid(self._pid, 0)
        os.close(self._answer)
