from __future__ import annotations

from dataclasses import replace
import math

from spatial_rag_core.data.episodes.model_steps import moments_per_step, step_actions
from spatial_rag_core.errors import ConfigurationError
from spatial_rag_core.records import Pose, Position, Quaternion
from spatial_rag_core.streams.motion import MotionActions, past_motion
from spatial_rag_core.streams.pose_buffer import PoseBuffer

import numpy as np
import pytest

from ..episode_samples import episode


def test_a_step_of_many_moments_takes_the_mean_of_their_commands() -> None:
    one = episode(length=11)
    expected = [one.actions[moment:moment + 4].mean(axis=0) for moment in range(11)]
    np.testing.assert_allclose(step_actions(one, 4), expected, atol=1e-6)
    np.testing.assert_allclose(step_actions(one, 1), one.actions, atol=1e-6)


def test_where_the_motion_is_all_that_is_known_a_step_takes_that_of_the_step_before() -> None:
    one = episode(length=11, actions_from='past motion')
    expected = [one.actions[0], *(one.actions[max(1, moment - 3):moment + 1].mean(axis=0)
                                  for moment in range(1, 11))]
    np.testing.assert_allclose(step_actions(one, 4), expected, atol=1e-6)


def test_the_motion_that_is_not_known_at_first_is_not_taken_for_standing_still() -> None:
    speed = np.full((11, 2), 0.5, np.float32)
    speed[0] = 0.0
    one = episode(length=11, actions=speed, actions_from='past motion')
    np.testing.assert_allclose(step_actions(one, 4), speed, atol=1e-6)


@pytest.mark.parametrize('every', [1, 4])
def test_no_step_of_past_motion_knows_what_comes(every: int) -> None:
    one = episode(length=30, actions_from='past motion')
    other = replace(one, actions=np.concatenate([one.actions[:15], one.actions[15:] + 1.0]))
    same = step_actions(one, every) == step_actions(other, every)
    assert same[:15].all()
    assert not same[15:].any()


def test_a_robot_takes_the_motion_that_training_took() -> None:
    """A drive at changing speed: what the predictor node asks for, and what a step is given."""
    stamps_ns = [1_000_000_000 + 50_000_000 * number for number in range(60)]
    poses = [Pose(Position(0.1 * number + 0.4 * math.sin(number / 5), 0.0, 0.0),
                  Quaternion(0.0, 0.0, 0.0, 1.0)) for number in range(60)]
    past = PoseBuffer()
    for stamp_ns, pose in zip(stamps_ns, poses, strict=True):
        past.insert(stamp_ns, pose)
    trained = step_actions(episode(
        length=60, actions=past_motion(poses, [0.05] * 59, 2), actions_from='past motion'), 4)
    robot = MotionActions(past, 2, window_sec=0.2)
    found = np.array([robot.at(stamp_ns) for stamp_ns in stamps_ns[4:]])
    np.testing.assert_allclose(trained[4:], found, atol=1e-5)


@pytest.mark.parametrize(('rate_hz', 'step_sec', 'moments'), [
    (5.0, 0.2, 1), (20.0, 0.2, 4), (29.97, 0.2, 6), (10.0, 1.0, 10)])
def test_a_step_is_a_whole_number_of_moments(rate_hz: float, step_sec: float,
                                             moments: int) -> None:
    assert moments_per_step(rate_hz, step_sec) == moments


@pytest.mark.parametrize(('rate_hz', 'remedy'), [
    (12.0, r'recordings with --rate-hz 10, give a folder pictures at 10 Hz'),
    (13.9, r'--rate-hz 10, '), (1.0, 'takes 5 or more; record faster')])
def test_a_rate_that_does_not_divide_the_step_names_one_that_does(rate_hz: float,
                                                                  remedy: str) -> None:
    with pytest.raises(ConfigurationError, match=f'{rate_hz:g} moments a second .* {remedy}'):
        moments_per_step(rate_hz, 0.2)
