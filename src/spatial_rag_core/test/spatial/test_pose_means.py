from __future__ import annotations

from spatial_rag_core.spatial.pose_means import mean_pose, turns_from

import numpy as np
import pytest


def pose(x: float, yaw: float, roll: float = 0.0) -> np.ndarray:
    """At x [m], turned left by yaw, after a roll [rad]."""
    return np.array([x, 0.0, 0.0, np.sin(roll / 2) * np.cos(yaw / 2),
                     np.sin(roll / 2) * np.sin(yaw / 2), np.cos(roll / 2) * np.sin(yaw / 2),
                     np.cos(roll / 2) * np.cos(yaw / 2)])


def test_the_mean_lies_between_by_weight() -> None:
    mean = mean_pose(np.array([pose(0.0, 0.0), pose(4.0, 0.4)]), np.array([0.75, 0.25]))
    assert mean[0] == pytest.approx(1.0)
    assert turns_from(pose(0.0, 0.0), mean[None])[0, 2] == pytest.approx(0.1, rel=0.02)


def test_the_sign_of_a_quaternion_does_not_matter() -> None:
    turned = pose(0.0, 1.0)
    flipped = np.concatenate([turned[:3], -turned[3:]])
    mean = mean_pose(np.array([turned, flipped]), np.array([0.5, 0.5]))
    np.testing.assert_allclose(turns_from(turned, np.array([mean, flipped])), 0.0, atol=1e-7)


@pytest.mark.parametrize('yaw', [-3.0, -0.2, 0.0, 1e-12, 0.2, 3.0])
def test_a_turn_is_its_axis_times_its_angle(yaw: float) -> None:
    np.testing.assert_allclose(turns_from(pose(0.0, 0.5), pose(9.0, 0.5 + yaw)[None]),
                               [[0.0, 0.0, yaw]], atol=1e-9)


def test_turns_are_about_the_axes_of_the_map() -> None:
    rolled = pose(0.0, np.pi / 2, 0.3)  # the body's x axis is the map's y
    np.testing.assert_allclose(turns_from(pose(0.0, np.pi / 2), rolled[None]),
                               [[0.0, 0.3, 0.0]], atol=1e-9)
