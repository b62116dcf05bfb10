"""Labels memories of a file that is being written, without making the writer wait."""

from __future__ import annotations

from spatial_rag_core.errors import ConfigurationError
from spatial_rag_core.memory.storing.committer import Committer
from spatial_rag_core.memory.storing.stepwise import in_steps, selected
from spatial_rag_core.records import check_labels, MemorySelection


def relabel_selected(committer: Committer, selection: MemorySelection,
                     add: tuple[str, ...] = (), remove: tuple[str, ...] = ()) -> int:
    """
    Add words to all memories that are meant, or take them away; return how many changed.

    Those that wait to be stored are meant as well. Call it in a thread that may wait, see
    forgetting/live.py. Raises ConfigurationError for words that are none and for more than a
    memory can carry (MAX_LABELS), JournalError; what was labelled before stays labelled.
    """
    if not add and not remove:
        raise ConfigurationError('no label is given; name words to add or to remove')
    check_labels(add)
    check_labels(remove)
    seqs, generation = selected(committer, selection)
    return sum(in_steps(committer, seqs, generation,
                        lambda journal, batch: journal.relabel(batch, add, remove)))
