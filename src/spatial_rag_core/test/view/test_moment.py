"""A moment: what is near in latent, where the model expects the robot, and their shapes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from spatial_rag_core.models.bundle import Bundle
from spatial_rag_core.records import as_action, as_latent, Memory, Pose, Position, Quaternion
from spatial_rag_core.spatial.pose_arrays import rotation_matrices
from spatial_rag_core.view.moment import foresee, Moment
from spatial_rag_core.view.palette import rgb
from spatial_rag_core.view.shapes import (
    LINE_WIDTHS_M,
    path_points,
    recall_lines,
    recalled_points,
)

import numpy as np
import pytest

HERE = Pose(Position(1.0, 2.0, 0.5), Quaternion(0.0, 0.0, np.sin(0.4), np.cos(0.4)))


def memory(distance: float, x: float) -> Memory:
    return Memory(f'at-{x}', as_latent([distance, 0.0]), Pose(Position(x, 0.0)), '', 0.0, 'model')


def moment(distances: Sequence[float]) -> Moment:
    return Moment(HERE, as_latent([0.0, 0.0]),
                  tuple(memory(distance, float(x)) for x, distance in enumerate(distances)))


def test_the_nearest_latent_counts_one_and_one_twice_as_far_half() -> None:
    assert moment([4.0, 2.0, 8.0]).nearness().tolist() == [0.5, 1.0, 0.25]
    assert moment([0.0, 1.0]).nearness().tolist() == [1.0, pytest.approx(0.0, abs=1e-5)]
    assert moment([]).nearness().shape == (0,)
    best = moment([4.0, 2.0, 8.0]).best()
    assert best is not None
    assert best.id == 'at-1.0'
    assert moment([]).best() is None


def test_a_line_leads_to_each_recalled_memory_the_thicker_the_nearer_in_latent() -> None:
    shapes = recall_lines(moment([4.0, 2.0, 8.0, 200.0]))
    assert len(shapes) == len(LINE_WIDTHS_M)
    ends = {each: shape.vertices[1::2, 0].tolist() for each, shape in enumerate(shapes)}
    assert ends == {0: [3.0], 1: [2.0], 2: [0.0], 3: [], 4: [1.0]}
    for shape in shapes:
        assert (shape.vertices[::2] == HERE.position).all()
        assert len(shape.colors) == len(shape.vertices)
    assert list(LINE_WIDTHS_M) == sorted(LINE_WIDTHS_M)
    assert len(recalled_points(moment([1.0, 2.0])).vertices) == 2


def test_nothing_recalled_and_nothing_expected_are_empty_shapes() -> None:
    nothing = moment([])
    for shape in (*recall_lines(nothing), recalled_points(nothing), path_points(None)):
        assert shape.vertices.shape == (0, 3)
        assert shape.colors.shape == (0, 4)


def test_colours_are_read_as_they_are_written() -> None:
    assert rgb('#ff0033') == (1.0, 0.0, 0.2)


@pytest.fixture(scope='module')
def bundle(bundle_path: Path) -> Bundle:
    return Bundle.load(bundle_path)


def lively(bundle: Bundle, action: Sequence[float] | None) -> Moment:
    z = np.random.default_rng(0).normal(size=bundle.metadata.z_dim).astype(np.float32)
    near = Memory('near', z + 0.1, HERE, '', 0.0, bundle.model_id)
    return Moment(HERE, z, (near,), None if action is None else as_action(action))


def test_the_path_is_the_models_rollout_carried_into_the_map(bundle: Bundle) -> None:
    seen = lively(bundle, [0.5, 0.3])
    found = foresee(bundle, seen, 6)
    assert found is not None
    assert found.positions.shape == (7, 3)
    assert found.positions[0].tolist() == list(HERE.position)
    assert found.z.shape == (6, bundle.metadata.z_dim)
    from spatial_rag_core.models.memory_bank import MemoryBank
    meta = bundle.metadata
    bank = MemoryBank.from_memories(seen.recalled, HERE, meta.z_dim, meta.action_dim)
    plain = bundle.rollout(seen.z, np.tile(as_action([0.5, 0.3]), (1, 6, 1)), bank)
    to_map = rotation_matrices(np.array([HERE.orientation]))[0]
    apart = found.positions[1:] - np.array(HERE.position)
    assert np.allclose(apart @ to_map, plain.position[0], atol=1e-6)
    turned = rotation_matrices(found.orientations)
    assert np.allclose(turned[0], to_map)
    assert np.allclose(to_map.T @ turned[1:], plain.rotation[0], atol=1e-5)
    assert np.linalg.norm(found.orientations, axis=1) == pytest.approx(1.0)


def test_without_an_action_no_path_is_expected(bundle: Bundle) -> None:
    assert foresee(bundle, lively(bundle, None), 3) is None
