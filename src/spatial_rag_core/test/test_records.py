from __future__ import annotations

import dataclasses
import math
import re
from typing import Any

from spatial_rag_core.errors import (
    ActionError,
    ConfigurationError,
    InputError,
    LatentError,
    PoseError,
)
from spatial_rag_core.records import (
    as_action,
    as_latent,
    Box,
    Memory,
    MemoryQuery,
    Pose,
    Position,
    Quaternion,
)

from hypothesis import assume, given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

NAN, INF = math.nan, math.inf
HERE = Pose(Position(1.0, 2.0, 3.0))
Z = np.zeros(4, np.float32)
reproducibly = settings(derandomize=True, deadline=None, database=None)


def test_a_pose_keeps_its_position_and_normalises_its_orientation() -> None:
    pose = Pose(Position(1, 2, 3), Quaternion(0.0, 0.0, 0.66, 0.88))
    assert pose.position == (1.0, 2.0, 3.0)
    assert pose.orientation == pytest.approx((0.0, 0.0, 0.6, 0.8))


@reproducibly
@given(st.tuples(*4 * [st.floats(-1.0, 1.0)]))
def test_an_orientation_is_of_unit_length_or_refused(values: tuple[float, ...]) -> None:
    norm = math.sqrt(sum(value * value for value in values))
    assume(not (0.899 < norm < 0.901 or 1.099 < norm < 1.101))
    if 0.9 < norm < 1.1:
        made = Pose(Position(0, 0), Quaternion(*values)).orientation
        assert math.sqrt(sum(value * value for value in made)) == pytest.approx(1.0, abs=1e-12)
    else:
        with pytest.raises(PoseError, match=r'has length .*; fill orientation \(w: 1\.0'):
            Pose(Position(0, 0), Quaternion(*values))


@pytest.mark.parametrize(('position', 'orientation', 'message'), [
    ((NAN, 0, 0), (0, 0, 0, 1), r'not finite: position \(nan, .*; check the localisation'),
    ((0, -INF, 0), (0, 0, 0, 1), r'not finite: position \(0\.0, -inf, .*; check the local'),
    ((0, 0, 0), (0, NAN, 0, 1), r'not finite: .* orientation \(0\.0, nan, .*; check the local'),
    ((0, 0, 0), (0, 0, 0, INF), r'not finite: .* orientation \(.* inf\); check the localis'),
    ((0, 0, 0), (0, 0, 0, 0), r'orientation \(0\.0, 0\.0, 0\.0, 0\.0\) has length 0, .*; fill'),
    ((0, 1.1e7, 0), (0, 0, 0, 1), r'11000000\.0, 0\.0\) m is more than 1e\+07 m .*; check'),
])
def test_a_pose_that_is_none_is_refused(
        position: tuple[float, ...], orientation: tuple[float, ...], message: str) -> None:
    with pytest.raises(PoseError, match=message):
        Pose(Position(*position), Quaternion(*orientation))


def test_a_vector_is_copied_to_float32() -> None:
    values = np.array([1.0, 2.0])
    z = as_latent(values, 2)
    values[0] = 9.0
    assert z.dtype == np.float32
    assert z.tolist() == [1.0, 2.0]
    assert as_action([3]).tolist() == [3.0]
    assert as_action((), 0).shape == (0,)


@pytest.mark.parametrize(('values', 'message'), [
    ([1.0, 2.0], r'has shape \[2\], expected \[3\] \({dim}\); .* must agree on {dim}'),
    ([[1.0, 2.0, 3.0]], r'has shape \[1, 3\], expected \[3\]'),
    (5.0, r'has shape \[\], expected \[3\]'),
    ([1.0, NAN, INF], r'is not finite: element 1 is nan; check the sender'),
    ([1.0, 2.0, -INF], r'is not finite: element 2 is -inf; check the sender'),
    ([1.0, 2.0, 1e300], r'is not finite: element 2 is inf; check the sender'),
    (['a', 'b', 'c'], r'is not a list of numbers \(.*\); check the sender'),
    ([[1.0], [2.0, 3.0], []], r'is not a list of numbers'),
    ([1.0, None, {}], r'is not a list of numbers'),
])
def test_a_vector_that_is_none_is_refused(values: Any, message: str) -> None:
    with pytest.raises(LatentError, match='latent ' + message.replace('{dim}', 'z_dim')):
        as_latent(values, 3)
    with pytest.raises(ActionError, match='action ' + message.replace('{dim}', 'action_dim')):
        as_action(values, 3)


