from __future__ import annotations

from spatial_rag_core.models.relative_pose import (
    bank_features,
    moved,
    pose_distances,
    rotation_of,
    seen_from,
)
from spatial_rag_core.spatial.pose_arrays import poses_seen_from

import numpy as np
import pytest
import torch

from ..spatial.naive_poses import (
    distance_m2,
    matrix,
    product,
    quaternion,
    random_poses,
    turned,
)

ORIGIN = np.eye(7)[6]


def rotation_vectors(angle: float, n: int = 10) -> np.ndarray:
    axes = np.random.default_rng(0).normal(size=(n, 3))
    return angle * axes / np.linalg.norm(axes, axis=1, keepdims=True)


def as_network(poses: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Positions [N, 3] and rotation matrices [N, 3, 3], double."""
    return torch.from_numpy(poses[:, :3]), torch.from_numpy(
        np.stack([matrix(pose[3:]) for pose in poses]))


@pytest.mark.parametrize('angle', [0.0, 1e-9, 9e-5, 1.1e-4, 1e-3, 0.3, 2.0, np.pi, 7.0])
def test_a_rotation_vector_turns_as_its_quaternion_does(angle: float) -> None:
    vectors = rotation_vectors(angle)
    expected = [matrix(quaternion(vector)) for vector in vectors]
    np.testing.assert_allclose(rotation_of(torch.from_numpy(vectors)), expected, atol=1e-12)
    np.testing.assert_allclose(rotation_of(torch.from_numpy(vectors).float()), expected,
                               atol=1e-6)


@pytest.mark.parametrize('angle', [0.0, 1e-20, 1e-6, 9e-5, 1.1e-4, 1e-3])
def test_the_gradient_of_a_tiny_rotation_is_that_of_the_cross_product(angle: float) -> None:
    for vector in rotation_vectors(angle, 3):
        v = torch.tensor(vector, dtype=torch.float32)
        jacobian = torch.autograd.functional.jacobian(lambda v: rotation_of(v[None])[0], v)
        expected = torch.zeros(3, 3, 3)
        for axis, (row, column) in enumerate(((2, 1), (0, 2), (1, 0))):
            expected[row, column, axis], expected[column, row, axis] = 1.0, -1.0
        torch.testing.assert_close(jacobian, expected, rtol=0.0, atol=2.0 * angle + 1e-6)


def test_gradients_of_any_rotation_are_those_of_finite_differences() -> None:
    vectors = torch.from_numpy(np.concatenate([rotation_vectors(a, 2) for a in (0.01, 1.0, 3.0)]))
    assert torch.autograd.gradcheck(rotation_of, vectors.requires_grad_())


def test_a_displacement_is_in_the_robots_own_frame() -> None:
    poses = random_poses(10)
    steps = np.concatenate([random_poses(10, seed=1)[:, :3], rotation_vectors(0.4)], axis=1)
    position, rotation = moved(*as_network(poses), torch.from_numpy(steps))
    for row, (pose, step) in enumerate(zip(poses, steps, strict=True)):
        np.testing.assert_allclose(position[row], pose[:3] + turned(pose[3:], step[:3]),
                                   atol=1e-12)
        np.testing.assert_allclose(
            rotation[row], matrix(product(pose[3:], quaternion(step[3:]))), atol=1e-12)


def test_what_is_seen_from_the_start_and_then_from_a_pose_is_as_seen_from_that_pose() -> None:
    start, there, memories = random_poses(1)[0], random_poses(1, seed=1), random_poses(20, seed=2)
    world = np.array([*start[:3] + turned(start[3:], there[0, :3]),
                      *product(start[3:], there[0, 3:])])
    from_start = torch.from_numpy(poses_seen_from(start, memories)).double()
    position, rotation = as_network(there)
    np.testing.assert_allclose(seen_from(position, rotation, from_start[None])[0],
                               poses_seen_from(world, memories), atol=1e-5)


def test_a_pose_that_is_not_known_stays_unknown_from_everywhere() -> None:
    position, rotation = as_network(random_poses(2))
    poses = torch.from_numpy(poses_seen_from(ORIGIN, random_poses(8))).double().view(2, 4, 9)
    poses[0, 1] = 0.0
    seen = seen_from(position, rotation, poses)
    assert seen[0, 1].tolist() == [0.0] * 9
    assert int((seen == 0.0).all(dim=2).sum()) == 1


def test_distances_are_those_by_the_book() -> None:
    there, memories = random_poses(3), random_poses(15, seed=1)
    bank = torch.from_numpy(poses_seen_from(ORIGIN, memories)).double().view(3, 5, 9)
    expected = [[distance_m2(pose, memory) for memory in row]
                for pose, row in zip(there, memories.reshape(3, 5, 7), strict=True)]
    position, rotation = as_network(there)
    np.testing.assert_allclose(pose_distances(position, rotation, bank_features(bank)), expected,
                               atol=1e-5)
    single = pose_distances(position.float(), rotation.float(), bank_features(bank.float()))
    np.testing.assert_allclose(single, expected, atol=1e-4)
