"""Forgets memories of a file that is being written, without making the writer wait."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from functools import partial

from spatial_rag_core.errors import JournalError, JournalUnavailableError
from spatial_rag_core.memory.forgetting.forget import release_space
from spatial_rag_core.memory.forgetting.selection import matching_seqs
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.storing.committer import Committer
from spatial_rag_core.records import MemorySelection

_BATCH = 128  # about 30 ms
_PAGES = 64
_FLUSH_SEC = 1.0


def forget_selected(committer: Committer, selection: MemorySelection,
                    dry_run: bool = False) -> int:
    """
    Forget all memories that are meant, those that wait to be stored as well; return their number.

    dry_run: only count them. Call it in a thread that may wait: it looks through the file and
    then forgets in small transactions, between which memories are stored as ever. Raises
    JournalError; what was forgotten before stays forgotten.
    """
    committer.flush(_FLUSH_SEC)
    reader = Journal.open_reader(committer.path)
    if reader is None:
        return 0
    with reader:
        generation = reader.generation
        seqs = matching_seqs(reader, selection).tolist()
    return len(seqs) if dry_run else sum(forget_seqs(committer, seqs, generation))


def forget_seqs(committer: Committer, seqs: Sequence[int], generation: int) -> Iterator[int]:
    """
    Forget memories by number and give their space back; yields how many went, step by step.

    generation: of the file that the numbers are of. Raises JournalUnavailableError where it is
    another by now, or cannot be written.
    """
    def forget(journal: Journal, batch: Sequence[int]) -> int:
        if journal.generation != generation:
            raise JournalUnavailableError(
                f'memory file {journal.path} was replaced meanwhile, so that numbers of its '
                'memories mean others now; ask again')
        return journal.forget(batch)

    for start in range(0, len(seqs), _BATCH):
        yield _done(committer, partial(forget, batch=seqs[start:start + _BATCH]))
    while seqs and _done(committer, partial(release_space, max_pages=_PAGES)):
        yield 0


def _done(committer: Committer, work: Callable[[Journal], int]) -> int:
    try:
        return committer.run(work).result()
    except CancelledError as error:
        raise JournalError(
            f'the writer of {committer.path} is closing; ask again later') from error
