"""Near latents anywhere in a large memory, approximately: an inverted file beside the arena."""

from __future__ import annotations

from collections.abc import Iterator
import math
import threading
from typing import cast, NamedTuple

from spatial_rag_core.memory.arena import Arena, Rows
from spatial_rag_core.records import Vector

import faiss
import numpy as np
from numpy.typing import NDArray

FLAT_ROWS = 50_000  # that are searched one by one faster than it is worth to approximate
TAIL_ROWS = 16_384  # newest ones that are searched one by one before the inverted file grows
MOST_WANTED = 64  # hits; for more the inverted file would have to open too many lists
FETCH = 128  # candidates whose true distance is taken
GROWTH = 4  # times as many memories as it was trained on: it is trained anew
STALE, USELESS = 0.25, 0.5  # share of forgotten memories in it: likewise; and not used any more
RECALL, TRIALS, NEAREST = 0.97, 64, 8  # of the nearest 8 of 64 own latents, so many are found
COSTLIEST = 0.25  # share of the lists that a search may open; else it is not worth while
SAMPLE_EACH = 40  # latents that each list is chosen by
BATCH = 16_384
FEW_QUERIES = 16  # at once: Faiss then takes no matrix product, which takes all cores

Order = tuple[NDArray[np.int64], NDArray[np.int32]]
"""Memories by sequence numbers, ascending, and rows; forgotten ones too."""


class _InvertedFile(NamedTuple):
    """
    Latents as of some moment, never changed: searches need no lock.

    codes: its ids are sequence numbers.  last_seq: newest memory in it.  probes: lists to open.
    trained_on: how many memories there were when it was trained.
    """

    codes: faiss.IndexIVF
    last_seq: int
    probes: int
    trained_on: int


class LatentSearch:
    """
    Finds rows of an arena whose latents are probably the nearest by L2.

    The inverted file is made in a thread of its own when it is first asked for, and made again
    there as the memory grows; until then everything is searched. The number of lists that a
    search opens is measured on the memory's own latents; where too many would have to be opened,
    there is no inverted file.
    """

    def __init__(self) -> None:
        self._file: _InvertedFile | None = None
        self._enough = FLAT_ROWS  # memories from which on it is worth to try
        self._starting = threading.Lock()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def is_ready(self) -> bool:
        """Whether there is an inverted file."""
        return self._file is not None

    def wait(self) -> None:
        """Return when no inverted file is being made."""
        if self._thread is not None:
            self._thread.join()

    def close(self) -> None:
        """Stop making inverted files; returns when the thread has ended."""
        self._closed.set()
        self.wait()
        self._file = None

    def candidates(self, arena: Arena, vector: Vector, share: float) -> Rows | None:
        """
        Rows among which the nearest are, int64 [n]; None: look at all.

        share: of all memories, those that are wanted; the smaller, the more candidates.
        """
        file = self._file
        if self._is_due(arena, file):
            self._start(arena)
        if file is None or _stale_share(arena, file) > USELESS:
            return None
        seqs = _found(file, np.ascontiguousarray(vector, np.float32)[None], share)[0]
        rows, held = arena.find(seqs)
        return np.concatenate([rows[held], _live(arena, _tail(arena, file))])

    def _is_due(self, arena: Arena, file: _InvertedFile | None) -> bool:
        if self._closed.is_set() or arena.count < self._enough:
            return False
        return (file is None or len(_tail(arena, file)[0]) > TAIL_ROWS
                or _stale_share(arena, file) > STALE)

    def _start(self, arena: Arena) -> None:
        with self._starting:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(
                    target=self._work, args=(arena,), daemon=True, name='inverted file')
                self._thread.start()

    def _work(self, arena: Arena) -> None:
        """Make the inverted file; where that fails, try again only when much has come."""
        faiss.omp_set_num_threads(1)  # of this thread: the robot needs its cores
        file, self._enough = self._file, GROWTH * arena.count
        if file is None or _stale_share(arena, file) > STALE or (
                arena.count >= GROWTH * file.trained_on):
            file = self._made(arena)
        else:
            file = self._with_tail(arena, file)
        if file is not None:
            self._enough = 0
        self._file = file

    def _made(self, arena: Arena) -> _InvertedFile | None:
        order = arena.order
        codes = _trained(_sample(arena, order, SAMPLE_EACH * _list_count(arena.count)),
                         _list_count(arena.count))
        self._fill(codes, arena, order)
        file = _InvertedFile(codes, int(order[0][-1]), 0, arena.count)
        queries = _sample(arena, order, TRIALS)
        enough = self._true_distances(queries, arena, order)
        return None if self._closed.is_set() else _tuned(file, arena, queries, enough)

    def _with_tail(self, arena: Arena, file: _InvertedFile) -> _InvertedFile:
        tail = _tail(arena, file)
        codes = cast(faiss.IndexIVF, faiss.clone_index(file.codes))
        self._fill(codes, arena, tail)
        return file._replace(codes=codes, last_seq=int(tail[0][-1]))

    def _fill(self, codes: faiss.IndexIVF, arena: Arena, order: Order) -> None:
        for seqs, vectors in self._batches(arena, order):
            codes.add_with_ids(vectors, seqs)

    def _true_distances(self, queries: Vector, arena: Arena, order: Order) -> Vector:
        """Squared distance from each latent to the nearest but NEAREST, itself left out, [n]."""
        nearest = np.full((len(queries), NEAREST + 1), np.inf, np.float32)
        for _, vectors in self._batches(arena, order):
            for at in range(0, len(queries), FEW_QUERIES):
                few = slice(at, at + FEW_QUERIES)
                found = faiss.knn(queries[few], vectors, min(NEAREST + 1, len(vectors)))[0]
                nearest[few] = np.sort(np.hstack([nearest[few], found]))[:, :NEAREST + 1]
        return nearest[:, -1]

    def _batches(self, arena: Arena, order: Order) -> Iterator[tuple[NDArray[np.int64], Vector]]:
        """Sequence numbers and latents of all memories, in pieces; nothing more once closed."""
        for start in range(0, len(order[0]), BATCH):
            if self._closed.is_set():
                return
            seqs, rows = (column[start:start + BATCH] for column in order)
            live = arena.columns.seqs.take(rows) == seqs
            if live.any():
                yield seqs[live], arena.columns.vectors.take(rows[live], axis=0)


