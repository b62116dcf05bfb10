from __future__ import annotations

from typing import Any

from spatial_rag_core.errors import ActionError, InputError, LatentError, PoseError
from spatial_rag_core.models.memory_bank import MemoryBank
from spatial_rag_core.records import Memory, Pose, Position, Quaternion
from spatial_rag_core.spatial.seen_again import replaced_at

import numpy as np
import pytest

from ..spatial.naive_poses import random_poses, seen_from


def memory(number: int, x: float, timestamp: float = 0.0, **fields: Any) -> Memory:
    return Memory(f'm{number}', np.full(4, number, np.float32), Pose(Position(x, 0.0)), '',
                  timestamp, 'model', **fields)


def yawed(degrees: float) -> np.ndarray:
    half = np.radians(degrees) / 2
    return np.array([0.0, 0.0, 0.0, 0.0, 0.0, np.sin(half), np.cos(half)])


def arrays(n: int = 3) -> dict[str, np.ndarray]:
    return {'z': np.zeros((n, 4), np.float32), 'pose': np.zeros((n, 9), np.float32),
            'action': np.zeros((n, 2), np.float32)}


def test_memories_come_as_seen_from_the_robot_with_what_led_there() -> None:
    poses = random_poses(5)
    memories = [Memory(f'm{i}', np.full(4, i, np.float32),
                       Pose(Position(*p[:3]), Quaternion(*p[3:])), '', 0.0, 'model',
                       np.array([i, -i], np.float32)) for i, p in enumerate(poses)]
    robot = random_poses(1, seed=1)[0]
    bank = MemoryBank.from_memories(
        memories, Pose(Position(*robot[:3]), Quaternion(*robot[3:])), 4, 2)
    assert len(bank) == 5
    assert {bank.z.dtype, bank.pose.dtype, bank.action.dtype} == {np.dtype(np.float32)}
    assert bank.z[:, 0].tolist() == [0, 1, 2, 3, 4]
    assert bank.action.tolist() == [[i, -i] for i in range(5)]
    np.testing.assert_allclose(bank.pose, [seen_from(robot, pose) for pose in poses], atol=1e-6)


def test_no_memories_are_an_empty_bank() -> None:
    bank = MemoryBank.from_memories([], Pose(Position(0.0, 0.0)), 4, 2)
    assert (len(bank), bank.z.shape, bank.pose.shape, bank.action.shape) == (
        0, (0, 4), (0, 9), (0, 2))


def test_a_newer_view_of_a_place_stands_for_the_older_ones() -> None:
    memories = [memory(0, 0.0, 0.0), memory(1, 0.3, 100.0), memory(2, 5.0, 0.0),
                memory(3, 0.1, 200.0)]
    bank = MemoryBank.from_memories(memories, Pose(Position(0.0, 0.0)), 4, 2)
    assert bank.z[:, 0].tolist() == [2, 3]


def test_what_was_seen_in_passing_within_a_minute_all_stands() -> None:
    memories = [memory(i, 0.01 * i, 0.2 * i) for i in range(100)]
    assert len(MemoryBank.from_memories(memories, Pose(Position(0.0, 0.0)), 4, 2)) == 100


@pytest.mark.parametrize('action', [[], [1.0], [1.0, 2.0, 3.0]])
def test_an_action_of_another_length_is_not_known(action: list[float]) -> None:
    known = memory(0, 0.0, action=np.array([1.0, 2.0], np.float32))
    other = memory(1, 1.0, action=np.array(action, np.float32))
    bank = MemoryBank.from_memories([known, other], Pose(Position(0.0, 0.0)), 4, 2)
    assert bank.action.tolist() == [[1.0, 2.0], [0.0, 0.0]]


def test_a_memory_of_another_length_is_refused() -> None:
    with pytest.raises(LatentError, match=r'shape \[4\], expected \[5\] .*must agree on z_dim'):
        MemoryBank.from_memories([memory(0, 0.0)], Pose(Position(0.0, 0.0)), 5, 2)


@pytest.mark.parametrize(('changed', 'error', 'message'), [
    ({'z': np.zeros(3)}, LatentError, r'shape \[3\], expected \[N, z_dim\]'),
    ({'pose': np.zeros((3, 4))}, PoseError, r'shape \[3, 4\], expected \[3, 9\]; zeros where'),
    ({'pose': np.zeros((2, 9))}, PoseError, r'shape \[2, 9\], expected \[3, 9\]'),
    ({'action': np.zeros((2, 2))}, ActionError, r'shape \[2, 2\], expected \[3, action_dim\]; z'),
    ({'action': np.zeros(3)}, ActionError, r'shape \[3\], expected \[3, action_dim\]'),
])
def test_arrays_that_do_not_agree_are_refused(
        changed: dict[str, np.ndarray], error: type[InputError], message: str) -> None:
    with pytest.raises(error, match=message):
        MemoryBank(**{**arrays(), **changed})


@pytest.mark.parametrize(('name', 'error', 'word'), [
    ('z', LatentError, 'latent'), ('pose', PoseError, 'pose'), ('action', ActionError, 'action')])
@pytest.mark.parametrize('value', [np.nan, np.inf])
def test_a_value_that_is_not_finite_is_refused_with_its_memory(
        name: str, error: type[InputError], word: str, value: float) -> None:
    given = arrays()
    given[name][1, 0] = value
    with pytest.raises(error, match=f'{word} of memory 1 is not finite; leave that memory out'):
        MemoryBank(**given)


def test_the_first_view_a_minute_newer_replaces_and_the_newest_never_goes() -> None:
    poses = np.repeat(yawed(0.0)[None], 4, axis=0)
    assert replaced_at(poses, np.array([0.0, 50.0, 130.0, 500.0])).tolist() == [
        130.0, 130.0, 500.0, np.inf]


def test_a_minute_itself_is_not_yet_newer() -> None:
    poses = np.repeat(yawed(0.0)[None], 2, axis=0)
    assert replaced_at(poses, np.array([0.0, 60.0])).tolist() == [np.inf, np.inf]
    assert replaced_at(poses, np.array([0.0, 60.1])).tolist() == [60.1, np.inf]


@pytest.mark.parametrize(('other', 'same'), [
    (yawed(17.0), True), (yawed(-17.0), True), (yawed(19.0), False), (yawed(180.0), False),
    (yawed(0.0) + 0.38 * np.eye(7)[1], True), (yawed(0.0) + 0.4 * np.eye(7)[2], False)])
def test_a_view_counts_as_the_same_up_to_a_little_way_and_a_little_turn(
        other: np.ndarray, same: bool) -> None:
    gone = replaced_at(np.stack([yawed(0.0), other]), np.array([0.0, 100.0]))
    assert gone.tolist() == [100.0 if same else np.inf, np.inf]


def test_nothing_replaces_nothing() -> None:
    assert replaced_at(np.zeros((0, 7)), np.zeros(0)).shape == (0,)
