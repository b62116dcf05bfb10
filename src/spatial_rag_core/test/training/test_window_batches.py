from __future__ import annotations

import dataclasses
from itertools import islice

from spatial_rag_core.training.dynamics_config import DynamicsConfig
from spatial_rag_core.training.map_memory import FenceConfig
from spatial_rag_core.training.window_batches import fixed_batches, TrainingBatches
from spatial_rag_core.training.windows import Windows, WindowSet

import numpy as np
import pytest
import torch
from torch import distributed

from .drives import drive, home

PLAIN = DynamicsConfig(batch_size=64, no_memory_share=0.0, wrong_map_share=0.0,
                       no_history_share=0.0)
FENCE = FenceConfig(fence_sec=3.0)


@pytest.fixture(scope='module')
def windows() -> WindowSet:
    """The second map's time runs far from the first's, so that a latent tells its map."""
    return WindowSet([home(), drive('shed', 5000.0, 120, seed=9)], FENCE, 5, 2)


def drawn(windows: WindowSet, config: DynamicsConfig, seed: int = 0, count: int = 40,
          ) -> list[Windows]:
    return list(islice(TrainingBatches(windows, config, seed), count))


def times(batch: Windows) -> tuple[np.ndarray, np.ndarray]:
    """Of the start [B], and of each memory [B, N], NaN where there is none."""
    return (batch.z[:, 0, 0].numpy().astype(float),
            batch.bank.z[:, :, 0].masked_fill(~batch.bank.mask, torch.nan).numpy())


def test_own_memories_are_older_than_the_fence(windows: WindowSet) -> None:
    for batch in drawn(windows, PLAIN):
        now, remembered = times(batch)
        assert not (remembered > now[:, None] - FENCE.fence_sec + 1e-3).any()
        assert np.isfinite(remembered).any(axis=1).mean() > 0.5


def test_wrong_memories_are_another_maps(windows: WindowSet) -> None:
    for batch in drawn(windows, dataclasses.replace(PLAIN, wrong_map_share=1.0)):
        now, remembered = times(batch)
        known = np.isfinite(remembered)
        assert known.any()
        assert ((np.abs(remembered - now[:, None]) > 3000.0) == known).all()


def test_where_there_is_one_map_wrong_memories_hold_nothing_of_what_is_to_come() -> None:
    alone = WindowSet([home()], FENCE, 5, 2)
    for batch in drawn(alone, dataclasses.replace(PLAIN, wrong_map_share=1.0)):
        now, remembered = times(batch)
        assert np.isfinite(remembered).any()
        assert not (remembered > now[:, None] - FENCE.fence_sec + 1e-3).any()


@pytest.mark.parametrize(('none', 'wrong'), [(0.15, 0.15), (0.5, 0.5), (1.0, 0.0), (0.0, 0.3)])
def test_shares_are_about_as_configured(windows: WindowSet, none: float, wrong: float) -> None:
    config = dataclasses.replace(PLAIN, no_memory_share=none, wrong_map_share=wrong)
    rows: list[tuple[bool, bool, bool]] = []
    for with_share, plain in zip(drawn(windows, config), drawn(windows, PLAIN), strict=True):
        now, remembered = times(with_share)
        np.testing.assert_array_equal(with_share.bank.mask.shape[0], plain.bank.mask.shape[0])
        for start, memories in zip(now, remembered, strict=True):
            known = memories[np.isfinite(memories)]
            rows.append((bool(start % 4000 > 1020), not len(known),
                         bool(len(known)) and abs(known[0] - start) > 3000.0))
    mature = np.array([row[1:] for row in rows if row[0]])  # old enough to remember something
    assert mature[:, 0].mean() == pytest.approx(none, abs=0.1)
    assert mature[:, 1].mean() == pytest.approx(wrong, abs=0.1)


@pytest.mark.parametrize('share', [0.0, 0.5, 1.0])
def test_history_is_left_out_of_a_share_of_the_batches(windows: WindowSet, share: float) -> None:
    batches = drawn(windows, dataclasses.replace(PLAIN, no_history_share=share))
    lengths = [batch.history_z.shape[1] for batch in batches]
    assert set(lengths) <= {0, 2}
    assert lengths.count(0) / len(lengths) == pytest.approx(share, abs=0.2)


def test_a_seed_draws_the_same_again_and_another_seed_others(windows: WindowSet) -> None:
    one, again, other = (drawn(windows, DynamicsConfig(), seed, 3) for seed in (1, 1, 2))
    assert all(torch.equal(a.z, b.z) and torch.equal(a.bank.mask, b.bank.mask)
               for a, b in zip(one, again, strict=True))
    assert not torch.equal(one[0].z, other[0].z)


def test_each_process_draws_its_own(windows: WindowSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed, 'is_initialized', lambda: True)
    first = []
    for rank in (0, 1):
        monkeypatch.setattr(distributed, 'get_rank', lambda rank=rank: rank)
        first.append(drawn(windows, PLAIN, count=1)[0].z)
    assert not torch.equal(*first)


def test_fixed_batches_are_all_windows_in_order(windows: WindowSet) -> None:
    z = torch.cat([batch.z for batch in fixed_batches(windows, 50)])
    assert torch.equal(z, windows.batch(np.arange(len(windows))).z)
