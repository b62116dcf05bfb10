"""Latents of a whole memory as short codes in lists of near ones, to find candidates fast."""

from __future__ import annotations

from collections.abc import Iterator
import math
import threading
from typing import cast

from spatial_rag_core.memory.cells.arena import Arena, Rows
from spatial_rag_core.records import Vector

import faiss
import numpy as np
from numpy.typing import NDArray

FETCH = 128  # candidates whose true distance is taken
RECALL, TRIALS, NEAREST = 0.975, 128, 8  # of the nearest 8 of 128 own latents, so many are found
COSTLIEST = 0.25  # share of the lists that a search may open; else it is not worth while
SAMPLE_EACH, ROUNDS = 40, 6  # latents that each list is chosen by, and passes over them
BATCH = 16_384
FEW_QUERIES = 16  # at once: Faiss then takes no matrix product, which takes all cores

Order = tuple[NDArray[np.int64], NDArray[np.int32]]
"""Memories by sequence numbers, ascending, and rows; forgotten ones too."""


class InvertedFile:
    """
    Faiss's inverted file with codes of four bits a dimension; it never changes.

    So any number of threads may search it. Its ids are sequence numbers; what was forgotten
    since is still in it.
    """

    def __init__(self, codes: faiss.IndexIVF, last_seq: int, trained_on: int, probes: int) -> None:
        self._codes = codes
        self._probes = probes
        self.last_seq = last_seq
        self.trained_on = trained_on

    @property
    def count(self) -> int:
        """Memories in it."""
        return int(self._codes.ntotal)

    def tail(self, arena: Arena) -> Order:
        """Memories that came after those in it."""
        seqs, rows = arena.order
        start = np.searchsorted(seqs, self.last_seq, side='right')
        return seqs[start:], rows[start:]

    def stale_share(self, arena: Arena) -> float:
        """Share of it that was forgotten since, or a little more."""
        return 1 - (arena.count - len(self.tail(arena)[0])) / self.count

    def near(self, vectors: Vector, share: float = 1.0) -> NDArray[np.int64]:
        """
        Sequence numbers of near latents of each, int64 [n, m]; 0 where there are too few.

        share: of all memories, those that are wanted; the smaller, the more are returned.
        """
        lists = min(math.ceil(self._probes / share), self._codes.nlist)
        opening = faiss.SearchParametersIVF(nprobe=lists)  # type: ignore[call-arg, unused-ignore]
        seqs = self._codes.search(vectors, int(FETCH / share), params=opening)[1]
        return np.maximum(np.asarray(seqs, np.int64), 0)

    def with_tail(self, arena: Arena, stopped: threading.Event) -> InvertedFile:
        """Return one that holds what came since, too."""
        tail = self.tail(arena)
        codes = cast(faiss.IndexIVF, faiss.clone_index(self._codes))
        for seqs, vectors in _batches(arena, tail, stopped):
            codes.add_with_ids(vectors, seqs)
        return InvertedFile(codes, int(tail[0][-1]), self.trained_on, self._probes)


def made_of(arena: Arena, stopped: threading.Event) -> InvertedFile | None:
    """
    Make an inverted file of all memories; takes seconds, and leaves the interpreter to others.

    The number of lists that a search opens is measured on the memory's own latents. None where
    too many would have to be opened, and once `stopped` is set.
    """
    order, count = arena.order, arena.count
    lists = 1 << int(math.log2(6 * math.sqrt(count)))
    codes = _trained(_sample(arena, order, SAMPLE_EACH * lists), lists)
    for seqs, vectors in _batches(arena, order, stopped):
        codes.add_with_ids(vectors, seqs)
    queries = _sample(arena, order, TRIALS)
    enough = _true_distances(queries, arena, order, stopped)
    probes = 1
    while probes <= COSTLIEST * lists and not stopped.is_set():
        file = InvertedFile(codes, int(order[0][-1]), count, probes)
        if _recall(file, arena, queries, enough) >= RECALL:
            return file
        probes += probes // 2 or 1
    return None


def live_rows(arena: Arena, order: Order) -> Rows:
    """Rows of those that were not forgotten, int64 [n]."""
    is_live = arena.columns.seqs.take(order[1]) == order[0]
    return np.asarray(order[1][is_live], np.int64)


def _batches(arena: Arena, order: Order,
             stopped: threading.Event) -> Iterator[tuple[NDArray[np.int64], Vector]]:
    """Sequence numbers and latents, in pieces; nothing more once it is stopped."""
    for start in range(0, len(order[0]), BATCH):
        if stopped.is_set():
            return
        rows = live_rows(arena, (order[0][start:start + BATCH], order[1][start:start + BATCH]))
        if len(rows):
            columns = arena.columns
            yield columns.seqs.take(rows), columns.vectors.take(rows, axis=0)


def _sample(arena: Arena, order: Order, size: int) -> Vector:
    """About so many latents of memories, chosen at random but always alike, [n, z_dim]."""
    chosen = np.random.default_rng(size).integers(0, len(order[0]), size)
    rows = live_rows(arena, (order[0].take(chosen), order[1].take(chosen)))
    return arena.columns.vectors.take(rows, axis=0)


def _trained(sample: Vector, lists: int) -> faiss.IndexIVF:
    """Return an empty inverted file whose lists suit the sample."""
    z_dim = sample.shape[1]
    codes = faiss.IndexIVFScalarQuantizer(
        faiss.IndexFlatL2(z_dim), z_dim, lists, faiss.ScalarQuantizer.QT_4bit, faiss.METRIC_L2)
    codes.cp.niter, codes.cp.max_points_per_centroid = ROUNDS, SAMPLE_EACH
    codes.train(sample)
    return codes


def _true_distances(queries: Vector, arena: Arena, order: Order,
                    stopped: threading.Event) -> Vector:
    """Squared distance from each latent to the nearest but NEAREST, itself left out, [n]."""
    nearest = np.full((len(queries), NEAREST + 1), np.inf, np.float32)
    for _, vectors in _batches(arena, order, stopped):
        for at in range(0, len(queries), FEW_QUERIES):
            few = slice(at, at + FEW_QUERIES)
            found = faiss.knn(queries[few], vectors, min(NEAREST + 1, len(vectors)))[0]
            nearest[few] = np.sort(np.hstack([nearest[few], found]))[:, :NEAREST + 1]
    return nearest[:, -1]


def _recall(file: InvertedFile, arena: Arena, queries: Vector, enough: Vector) -> float:
    """Share of the nearest NEAREST that are among the candidates; each finds itself besides."""
    shares = []
    for query, seqs, limit in zip(queries, file.near(queries), enough, strict=True):
        rows, held = arena.find(seqs)
        offset = arena.columns.vectors.take(rows[held], axis=0) - query
        count = int(((offset * offset).sum(axis=1) <= limit * 1.0001).sum())
        shares.append(min(count - 1, NEAREST) / NEAREST)
    return float(np.mean(shares))
