"""Messages to records and back, without loss."""

from __future__ import annotations

import math
from typing import Any

from spatial_rag_core.errors import ActionError, ConfigurationError, LatentError, PoseError
from spatial_rag_core.records import (
    Box,
    Hit,
    Memory,
    MemoryQuery,
    MemorySelection,
    Pose,
    Position,
    Quaternion,
)
from spatial_rag_msgs.msg import RetrievedMemories
from spatial_rag_msgs.srv import ForgetMemories, QueryMemory, QueryMemoryByImage
from spatial_rag_nodes import conversions

from geometry_msgs.msg import Point, PoseStamped, Twist
from nav_msgs.msg import Odometry
import numpy as np
import pytest
from std_msgs.msg import Float32MultiArray, Header, MultiArrayLayout

POSE = Pose(Position(1.0, -2.0, 0.5), Quaternion(0.0, 0.0, math.sqrt(0.5), math.sqrt(0.5)))


@pytest.mark.parametrize('stamp_ns', [0, 1, 999_999_999, 1_700_000_000_123_456_789])
def test_stamps_come_back_to_the_nanosecond(stamp_ns: int) -> None:
    assert conversions.ns_from_time(conversions.time_from_ns(stamp_ns)) == stamp_ns


def test_a_pose_comes_back_from_either_message() -> None:
    header = Header(frame_id='map')
    msg = conversions.msg_from_pose(POSE)
    odometry = Odometry(header=header)
    odometry.pose.pose = msg
    for stamped in (PoseStamped(header=header, pose=msg), odometry):
        found = conversions.map_pose_from_msg(stamped, 'map')
        assert found.position == POSE.position
        assert found.orientation == pytest.approx(POSE.orientation)
        with pytest.raises(PoseError, match="'map', the memory in 'world'"):
            conversions.map_pose_from_msg(stamped, 'world')


def test_an_action_is_read_from_array_and_twist() -> None:
    array = Float32MultiArray(layout=MultiArrayLayout(data_offset=1), data=[9.0, 0.5, -0.25])
    assert conversions.action_from_msg(array, 2).tolist() == [0.5, -0.25]
    twist = Twist()
    twist.linear.x, twist.linear.y, twist.angular.z = 1.0, 2.0, 3.0
    assert conversions.action_from_msg(twist, 2).tolist() == [1.0, 3.0]
    assert conversions.action_from_msg(twist, 3).tolist() == [1.0, 2.0, 3.0]
    assert conversions.action_from_msg(twist, 6).tolist() == [1.0, 2.0, 0.0, 0.0, 0.0, 3.0]
    with pytest.raises(ActionError, match='action_dim is 4'):
        conversions.action_from_msg(twist, 4)


MEMORY = Memory(
    id='01J', vector=np.arange(32, dtype=np.float32), pose=POSE, h3_cell='8d75',
    timestamp=1_700_000_000.25, model_id='author', action=np.float32([1, 2]), session='s',
    robot='r', map_id='m', labels=('door', 'red'), thumbnail=b'\xff\xd8')


def test_a_hit_carries_the_whole_record() -> None:
    msg = conversions.msg_from_hit(Hit(MEMORY, 0.5, math.nan), 'map')
    assert msg.distance == 0.5
    assert math.isnan(msg.separation_m)
    found = msg.memory
    assert found.header == Header(stamp=conversions.time_from_ns(1_700_000_000_250_000_000),
                                  frame_id='map')
    assert list(found.vector) == MEMORY.vector.tolist()
    assert (found.id, found.model_id, found.h3_cell) == ('01J', 'author', '8d75')
    assert (found.session, found.robot, found.map_id) == ('s', 'r', 'm')
    assert (list(found.action), list(found.labels)) == ([1.0, 2.0], ['door', 'red'])
    assert bytes(found.thumbnail) == b'\xff\xd8'
    assert found.pose == conversions.msg_from_pose(POSE)


def test_a_memory_comes_back_from_its_message() -> None:
    found = conversions.memory_from_msg(conversions.msg_from_memory(MEMORY, 'map'), 32)
    for name, value in vars(MEMORY).items():
        back = getattr(found, name)
        if name == 'pose':
            assert back.position == value.position
            assert back.orientation == pytest.approx(value.orientation)
        else:
            assert np.array_equal(back, value), name


