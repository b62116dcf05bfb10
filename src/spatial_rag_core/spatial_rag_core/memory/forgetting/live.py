"""Forgets memories of a file that is being written, without making the writer wait."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from spatial_rag_core.memory.forgetting.forget import release_space
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.storing.committer import Committer
from spatial_rag_core.memory.storing.stepwise import done, in_steps, selected
from spatial_rag_core.records import MemorySelection

_PAGES = 64


def forget_selected(committer: Committer, selection: MemorySelection,
                    dry_run: bool = False) -> int:
    """
    Forget all memories that are meant, those that wait to be stored as well; return their number.

    dry_run: only count them. Call it in a thread that may wait: it looks through the file and
    then forgets in small transactions, between which memories are stored as ever. Raises
    JournalError; what was forgotten before stays forgotten.
    """
    seqs, generation = selected(committer, selection)
    return len(seqs) if dry_run else sum(forget_seqs(committer, seqs, generation))


def forget_seqs(committer: Committer, seqs: Sequence[int], generation: int) -> Iterator[int]:
    """
    Forget memories by number and give their space back; yields how many went, step by step.

    generation: of the file that the numbers are of. Raises JournalUnavailableError where it is
    another by now, or cannot be written.
    """
    yield from in_steps(committer, seqs, generation, Journal.forget)
    while seqs and done(committer, partial(release_space, max_pages=_PAGES)):
        yield 0
