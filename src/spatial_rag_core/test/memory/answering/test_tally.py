"""Figures that follow memories as they come and go, against counting them all."""

from __future__ import annotations

from spatial_rag_core.memory.answering.tally import Tally
from spatial_rag_core.memory.index import Context, IndexRows

import numpy as np
import pytest

CONTEXTS = {n: Context(session=f's{n % 7}', labels=('door',) * (n // 7)) for n in range(14)}


def rows(seqs: np.ndarray, chance: np.random.Generator) -> IndexRows:
    count = len(seqs)
    return IndexRows(
        seqs.astype(np.int64), np.zeros(count, np.uint64), np.zeros((count, 1), np.float32),
        np.zeros((count, 3)), np.zeros((count, 4), np.float32),
        chance.integers(0, 1000, count) / 2.0, chance.integers(0, 14, count).astype(np.int32),
        CONTEXTS)


def test_nothing_has_no_times() -> None:
    tally = Tally()
    tally.add(rows(np.array([]), np.random.default_rng(0)))
    tally.remove(np.array([1, 2]))
    assert tally.session_count == 0
    assert tally.oldest_newest == (None, None)


@pytest.mark.parametrize('seed', range(3))
def test_the_figures_are_those_of_what_is_there(seed: int) -> None:
    chance, tally = np.random.default_rng(seed), Tally()
    there: dict[int, tuple[float, int]] = {}
    last = 0
    for _ in range(30):
        new = rows(last + np.cumsum(chance.integers(1, 4, chance.integers(1, 300))), chance)
        last = int(new.seqs[-1])
        tally.add(new)
        there |= dict(zip(new.seqs.tolist(), zip(new.timestamps, new.contexts, strict=True),
                          strict=True))
        gone = chance.integers(1, last + 5, chance.integers(0, 400))
        tally.remove(np.unique(gone))
        tally.remove(np.unique(gone))  # once more, as they are gone
        there = {seq: facts for seq, facts in there.items() if seq not in set(gone.tolist())}
        other = rows(np.unique(chance.integers(1, last + 5, 20)), chance)
        tally.relabel(other)
        there |= {seq: (there[seq][0], context) for seq, context in zip(
            other.seqs.tolist(), other.contexts.tolist(), strict=True) if seq in there}
        times = [time for time, _ in there.values()]
        assert tally.oldest_newest == (min(times, default=None), max(times, default=None))
        assert tally.count == len(there)
        assert tally.session_count == len({CONTEXTS[c].session for _, c in there.values()})
    tally.remove(np.arange(last + 1))
    assert tally.oldest_newest == (None, None)
