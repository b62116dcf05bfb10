"""What changes a memory file: memories are stored, forgotten and labelled."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
import contextlib
import itertools
import sqlite3

from spatial_rag_core.errors import (
    ConfigurationError,
    JournalError,
    JournalUnavailableError,
    LatentError,
)
from spatial_rag_core.memory.file.high_water_mark import Lost, lost_of, mark_of
from spatial_rag_core.memory.file.translated_errors import damaged, translated
from spatial_rag_core.memory.file.writer_lock import WriterLock
from spatial_rag_core.memory.tables.changes import FORGOTTEN, log_changes, RELABELLED
from spatial_rag_core.memory.tables.content import JournalContent
from spatial_rag_core.memory.tables.contexts import context_of
from spatial_rag_core.memory.tables.rows import (
    INSERT,
    packed,
    Records,
    records_of,
    Row,
    values_of,
)
from spatial_rag_core.memory.tables.schema import fixed_crc, new_generation, read_meta
from spatial_rag_core.records import as_action, as_latent, MAX_LABELS, Memory, Vector

import numpy as np


class JournalWriting(JournalContent):
    """
    The part of a Journal that writes; each method is all or nothing.

    Raises JournalError where it was opened for reading, JournalUnavailableError where the file
    cannot be written now: it can be used again once the cause has passed.
    """

    _lock: WriterLock | None = None
    lost = Lost()
    """What was gone of the newest when it was opened for writing; tell people of it."""

    def append(self, memories: Sequence[Memory]) -> list[int]:
        """
        Store all of them or none, and return their sequence numbers once committed.

        What is stored already, with the same id and content, keeps its number: after an error it
        is safe to append the same memories again. Raises ModelMismatchError for latents of
        another encoder, LatentError and ActionError for other lengths, JournalError for another
        memory of the same id, JournalUnavailableError where the file cannot be written now.
        """
        if not memories:
            return []
        self._require_attached()
        author = self.model_id or memories[0].model_id
        vectors = self._checked(memories, author)
        with self.transaction() as connection:
            self._claim(connection, author)
            contexts = [self._contexts.number(connection, context_of(memory))
                        for memory in memories]
            there = {row[1]: row for row in self._rows_of([memory.id for memory in memories])}
            seqs = self._numbers(connection, memories, there)
            rows = values_of(memories, records_of(memories, seqs, contexts, vectors))
            self._require_same(rows, there)
            connection.executemany(INSERT, [row for row in rows if row[1] not in there])
            connection.executemany('INSERT INTO thumbnails VALUES (?, ?)', [
                (seq, memory.thumbnail) for memory, seq in zip(memories, seqs, strict=True)
                if memory.thumbnail and memory.id not in there])
        return seqs

    def _checked(self, memories: Sequence[Memory], author: str) -> Vector:
        """Return the latents, float32 [N, z_dim], after a look at all that is to be stored."""
        for memory in memories:
            if not memory.model_id:
                raise LatentError(f'memory {memory.id} carries no model_id, so its latent could '
                                  'never be compared; name the bundle that made it')
            if memory.model_id != author:
                self.require_model(memory.model_id, author)
        _stacked([memory.action for memory in memories if len(memory.action)],
                 self.spec.action_dim, as_action)
        return _stacked([memory.vector for memory in memories], self.spec.z_dim, as_latent)

    def _claim(self, connection: sqlite3.Connection, author: str) -> None:
        """Write the author of the latents into a file that has none."""
        if self._model_id is None:
            meta = {**read_meta(connection, self.path), 'model_id': author}
            connection.executemany('INSERT OR REPLACE INTO meta VALUES (?, ?)', [
                ('model_id', author), ('crc', fixed_crc(meta))])

    def _numbers(self, connection: sqlite3.Connection, memories: Sequence[Memory],
                 there: Mapping[str, Row]) -> list[int]:
        """Sequence numbers: their own of what is there, new ones of all else."""
        [newest] = connection.execute('SELECT max(seq) FROM memories').fetchone()
        if (last_seq := self.last_seq) < (newest or 0):
            raise damaged(self.path, f'its last number is {last_seq}, but it holds {newest}')
        fresh = itertools.count(last_seq + 1)
        return [there[memory.id][0] if memory.id in there else next(fresh)
                for memory in memories]

    def _require_same(self, rows: Sequence[Row], there: Mapping[str, Row]) -> None:
        for row in rows:
            if row[1] in there and row != there[row[1]]:
                raise JournalError(
                    f'memory file {self.path} already holds a memory of this id, {row[1]}, with '
                    'another content; give each memory an id of its own')

    def forget(self, seqs: Sequence[int]) -> int:
        """Remove memories and their pictures in one transaction; returns how many there were."""
        with self.transaction() as connection:
            there = self._there(connection, seqs)  # unread: what is damaged can be forgotten
            if there:
                connection.executemany('DELETE FROM memories WHERE seq = ?',
                                       [(seq,) for seq in there])
                connection.execute("UPDATE meta SET value = value + ? "
                                   "WHERE key = 'forgotten_count'", (len(there),))
                log_changes(connection, self.path, there, FORGOTTEN)
        return len(there)

    def relabel(self, seqs: Sequence[int], add: Sequence[str] = (),
                remove: Sequence[str] = ()) -> int:
        """
        Add labels to memories and take labels away; returns how many changed.

        Raises ConfigurationError for labels that are no words, and where a memory would carry
        more than MAX_LABELS; nothing has changed then.
        """
        _require_words(add)
        _require_words(remove)
        with self.transaction() as connection:
            records = self.records(seqs).copy()
            table = self.contexts(np.unique(records['context']).tolist())
            before = records['context'].copy()
            for number in np.unique(before).tolist():
                labels = _relabelled(table[number].labels, add, remove)
                records['context'][before == number] = self._contexts.number(
                    connection, table[number]._replace(labels=labels))
            changed = records[records['context'] != before]
            self.replace(changed)
            log_changes(connection, self.path, changed['seq'].tolist(), RELABELLED)
        return len(changed)

    def replace(self, records: Records) -> None:
        """
        Write records over those of the same numbers, their check sums renewed.

        An index does not follow this by itself: log it, or renew the generation in the same
        transaction.
        """
        with self.transaction() as connection:
            connection.executemany('UPDATE memories SET record = ? WHERE seq = ?', zip(
                packed(records.copy()), records['seq'].tolist(), strict=True))

    def renew_generation(self) -> None:
        """Have every index built anew."""
        with self.transaction() as connection:
            connection.execute("UPDATE meta SET value = ? WHERE key = 'generation'",
                               (new_generation(),))

    @property
    def page_size(self) -> int:
        """Size of a page of the file [bytes]."""
        with self._reading() as connection:
            return int(connection.execute('PRAGMA page_size').fetchone()[0])

    def release_pages(self, at_most: int) -> int:
        """Give empty pages back to the disk in one transaction; returns how many."""
        with self.transaction() as connection:
            before = _free_pages(connection)
            for _ in range(min(at_most, before)):  # sqlite3 would stop a longer one after a page
                connection.execute('PRAGMA incremental_vacuum(1)')
            return before - _free_pages(connection)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """
        What is written within is stored as a whole when it ends, or not at all.

        One within another belongs to the outer one. After an error the journal can be used again.
        """
        self._require_attached()
        with translated(self.path), self._connection.transaction(
                self._forget_what_was_undone) as connection:
            yield connection
            mark = mark_of(connection)
        if mark is not None and self._lock is not None and not self._connection.is_in_span:
            self._lock.note(mark)

    def _take_over(self, lock: WriterLock) -> None:
        """Become the writer; numbers that were lost are given again, so all indexes start anew."""
        self._lock = lock
        with self.snapshot(), self._reading() as connection:
            self.lost = lost_of(lock.left, connection)
        if any(self.lost):
            self.renew_generation()

    def _forget_what_was_undone(self) -> None:
        self._model_id = None
        self._contexts.forget_all()

    def _require_attached(self) -> None:
        if self._lock is None:
            raise JournalError(f'{self.path} is open for reading only; use open_writer')
        if self.is_detached:
            raise JournalUnavailableError(
                f'memory file {self.path} was deleted or replaced while it was open; what it '
                'held is in the copy that was made of it, if any')


def _stacked(vectors: Sequence[Vector], size: int,
             checked: Callable[[Vector, int], Vector]) -> Vector:
    """Stack to float32 [N, size]; many are checked at once, and one by one only to tell."""
    try:
        with np.errstate(over='ignore'):  # infinite then, which is told below
            stack = np.array(vectors, np.float32).reshape(len(vectors), -1)
        if stack.shape[1:] == (size,) and np.isfinite(stack).all():
            return stack
    except (TypeError, ValueError):
        pass  # told below
    return np.array([checked(vector, size) for vector in vectors], np.float32).reshape(-1, size)


def _relabelled(labels: tuple[str, ...], add: Sequence[str],
                remove: Sequence[str]) -> tuple[str, ...]:
    kept = (*labels, *(word for word in dict.fromkeys(add) if word not in labels))
    changed = tuple(word for word in kept if word not in remove)
    if len(changed) > max(MAX_LABELS, len(labels)):  # older files may hold more
        raise ConfigurationError(
            f'a memory that carries {len(labels)} labels would carry {len(changed)}, and '
            f'{MAX_LABELS} are the most; remove some of them first, or leave it out')
    return changed


def _free_pages(connection: sqlite3.Connection) -> int:
    return int(connection.execute('PRAGMA freelist_count').fetchone()[0])


def _require_words(labels: Sequence[str]) -> None:
    if isinstance(labels, str) or not all(isinstance(label, str) and label for label in labels):
        raise ConfigurationError(f'labels must be a list of words, none empty, got {labels!r}')