def test_without_a_size_any_length_will_do_but_not_any_shape() -> None:
    assert len(as_latent(range(7))) == 7
    with pytest.raises(LatentError, match=r'shape \[2, 2\]'):
        as_latent([[1, 2], [3, 4]])


@pytest.mark.parametrize('timestamp', [NAN, INF])
def test_a_memory_of_no_moment_is_refused(timestamp: float) -> None:
    with pytest.raises(InputError, match=f'memory m has timestamp {timestamp}, .*check the clock'):
        Memory('m', Z, HERE, '8f', timestamp, 'model')


def test_records_do_not_change() -> None:
    memory = Memory('m', Z, HERE, '8f', 0.0, 'model')
    assert memory.position == (1.0, 2.0, 3.0)
    assert memory.orientation == (0.0, 0.0, 0.0, 1.0)
    for record, field in ((memory, 'id'), (HERE, 'position'), (MemoryQuery(vector=Z), 'k')):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(record, field, None)


@pytest.mark.parametrize(('low', 'high', 'message'), [
    ((0, 0, NAN), (1, 1, 1), 'box corners must be finite'),
    ((0, 0, 0), (1, INF, 1), 'box corners must be finite'),
    ((0, 2, 0), (1, 1, 1), r'low corner \(0, 2, 0\) m must not exceed high \(1, 1, 1\) m'),
])
def test_a_box_that_is_none_is_refused(
        low: tuple[float, ...], high: tuple[float, ...], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Box(Position(*low), Position(*high))


def test_a_box_may_be_a_point() -> None:
    assert Box(Position(1, 1, 1), Position(1, 1, 1)).low == (1, 1, 1)


@pytest.mark.parametrize(('fields', 'message'), [
    ({'k': 0}, 'k must lie between 1 and 10000, got 0'),
    ({'k': 10_001}, 'k must lie between 1 and 10000, got 10001'),
    ({'radius_m': 0.0}, 'radius_m must lie in (0, 1e+07] m, got 0.0'),
    ({'radius_m': NAN}, 'radius_m must lie in (0, 1e+07] m, got nan'),
    ({'radius_m': INF}, 'radius_m must lie in (0, 1e+07] m, got inf'),
    ({'min_age_sec': -1.0}, 'min_age_sec must be >= 0 s, got -1.0'),
    ({'min_age_sec': NAN}, 'min_age_sec must be >= 0 s, got nan'),
    ({'min_age_sec': 5.0}, 'min_age_sec 5.0 needs a timestamp'),
    ({'timestamp': NAN}, 'timestamp must be a Unix time [s], got nan'),
    ({'after': -INF}, 'after must be a Unix time [s], got -inf'),
    ({'before': NAN}, 'before must be a Unix time [s], got nan'),
    ({'after': 2.0, 'before': 1.0}, 'after 2.0 s must not exceed before 1.0 s; swap the two'),
    ({'rank_by': 'age'}, "rank_by must be 'latent' or 'pose', got 'age'"),
    ({'vector': None}, "rank_by 'latent' needs a vector; or use rank_by 'pose'"),
    ({'pose': None, 'rank_by': 'pose'}, "rank_by 'pose' needs a pose; or use rank_by 'latent'"),
    ({'pose': None, 'radius_m': 2.0}, 'radius_m 2.0 needs a pose to lie around'),
    ({'radius_m': 2.0, 'box': Box(HERE.position, HERE.position)},
     'give radius_m or box, not both'),
])
def test_a_question_that_contradicts_itself_is_refused(
        fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(message)):
        MemoryQuery(**{'vector': Z, 'pose': HERE, **fields})


def test_a_question_by_pose_needs_no_latent() -> None:
    assert MemoryQuery(pose=HERE, rank_by='pose').vector is None
