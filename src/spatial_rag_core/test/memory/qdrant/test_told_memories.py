from __future__ import annotations

from spatial_rag_core.memory.qdrant.told_memories import ToldMemories

import numpy as np


def test_the_count_and_the_cells_are_those_of_a_dict_whatever_comes_and_goes() -> None:
    chance = np.random.default_rng(0)
    told, expected, last = ToldMemories(), dict[int, int](), 0
    for _ in range(300):
        if chance.random() < 0.6:
            seqs = last + np.cumsum(chance.integers(1, 4, chance.integers(0, 200)))
            cells = chance.integers(1, 500, len(seqs)).astype(np.uint64)
            told.add(seqs, cells)
            expected.update(zip(seqs.tolist(), cells.tolist(), strict=True))
            last = max([last, *seqs.tolist()])
        else:  # among them numbers that were never told, and some twice
            seqs = chance.integers(-5, last + 10, chance.integers(0, 400))
            told.remove(seqs)
            for seq in seqs.tolist():
                expected.pop(seq, None)
        assert (told.count, told.cell_count) == (len(expected), len(set(expected.values())))
    assert expected


def test_what_was_removed_takes_no_room_for_ever() -> None:
    told = ToldMemories()
    for start in range(0, 200_000, 100):
        seqs = np.arange(start, start + 100)
        told.add(seqs, np.full(100, 7, np.uint64))
        told.remove(seqs[:-1] - 100)
    assert told.count < 3000
    assert len(told._seqs) < 20_000