def retrieved(pose_valid: bool, *memories: Memory) -> RetrievedMemories:
    return RetrievedMemories(
        header=Header(stamp=conversions.time_from_ns(7)), pose_valid=pose_valid,
        pose=conversions.msg_from_pose(POSE),
        memories=[conversions.msg_from_hit(Hit(m, 0.0, 0.0), 'map') for m in memories])


def test_what_was_retrieved_comes_with_the_askers_pose() -> None:
    found = conversions.recollection_from_msg(retrieved(True, MEMORY, MEMORY), 32)
    assert (found.stamp_ns, found.pose.position) == (7, POSE.position)
    assert [memory.id for memory in found.memories] == ['01J', '01J']
    assert conversions.recollection_from_msg(retrieved(True), 32).memories == ()


def test_without_the_askers_pose_nothing_was_retrieved() -> None:
    msg = retrieved(False, MEMORY)
    msg.pose.orientation.w = math.nan  # meaningless, and so not read
    assert conversions.recollection_from_msg(msg, 32).memories == ()


@pytest.mark.parametrize(('name', 'value', 'error'), [
    ('vector', [1.0], LatentError), ('vector', [math.nan] * 32, LatentError),
    ('action', [math.inf], ActionError)])
def test_a_memory_that_cannot_be_used_is_refused(
        name: str, value: list[float], error: type[Exception]) -> None:
    msg = retrieved(True, MEMORY)
    setattr(msg.memories[0].memory, name, value)
    with pytest.raises(error):
        conversions.recollection_from_msg(msg, 32)


@pytest.mark.parametrize('z_dim', [32, None])
def test_a_latent_of_another_length_is_refused_where_one_is_expected(z_dim: int | None) -> None:
    header = Header(stamp=conversions.time_from_ns(7))
    msg = conversions.msg_from_latent(np.zeros(32, np.float32), header, 'author')
    assert conversions.sample_from_msg(msg, z_dim).stamp_ns == 7
    with pytest.raises(LatentError, match=r'\[32\], expected \[16\]'):
        conversions.sample_from_msg(msg, 16)


AT_POSE = PoseStamped(header=Header(frame_id='map'), pose=conversions.msg_from_pose(POSE))
STAMP = conversions.time_from_ns(5_500_000_000)
BOX = Box(Position(-1.0, -2.0, -3.0), Position(1.0, 2.0, 3.0))
CORNERS = {'use_box': True, 'box_min': Point(x=-1.0, y=-2.0, z=-3.0),
           'box_max': Point(x=1.0, y=2.0, z=3.0)}


@pytest.mark.parametrize(('fields', 'expected'), [
    ({'k': 3}, {'k': 3}),
    ({'metric': 1}, {'metric': 'cosine'}),
    ({'diversity': 0.5}, {'diversity': 0.5}),
    ({'model_id': 'author'}, {'model_id': 'author'}),
    (CORNERS, {'box': BOX}),
    ({'pose': AT_POSE}, {'pose': POSE}),
    ({'pose': AT_POSE, 'radius_m': 2.5}, {'pose': POSE, 'radius_m': 2.5}),
    ({'pose': AT_POSE, 'use_max_dz': True}, {'pose': POSE, 'max_dz_m': 0.0}),
    ({'pose': AT_POSE, 'max_dz': 1.5}, {'pose': POSE}),
    ({'pose': AT_POSE, 'use_max_dz': True, 'max_dz': 1.5}, {'pose': POSE, 'max_dz_m': 1.5}),
    ({'rank_by': 1, 'pose': AT_POSE}, {'rank_by': 'pose', 'pose': POSE}),
    ({'min_age_sec': 2.0}, {'min_age_sec': 2.0}),
    ({'after': STAMP, 'before': STAMP}, {'after': 5.5, 'before': 5.5}),
    ({'session': 's', 'robot': 'r', 'map_id': 'm', 'labels': ['door', 'red']},
     {'session': 's', 'robot': 'r', 'map_id': 'm', 'labels': ('door', 'red')}),
])
def test_each_field_of_a_query_request_is_that_of_the_query(
        fields: dict[str, Any], expected: dict[str, Any]) -> None:
    request = QueryMemory.Request(latent=[1.0, 2.0], **fields)
    query = conversions.query_from_request(request, 'map', default_k=9, now_sec=77.0)
    assert query.vector is not None
    assert query.vector.tolist() == [1.0, 2.0]
    plain = MemoryQuery(**{'k': 9, 'timestamp': 77.0, 'vector': query.vector, **expected})
    assert {**vars(query), 'pose': None} == {**vars(plain), 'pose': None}
    assert (query.pose is None) == (plain.pose is None)


