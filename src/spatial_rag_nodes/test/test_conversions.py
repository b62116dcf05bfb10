"""Messages to records and back, without loss."""

from __future__ import annotations

import math

from spatial_rag_core.errors import ActionError, PoseError
from spatial_rag_core.records import Hit, Memory, Pose, Position, Quaternion
from spatial_rag_nodes import conversions

from geometry_msgs.msg import PoseStamped, Twist
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


def test_a_hit_carries_the_whole_record() -> None:
    memory = Memory(
        id='01J', vector=np.arange(32, dtype=np.float32), pose=POSE, h3_cell='8d75',
        timestamp=1_700_000_000.25, model_id='author', action=np.float32([1, 2]), session='s',
        robot='r', map_id='m', labels=('door', 'red'), thumbnail=b'\xff\xd8')
    msg = conversions.msg_from_hit(Hit(memory, 0.5, math.nan), 'map')
    assert msg.distance == 0.5
    assert math.isnan(msg.separation_m)
    found = msg.memory
    assert found.header == Header(stamp=conversions.time_from_ns(1_700_000_000_250_000_000),
                                  frame_id='map')
    assert list(found.vector) == memory.vector.tolist()
    assert (found.id, found.model_id, found.h3_cell) == ('01J', 'author', '8d75')
    assert (found.session, found.robot, found.map_id) == ('s', 'r', 'm')
    assert (list(found.action), list(found.labels)) == ([1.0, 2.0], ['door', 'red'])
    assert bytes(found.thumbnail) == b'\xff\xd8'
    assert found.pose == conversions.msg_from_pose(POSE)


def test_no_memories_make_an_empty_matrix() -> None:
    from spatial_rag_msgs.msg import RetrievedMemories
    assert conversions.recollection_from_msg(RetrievedMemories(), 32).memories.shape == (0, 32)