def _tail(arena: Arena, file: _InvertedFile) -> Order:
    """Memories that came after those in the inverted file."""
    seqs, rows = arena.order
    start = np.searchsorted(seqs, file.last_seq, side='right')
    return seqs[start:], rows[start:]


def _live(arena: Arena, order: Order) -> Rows:
    is_live = arena.columns.seqs.take(order[1]) == order[0]
    return np.asarray(order[1][is_live], np.int64)


def _stale_share(arena: Arena, file: _InvertedFile) -> float:
    """Share of the inverted file that was forgotten since, or a little more."""
    return 1 - (arena.count - len(_tail(arena, file)[0])) / file.codes.ntotal


def _list_count(count: int) -> int:
    return 1 << int(math.log2(4 * math.sqrt(count)))


def _sample(arena: Arena, order: Order, size: int) -> Vector:
    """About so many latents of memories, chosen at random but always alike, [n, z_dim]."""
    chosen = np.random.default_rng(size).integers(0, len(order[0]), size)
    rows = _live(arena, (order[0].take(chosen), order[1].take(chosen)))
    return arena.columns.vectors.take(rows, axis=0)


def _trained(sample: Vector, lists: int) -> faiss.IndexIVF:
    """Return an empty inverted file whose lists suit the sample."""
    z_dim = sample.shape[1]
    codes = faiss.IndexIVFScalarQuantizer(
        faiss.IndexFlatL2(z_dim), z_dim, lists, faiss.ScalarQuantizer.QT_4bit, faiss.METRIC_L2)
    codes.cp.niter, codes.cp.max_points_per_centroid = 10, SAMPLE_EACH
    codes.train(sample)
    return codes


def _found(file: _InvertedFile, vectors: Vector, share: float) -> NDArray[np.int64]:
    """Sequence numbers of near latents, int64 [n, m]; 0 where there are too few."""
    probes = min(math.ceil(file.probes / share), file.codes.nlist)
    opening = faiss.SearchParametersIVF(nprobe=probes)  # type: ignore[call-arg, unused-ignore]
    seqs = file.codes.search(vectors, int(FETCH / share), params=opening)[1]
    return np.maximum(np.asarray(seqs, np.int64), 0)


def _tuned(file: _InvertedFile, arena: Arena, queries: Vector,
           enough: Vector) -> _InvertedFile | None:
    """Return it with as few probes as find enough, or None where too many are needed."""
    probes = 1
    while probes <= COSTLIEST * file.codes.nlist:
        file = file._replace(probes=probes)
        if _recall(file, arena, queries, enough) >= RECALL:
            return file
        probes += probes // 2 or 1
    return None


def _recall(file: _InvertedFile, arena: Arena, queries: Vector, enough: Vector) -> float:
    """Share of the nearest NEAREST that are among the candidates; each finds itself besides."""
    shares = []
    for query, seqs, limit in zip(queries, _found(file, queries, 1.0), enough, strict=True):
        rows, held = arena.find(seqs)
        offset = arena.columns.vectors.take(rows[held], axis=0) - query
        count = int(((offset * offset).sum(axis=1) <= limit * 1.0001).sum())
        shares.append(min(count - 1, NEAREST) / NEAREST)
    return float(np.mean(shares))
