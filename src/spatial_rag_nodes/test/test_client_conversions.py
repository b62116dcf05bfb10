from __future__ import annotations

from dataclasses import asdict

from spatial_rag_core.errors import ConfigurationError
from spatial_rag_core.memory.answering.relocalization import PoseHypothesis
from spatial_rag_core.records import (
    Box,
    MemoryQuery,
    MemorySelection,
    Pose,
    Position,
    Quaternion,
)
from spatial_rag_msgs.srv import ForgetMemories, LabelMemories, Relocalize
from spatial_rag_nodes.client_conversions import (
    fill_selection,
    request_from_query,
    stamped_pose,
)
from spatial_rag_nodes.conversions import (
    query_from_request,
    selection_from_request,
    time_from_seconds,
)
from spatial_rag_nodes.place_conversions import (
    hypothesis_from_msg,
    msg_from_hypothesis,
    query_from_relocalize,
)

import numpy as np
import pytest

T0 = 1_700_000_000.5
HERE = Pose(Position(1.0, 2.0, 3.0), Quaternion(0.0, 0.6, 0.0, 0.8))
Z = np.float32([1.0, -2.0])


@pytest.mark.parametrize('query', [
    MemoryQuery(3, Z, model_id='author', metric='cosine', diversity=0.5),
    MemoryQuery(7, pose=HERE, rank_by='pose', radius_m=2.5, max_dz_m=0.0, newest_only=True,
                min_age_sec=4.0, timestamp=T0, after=T0 - 10, before=T0 + 10),
    MemoryQuery(1, Z, box=Box(Position(-1.0, -2.0, -3.0), Position(4.0, 5.0, 6.0)),
                session='s', robot='r', map_id='m', labels=('a', 'b'), timestamp=T0)],
    ids=['latent', 'pose', 'box and words'])
def test_a_query_comes_through_as_it_was_asked(query: MemoryQuery) -> None:
    request = request_from_query(query, 'map', with_thumbnails=True)
    assert request.with_thumbnails
    found = asdict(query_from_request(request, 'map', 99, T0))
    expected = asdict(query) | {'timestamp': T0}
    for fields in (found, expected):
        fields['vector'] = None if fields['vector'] is None else fields['vector'].tolist()
        fields['diversity'] = round(fields['diversity'], 6)
    assert found == expected


@pytest.mark.parametrize('kind', [ForgetMemories, LabelMemories])
@pytest.mark.parametrize('selection', [
    MemorySelection(ids=('a', 'b'), labels=('door',)),
    MemorySelection(session='s', robot='r', map_id='m', after=T0, before=T0 + 1),
    MemorySelection(center=Position(1.0, 2.0, 3.0), radius_m=4.0),
    MemorySelection(box=Box(Position(0.0, 0.0), Position(1.0, 1.0))),
    MemorySelection(everything=True)])
def test_a_selection_comes_through_as_it_was_meant(
        kind: type, selection: MemorySelection) -> None:
    request = kind.Request()
    fill_selection(request, selection)
    assert selection_from_request(request) == selection


def test_a_time_that_a_request_cannot_say_is_refused() -> None:
    with pytest.raises(ConfigurationError, match='must not be 0 s'):
        fill_selection(ForgetMemories.Request(), MemorySelection(after=0.0))


def test_a_hypothesis_comes_through() -> None:
    place = PoseHypothesis(HERE, 'hall', np.arange(36.0).reshape(6, 6), 0.5, 0.25, ('a', 'b'))
    msg = msg_from_hypothesis(place, 'map')
    assert msg.header.frame_id == 'map'
    found = hypothesis_from_msg(msg)
    assert found.pose == HERE
    assert found.covariance.tolist() == place.covariance.tolist()
    assert (found.map_id, found.score, found.distance, found.memory_ids) == (
        'hall', 0.5, 0.25, ('a', 'b'))


def test_a_robot_that_is_lost_asks_everywhere() -> None:
    query = query_from_relocalize(Relocalize.Request(radius_m=3.0), 'map', Z, 'author')
    assert (query.k, query.pose, query.radius_m, query.model_id) == (32, None, None, 'author')


def test_where_and_when_it_may_be_narrows_the_question() -> None:
    query = query_from_relocalize(
        Relocalize.Request(pose=stamped_pose(HERE, 'map'), radius_m=3.0, k=5, map_id='hall',
                           before=time_from_seconds(T0), labels=['door']), 'map', Z, '')
    assert (query.k, query.pose, query.radius_m) == (5, HERE, 3.0)
    assert (query.map_id, query.before, query.labels) == ('hall', T0, ('door',))
    assert query.model_id is None
