"""Changes many memories of a file that is being written, without making the writer wait."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from functools import partial

from spatial_rag_core.errors import JournalError, JournalUnavailableError
from spatial_rag_core.memory.forgetting.selection import matching_seqs
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.storing.committer import Committer
from spatial_rag_core.records import MemorySelection

_BATCH = 128  # about 30 ms
_FLUSH_SEC = 1.0


def selected(committer: Committer, selection: MemorySelection) -> tuple[list[int], int]:
    """Numbers of the memories meant, those that wait to be stored as well; and generation."""
    committer.flush(_FLUSH_SEC)
    reader = Journal.open_reader(committer.path)
    if reader is None:
        return [], 0
    with reader:
        generation = reader.generation
        return matching_seqs(reader, selection).tolist(), generation


def in_steps(committer: Committer, seqs: Sequence[int], generation: int,
             change: Callable[[Journal, Sequence[int]], int]) -> Iterator[int]:
    """
    Have `change` done on a few memories at a time; yields what it returns, step by step.

    Between the steps memories are stored as ever. generation: of the file that the numbers are
    of. Raises JournalUnavailableError where it is another by now, or cannot be written.
    """
    def step(journal: Journal, batch: Sequence[int]) -> int:
        if journal.generation != generation:
            raise JournalUnavailableError(
                f'memory file {journal.path} was replaced meanwhile, so that numbers of its '
                'memories mean others now; ask again')
        return change(journal, batch)

    for start in range(0, len(seqs), _BATCH):
        yield done(committer, partial(step, batch=seqs[start:start + _BATCH]))


def done(committer: Committer, work: Callable[[Journal], int]) -> int:
    """Wait for work that is done on the journal between two commits; raises JournalError."""
    try:
        return committer.run(work).result()
    except CancelledError as error:
        raise JournalError(
            f'the writer of {committer.path} is closing; ask again later') from error