@pytest.mark.parametrize(('fields', 'reason'), [
    ({'rank_by': 2}, r'rank_by must be one of 0 \(latent\), 1 \(pose\), got 2'),
    ({'metric': 2}, r'metric must be one of 0 \(l2\), 1 \(cosine\), got 2'),
    ({'diversity': 1.5}, r'diversity must lie in \[0, 1\], got 1.5'),
    ({'diversity': math.nan}, 'diversity must lie'),
    ({'use_max_dz': True, 'max_dz': 1.0}, 'max_dz_m 1.0 needs a pose'),
    ({'labels': ['']}, 'labels must be a tuple of words'),
])
def test_a_query_out_of_range_is_refused_with_the_field(
        fields: dict[str, Any], reason: str) -> None:
    request = QueryMemory.Request(latent=[1.0, 2.0], **fields)
    with pytest.raises(ConfigurationError, match=reason):
        conversions.query_from_request(request, 'map', default_k=9, now_sec=77.0)


def test_a_query_by_image_looks_around_its_pose_or_everywhere() -> None:
    z = np.float32([1, 2])
    request = QueryMemoryByImage.Request(radius_m=3.0, session='s', map_id='m', diversity=0.5)
    query = conversions.query_from_image_request(request, 'map', 9, z, 'author')
    assert (query.k, query.pose, query.radius_m) == (9, None, None)
    assert (query.session, query.map_id, query.diversity) == ('s', 'm', 0.5)
    assert (query.vector is z, query.model_id) == (True, 'author')
    request.pose, request.k = AT_POSE, 4
    query = conversions.query_from_image_request(request, 'map', 9, z, 'author')
    assert query.pose is not None
    assert (query.k, query.pose.position, query.radius_m) == (4, POSE.position, 3.0)


@pytest.mark.parametrize(('fields', 'expected'), [
    ({'ids': ['a', 'b']}, {'ids': ('a', 'b')}),
    ({'session': 's', 'robot': 'r', 'map_id': 'm', 'labels': ['door']},
     {'session': 's', 'robot': 'r', 'map_id': 'm', 'labels': ('door',)}),
    ({'after': STAMP}, {'after': 5.5}),
    ({'before': STAMP}, {'before': 5.5}),
    ({'center': Point(x=1.0, y=2.0, z=3.0), 'radius_m': 4.0},
     {'center': Position(1.0, 2.0, 3.0), 'radius_m': 4.0}),
    (CORNERS, {'box': BOX}),
    ({'everything': True}, {'everything': True}),
])
def test_each_field_of_a_forget_request_is_that_of_the_selection(
        fields: dict[str, Any], expected: dict[str, Any]) -> None:
    request = ForgetMemories.Request(**fields)
    assert conversions.selection_from_request(request) == MemorySelection(**expected)


@pytest.mark.parametrize(('fields', 'reason'), [
    ({}, 'nothing is selected'),
    ({'center': Point(x=1.0)}, 'nothing is selected'),
    ({'radius_m': -1.0}, 'radius_m must lie in'),
    ({'radius_m': math.nan}, 'radius_m must lie in'),
    ({'use_box': True, 'box_min': Point(x=1.0)}, 'low corner'),
])
def test_a_forget_request_that_names_nothing_or_nonsense_is_refused(
        fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        conversions.selection_from_request(ForgetMemories.Request(**fields))
