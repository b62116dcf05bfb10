"""Forgets what a selection means, and gives the space back, while the writer goes on."""

from __future__ import annotations

from collections.abc import Callable

from spatial_rag_core.memory.forgetting.selection import matching_seqs
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.records import MemorySelection

_BATCH = 500
_STEP_PAGES = 64
"""A batch takes some 6 ms, a step 1 ms: a writer that stores in between hardly waits."""


def forget(journal: Journal, selection: MemorySelection,
           on_progress: Callable[[int, int], None] | None = None) -> int:
    """
    Forget all memories that are meant, a batch at a time, and return how many there were.

    on_progress: called with the memories done and their number. Raises JournalError; what was
    forgotten before stays forgotten, and the same call goes on with the rest.
    """
    seqs = matching_seqs(journal, selection).tolist()
    forgotten = 0
    for start in range(0, len(seqs), _BATCH):
        forgotten += journal.forget(seqs[start:start + _BATCH])
        if on_progress is not None:
            on_progress(min(start + _BATCH, len(seqs)), len(seqs))
    release_space(journal)
    return forgotten


def release_space(journal: Journal, max_pages: int | None = None) -> int:
    """
    Give pages that hold nothing any more back to the disk, in small steps.

    max_pages: how many at most; None: all. Returns the bytes given back; 0 for a file that an
    older version made, which `spatial-rag memory compact` makes small.
    """
    released = 0
    while max_pages is None or released < max_pages:
        step = _STEP_PAGES if max_pages is None else min(_STEP_PAGES, max_pages - released)
        if not (pages := journal.release_pages(step)):
            break
        released += pages
    return released * journal.page_size
