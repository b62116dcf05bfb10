from __future__ import annotations

from spatial_rag_core.records import Pose, Position, Quaternion
from spatial_rag_core.spatial.pose_arrays import (
    pose_array,
    POSE_CHANNELS,
    pose_distances_m2,
    poses_seen_from,
    poses_seen_from_each,
    quaternions_of,
    rotation_matrices,
)

import numpy as np
import pytest

from .naive_poses import distance_m2, matrix, random_poses, seen_from

FAR_M = np.array([4e6, -3e6, 100.0, 0.0, 0.0, 0.0, 0.0])


def test_a_pose_is_a_row_of_seven() -> None:
    pose = Pose(Position(1.0, 2.0, 3.0), Quaternion(0.0, 0.6, 0.0, 0.8))
    assert pose_array(pose).tolist() == [1.0, 2.0, 3.0, 0.0, 0.6, 0.0, 0.8]


def test_a_matrix_has_the_turned_axes_as_columns() -> None:
    quaternions = random_poses(20)[:, 3:]
    np.testing.assert_allclose(rotation_matrices(quaternions), [matrix(q) for q in quaternions],
                               atol=1e-12)
    assert rotation_matrices(quaternions.reshape(4, 5, 4)).shape == (4, 5, 3, 3)


def test_a_matrix_gives_back_its_quaternion_also_at_half_a_turn() -> None:
    axes = np.concatenate([np.eye(4), random_poses(50)[:, 3:]]).reshape(6, 9, 4)
    found = quaternions_of(rotation_matrices(axes))
    same = np.where((found * axes).sum(axis=-1, keepdims=True) < 0.0, -found, found)
    np.testing.assert_allclose(same, axes, atol=1e-12)


def test_both_signs_of_a_quaternion_are_one_rotation() -> None:
    poses, robot = random_poses(20), random_poses(1, seed=1)[0]
    other = poses * np.array([1, 1, 1, -1, -1, -1, -1])
    assert np.array_equal(poses_seen_from(robot, other), poses_seen_from(robot, poses))
    np.testing.assert_allclose(pose_distances_m2(poses, other), pose_distances_m2(poses, poses))


@pytest.mark.parametrize('offset', [0.0, 1.0])
def test_poses_are_seen_as_one_by_one_by_the_book(offset: float) -> None:
    poses, robot = random_poses(20) + offset * FAR_M, random_poses(1, 1)[0] + offset * FAR_M
    seen = poses_seen_from(robot, poses)
    assert (seen.dtype, seen.shape) == (np.float32, (20, POSE_CHANNELS))
    np.testing.assert_allclose(seen, [seen_from(robot, pose) for pose in poses], atol=1e-5)


def test_a_robot_sees_itself_at_the_origin_unturned() -> None:
    robot = random_poses(1)[0]
    np.testing.assert_allclose(poses_seen_from(robot, robot[None])[0],
                               [0, 0, 0, 1, 0, 0, 0, 1, 0], atol=1e-7)


def test_what_lies_ahead_has_x_and_what_lies_left_has_y() -> None:
    turned_left = np.array([1.0, 1.0, 0.0, 0.0, 0.0, np.sqrt(0.5), np.sqrt(0.5)])
    poses = np.array([[1.0, 3.0, 0.0, 0.0, 0.0, 0.0, 1.0], [0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0]])
    np.testing.assert_allclose(poses_seen_from(turned_left, poses)[:, :3],
                               [[2, 0, 0], [0, 1, 0]], atol=1e-7)


def test_each_row_of_a_batch_is_seen_from_its_own_pose() -> None:
    robots, poses = random_poses(3), random_poses(12, seed=1).reshape(3, 4, 7)
    alone = [poses_seen_from(robot, row) for robot, row in zip(robots, poses, strict=True)]
    assert np.array_equal(poses_seen_from_each(robots, poses), alone)


@pytest.mark.parametrize('offset', [0.0, 1.0])
def test_distances_are_those_of_each_pair_by_the_book(offset: float) -> None:
    a, b = random_poses(6) + offset * FAR_M, random_poses(9, seed=1) + offset * FAR_M
    found = pose_distances_m2(a, b)
    assert found.shape == (6, 9)
    np.testing.assert_allclose(found, [[distance_m2(p, q) for q in b] for p in a], atol=1e-8)


def test_a_pose_is_no_way_from_itself_and_half_a_turn_weighs_six_square_metres() -> None:
    poses = random_poses(50, spread_m=30.0)
    itself = np.diag(pose_distances_m2(poses, poses))
    assert np.abs(itself).max() < 1e-9
    ahead, back = np.eye(7)[6], np.eye(7)[5]
    assert pose_distances_m2(ahead[None], back[None]) == pytest.approx(6.0)


def test_no_poses_are_a_legal_number_of_poses() -> None:
    none, some = np.zeros((0, 7)), random_poses(3)
    assert poses_seen_from(some[0], none).shape == (0, POSE_CHANNELS)
    assert pose_distances_m2(none, some).shape == (0, 3)
    assert pose_distances_m2(some, none).shape == (3, 0)
    assert pose_distances_m2(none, none).shape == (0, 0)
