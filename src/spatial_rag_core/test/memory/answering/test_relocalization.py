from __future__ import annotations

import math

from spatial_rag_core.errors import ConfigurationError
from spatial_rag_core.memory.answering.relocalization import pose_hypotheses
from spatial_rag_core.records import as_latent, Hit, Memory, Pose, Position, Quaternion

import numpy as np
import pytest


def hit(name: str, x: float, distance: float, yaw_deg: float = 0.0, map_id: str = '') -> Hit:
    half = math.radians(yaw_deg) / 2
    pose = Pose(Position(x, 0.0), Quaternion(0.0, 0.0, math.sin(half), math.cos(half)))
    return Hit(Memory(name, as_latent([0.0]), pose, '', 0.0, 'model', map_id=map_id), distance,
               math.nan)


def test_nothing_remembered_is_no_place() -> None:
    assert pose_hypotheses([]) == []


def test_memories_that_lie_together_are_one_place_at_their_mean() -> None:
    here, there = pose_hypotheses([hit('a', 1.0, 1.0), hit('b', 1.1, 1.0), hit('far', 7.0, 2.0)])
    assert here.memory_ids == ('a', 'b')
    assert here.pose.position.x == pytest.approx(1.05)
    assert here.distance == 1.0
    assert there.memory_ids == ('far',)
    assert here.score + there.score == pytest.approx(1.0)
    assert here.score > 0.99


def test_many_that_look_like_it_a_little_less_outweigh_a_single_one() -> None:
    crowd = [hit(f'crowd{i}', 5.0 + 0.02 * i, 1.1) for i in range(6)]
    best, *_ = pose_hypotheses([hit('single', 0.0, 1.0), *crowd, hit('last', 9.0, 3.0)])
    assert 'crowd0' in best.memory_ids
    assert best.distance == 1.1


def test_views_of_one_spot_in_two_directions_are_two_places() -> None:
    found = pose_hypotheses([hit('a', 0.0, 1.0), hit('b', 0.0, 1.2, yaw_deg=90.0)])
    assert [place.memory_ids for place in found] == [('a',), ('b',)]


def test_the_same_coordinates_on_two_maps_are_two_places() -> None:
    found = pose_hypotheses([hit('a', 0.0, 1.0, map_id='hall'),
                             hit('b', 0.0, 1.2, map_id='cellar')])
    assert [place.map_id for place in found] == ['hall', 'cellar']


def test_places_are_few_and_come_best_first() -> None:
    found = pose_hypotheses([hit(str(i), float(i), 1.0 + i) for i in range(9)], most=3)
    assert [place.memory_ids for place in found] == [('0',), ('1',), ('2',)]
    assert found[0].score > found[1].score > found[2].score


def test_equal_distances_are_equal_evidence() -> None:
    found = pose_hypotheses([hit(str(i), float(i), 0.0) for i in range(4)])
    assert [place.score for place in found] == pytest.approx([0.25] * 4)


def test_a_wider_place_is_less_certain_and_one_memory_is_not_certain() -> None:
    [alone] = pose_hypotheses([hit('a', 0.0, 1.0)])
    [wide] = pose_hypotheses([hit('a', -0.15, 1.0), hit('b', 0.15, 1.0)])
    assert math.sqrt(alone.covariance[0, 0]) == pytest.approx(0.25)
    assert wide.covariance[0, 0] == pytest.approx(0.25**2 + 0.15**2)
    assert np.linalg.eigvalsh(wide.covariance).min() > 0.0


@pytest.mark.parametrize('most', [0, 101])
def test_an_absurd_number_of_places_is_refused(most: int) -> None:
    with pytest.raises(ConfigurationError, match=f'between 1 and 100, got {most}'):
        pose_hypotheses([], most)
