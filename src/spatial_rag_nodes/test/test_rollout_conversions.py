from __future__ import annotations

import math

from spatial_rag_core.errors import ActionError, ConfigurationError
from spatial_rag_core.models.imagined import Imagined
from spatial_rag_core.records import Pose, Position, Quaternion
from spatial_rag_msgs.srv import Rollout
from spatial_rag_nodes.rollout_conversions import (
    fill_rollout,
    plans_from_request,
    rollout_from_response,
)

import numpy as np
import pytest

B, T, Z, K = 2, 3, 4, 2
LEFT = Pose(Position(3.0, -1.0), Quaternion(0.0, 0.0, math.sqrt(0.5), math.sqrt(0.5)))


def imagined() -> Imagined:
    """Each step 1 m forward and a quarter turn to the left."""
    draw = np.random.default_rng(0)
    quarter = np.float32([[0, -1, 0], [1, 0, 0], [0, 0, 1]])
    turns = np.stack([np.linalg.matrix_power(quarter, step + 1) for step in range(T)])
    position = np.float32([[1, 0, 0], [1, 1, 0], [0, 1, 0]])
    return Imagined(
        draw.normal(size=(B, T, Z)).astype(np.float32), np.stack([position] * B),
        np.stack([turns] * B), draw.random((B, T)).astype(np.float32),
        np.array([[[0, -1], [1, 0], [-1, -1]]] * B), np.full((B, T, K), 0.25, np.float32))


def test_numbers_become_plans_row_by_row() -> None:
    request = Rollout.Request(actions=[float(i) for i in range(12)], plans=2)
    plans = plans_from_request(request, action_dim=2)
    assert plans.tolist() == [[[0, 1], [2, 3], [4, 5]], [[6, 7], [8, 9], [10, 11]]]
    request.plans = 0
    assert plans_from_request(request, action_dim=2).shape == (1, 6, 2)


@pytest.mark.parametrize(('count', 'fields', 'error', 'reason'), [
    (0, {}, ActionError, '0 numbers are not 1 plans'),
    (5, {'plans': 2}, ActionError, '5 numbers are not 2 plans of actions of 2'),
    (4, {'plans': 2000}, ConfigurationError, 'between 1 and 1024, got 2000'),
    (2 * 257, {}, ConfigurationError, 'at most 256 steps each'),
    (2 * 129 * 128, {'plans': 128}, ConfigurationError, '16384 in all'),
    (2 * 300, {'plans': 2, 'with_pictures': True}, ConfigurationError, '256 in all with pict')])
def test_plans_that_are_too_many_or_no_plans_are_refused(
        count: int, fields: dict[str, int], error: type[Exception], reason: str) -> None:
    with pytest.raises(error, match=reason):
        plans_from_request(Rollout.Request(actions=[0.0] * count, **fields), 2)


def test_the_most_that_may_be_asked_is_taken() -> None:
    request = Rollout.Request(actions=[0.0] * (2 * 64 * 256), plans=64)
    assert plans_from_request(request, 2).shape == (64, 256, 2)


def test_what_is_imagined_comes_through() -> None:
    future, response = imagined(), Rollout.Response(memory_ids=['a', 'b'], step_sec=0.5)
    fill_rollout(response, future, None)
    result = rollout_from_response(response)
    assert result.z.tolist() == future.z.tolist()
    assert result.uncertainty.tolist() == future.sigma.tolist()
    assert result.memory_rows.tolist() == future.memory_rows.tolist()
    assert result.weights.tolist() == future.weights.tolist()
    assert (result.memory_ids, result.step_sec, result.pictures) == (('a', 'b'), 0.5, None)


def test_without_a_pose_of_the_start_poses_are_relative_to_it() -> None:
    response = Rollout.Response()
    fill_rollout(response, imagined(), None)
    poses = rollout_from_response(response).poses[0]
    np.testing.assert_allclose(poses[:, :3], [[1, 0, 0], [1, 1, 0], [0, 1, 0]], atol=1e-6)
    np.testing.assert_allclose(np.abs(poses[0, 3:]), [0, 0, math.sqrt(0.5), math.sqrt(0.5)],
                               atol=1e-6)


def test_poses_are_those_of_the_map_where_the_start_is_known() -> None:
    response = Rollout.Response()
    fill_rollout(response, imagined(), LEFT)
    poses = rollout_from_response(response).poses[0]
    np.testing.assert_allclose(poses[:, :2], [[3, 0], [2, 0], [2, -1]], atol=1e-6)
    np.testing.assert_allclose(np.abs(poses[0, 3:]), [0, 0, 1, 0], atol=1e-6)  # half a turn
