"""One step, foreseen with memories and without in one call."""

from __future__ import annotations

from spatial_rag_core.errors import ActionError, InputError
from spatial_rag_core.models.bundle import Bundle
from spatial_rag_core.models.imagined import History
from spatial_rag_core.models.memory_bank import MemoryBank
from spatial_rag_core.records import Memory, Pose, Position

import numpy as np
import pytest

from .transitions import poses

TOLERANCE = {'rtol': 1e-5, 'atol': 1e-5}


def draw(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def bank(bundle: Bundle, n: int) -> MemoryBank:
    meta = bundle.metadata
    pose = poses(1, n, 0)[0].numpy()
    pose[:, :3] *= 0.1  # all within reach
    return MemoryBank(draw(n, meta.z_dim), pose, draw(n, meta.action_dim),
                      tuple(f'm{row}' for row in range(n)))


def past(bundle: Bundle) -> History | None:
    meta = bundle.metadata
    return History(draw(meta.history, meta.z_dim), draw(meta.history, meta.action_dim))


@pytest.mark.parametrize('name', ['bundle', 'rich', 'plain'])
@pytest.mark.parametrize('n', [0, 1, 4, 20])
def test_both_are_what_predict_next_gives(
        name: str, n: int, request: pytest.FixtureRequest) -> None:
    bundle = request.getfixturevalue(name)
    meta, memories = bundle.metadata, bank(request.getfixturevalue(name), n)
    z, action = draw(meta.z_dim, seed=1), draw(meta.action_dim, seed=2)
    both = bundle.foresee(z, action, memories, past(bundle))
    assert both.z.shape == (2, 1, meta.z_dim)
    for row, found in ((0, memories), (1, MemoryBank.empty(meta.z_dim, meta.action_dim))):
        np.testing.assert_allclose(both.z[row, 0], bundle.predict_next(
            z, action, found.z, found.pose if meta.uses_memory_pose else None,
            found.action if meta.uses_memory_action else None, past(bundle)), **TOLERANCE)


def test_it_tells_what_it_rests_on(rich: Bundle) -> None:
    both = rich.foresee(draw(6), draw(2), bank(rich, 3))
    with_memory, without = both.memory_rows[:, 0]
    assert sorted(with_memory.tolist()) == [-1, 0, 1, 2]
    assert set(without.tolist()) == {-1}
    assert 0.0 < both.weights[0].sum() <= 1.0
    assert both.weights[1].sum() == 0.0
    assert np.isfinite(both.sigma).all()


def test_an_action_of_another_length_is_refused(rich: Bundle) -> None:
    with pytest.raises(ActionError, match=r'\[3\], expected \[2\]'):
        rich.foresee(draw(6), draw(3), bank(rich, 1))


def test_a_bank_knows_the_names_of_those_that_stand() -> None:
    here = Pose(Position(0.0, 0.0))
    old = Memory('old', draw(4), here, '', 0.0, 'model')
    new = Memory('new', draw(4), here, '', 1000.0, 'model')
    assert MemoryBank.from_memories([old, new], here, 4, 2).ids == ('new',)
    with pytest.raises(InputError, match='3 memories have 1 ids'):
        MemoryBank(draw(3, 4), draw(3, 9), draw(3, 2), ('one',))
