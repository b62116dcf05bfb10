from __future__ import annotations

import math

from spatial_rag_core.data.episodes.episode import Episode
from spatial_rag_core.errors import InputError

import numpy as np
import pytest

from ..episode_samples import episode


def with_value(array: np.ndarray | None, moment: int, value: float) -> np.ndarray:
    assert array is not None
    changed = array.copy()
    changed[moment, ..., 0] = value
    return changed


PLAIN = episode(length=4)


@pytest.mark.parametrize(('changes', 'message'), [
    ({'rgb': PLAIN.rgb.astype(np.float32)}, 'rgb is float32, expected uint8'),
    ({'rgb': PLAIN.rgb[:, :4]}, r'rgb has shape \[4, 4, 8, 3\], expected'),
    ({'rgb': PLAIN.rgb[:0]}, 'rgb has shape'),
    ({'actions': PLAIN.actions[:3]}, r'actions has shape \[3, 2\], expected \[4, any\]'),
    ({'actions': with_value(PLAIN.actions, 2, math.nan)}, 'actions is not finite at moment 2'),
    ({'actions': [['left']] * 4}, 'actions is no table of numbers'),
    ({'poses': PLAIN.poses[:, :6]}, r'poses has shape \[4, 6\], expected \[4, 7\]'),
    ({'poses': with_value(PLAIN.poses, 3, math.inf)}, 'poses is not finite at moment 3'),
    ({'poses': with_value(PLAIN.poses, 1, 2e7)}, 'poses: moment 1 is 2e.07 m from the map'),
    ({'poses': np.zeros((4, 7))}, 'the quaternion of moment 0 has length 0'),
    ({'stamps': PLAIN.stamps[::-1]}, 'stamps must ascend: moment 1 is at'),
    ({'stamps': PLAIN.stamps[:2].repeat(2)}, 'stamps must ascend: moment 1 .* 0 s before'),
    ({'stamps': PLAIN.stamps[0] + np.array([0.0, 0.2, 0.9, 1.1])},
     'stamps 1 and 2 are 0.700 s apart, rate_hz 5 means 0.200 s'),
    ({'rate_hz': 0.0}, 'rate_hz must be > 0, got 0'),
    ({'rate_hz': math.nan}, 'rate_hz must be > 0, got nan'),
    ({'depth_m': np.full((4, 8, 8), -0.5)}, 'depth_m holds -0.5 m; it must be >= 0'),
    ({'depth_m': np.zeros((4, 8, 4))}, r'depth_m has shape \[4, 8, 4\]'),
    ({'actions_from': 'guesses'}, "actions_from must be one of .* got 'guesses'"),
    ({'proprio': np.zeros(4)}, r'proprio has shape \[4\], expected \[4, any\]'),
])
def test_what_cannot_be_used_is_named(changes: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        episode(length=4, **changes)


def test_quaternions_get_length_one_and_what_was_given_stays_as_it_was() -> None:
    poses = PLAIN.poses * np.array([1, 1, 1, 1.05, 1.05, 1.05, 1.05])
    before = poses.copy()
    made = episode(length=4, poses=poses)
    assert np.allclose(np.linalg.norm(made.poses[:, 3:], axis=1), 1.0, atol=1e-15)
    assert np.array_equal(poses, before)


def test_a_single_moment_without_depth_and_proprioception_is_an_episode() -> None:
    made = Episode('', PLAIN.rgb[:1], PLAIN.actions[:1], PLAIN.poses[:1], PLAIN.stamps[:1], 5.0)
    assert (len(made), made.depth_m, made.proprio) == (1, None, None)
    assert made.memory_bytes == 8 * 8 * 3 + 2 * 4 + 7 * 8 + 8
