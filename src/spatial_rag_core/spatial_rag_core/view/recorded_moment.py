"""A moment out of a memory file: the robot at one of its memories, and what it would recall."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from spatial_rag_core.errors import InputError
from spatial_rag_core.memory.file.snapshot import OnProgress
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.retriever import Retriever
from spatial_rag_core.records import Memory, MemoryQuery
from spatial_rag_core.streams.latent_history import LatentHistory
from spatial_rag_core.view.drawn_memory import DrawnMemory
from spatial_rag_core.view.moment import Moment
from spatial_rag_core.view.recall_config import RecallConfig

if TYPE_CHECKING:
    from spatial_rag_core.models.bundle_metadata import BundleMetadata
    from spatial_rag_core.models.imagined import History

_BATCH = 10_000


def drawn_from(journal: Journal, on_progress: OnProgress) -> DrawnMemory:
    """Draw a whole memory, as it is at one moment; raises JournalError."""
    drawn = DrawnMemory(journal.spec)
    with journal.snapshot():
        while len((rows := journal.index_rows_after(drawn.last_seq, _BATCH)).seqs):
            drawn.add(rows)
            on_progress(drawn.count, max(journal.count, drawn.count))
        journal.require_all(drawn.count)
    return drawn


def memory_at(journal: Journal, drawn: DrawnMemory, time_sec: float | None) -> Memory:
    """Return the last memory up to a time, Unix [s], None: of all; raises InputError."""
    seqs = drawn.points.seqs_between(-math.inf, math.inf if time_sec is None else time_sec)
    for seq in reversed(seqs.tolist()):
        if (memory := journal.get([seq]).get(seq)) is not None:
            return memory
    raise InputError(f'{journal.path}: there is no memory up to that time to look at; ' + (
        'name a later one' if drawn.count else 'let the robot make some'))


def moment_of(memory: Memory, journal: Journal, drawn: DrawnMemory, retriever: Retriever,
              config: RecallConfig, metadata: BundleMetadata | None) -> Moment:
    """Put the robot where and when it made a memory, and let it recall others."""
    hits = retriever.query(MemoryQuery(
        k=config.k, vector=memory.vector, pose=memory.pose, radius_m=config.radius_m,
        min_age_sec=config.min_age_sec, timestamp=memory.timestamp, rank_by='pose',
        newest_only=True), with_thumbnails=True)
    history = None if metadata is None else _history(memory, journal, drawn, metadata)
    return Moment(memory.pose, memory.vector, tuple(hit.memory for hit in hits),
                  memory.action if len(memory.action) else None, history)


def _history(memory: Memory, journal: Journal, drawn: DrawnMemory,
             metadata: BundleMetadata) -> History | None:
    """Latents and actions of the memories that came before one, as a model looks back."""
    history = LatentHistory(metadata.history, metadata.step_sec)
    seqs = drawn.points.seqs_between(
        memory.timestamp - (metadata.history + 1) * metadata.step_sec, memory.timestamp).tolist()
    found = journal.get(seqs, with_thumbnails=False)
    for seq in seqs:
        if seq in found and len(found[seq].action):
            history.add(round(found[seq].timestamp * 1e9), found[seq].vector, found[seq].action)
    return history.at(round(memory.timestamp * 1e9))
