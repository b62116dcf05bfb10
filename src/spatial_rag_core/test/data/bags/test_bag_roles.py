from spatial_rag_core.data.bags.bag_roles import (
    ACTIONS,
    COMPRESSED_IMAGE,
    find_roles,
    IMAGE,
    ODOMETRY,
    POSE,
    TWIST,
)
from spatial_rag_core.data.bags.bag_source import BagTopic
from spatial_rag_core.errors import BagError

from hypothesis import given
from hypothesis import strategies as st
import pytest


def topics(**types: str) -> list[BagTopic]:
    """Name topics by keywords, with __ for a slash."""
    return [BagTopic('/' + name.replace('__', '/'), msgtype, 10)
            for name, msgtype in types.items()]


def name_of(topic: BagTopic | None) -> str | None:
    return topic.name if topic else None


CONTRACT = topics(camera__image_raw=IMAGE, camera__depth__image_raw=IMAGE, pose=POSE,
                  actions=ACTIONS, proprio=ACTIONS)


def test_contract_names_win_over_all_others() -> None:
    others = topics(front__rgb__image_raw=IMAGE, other_pose=POSE, odom=ODOMETRY, cmd_vel=TWIST,
                    scores=ACTIONS, back__depth=IMAGE)
    roles = find_roles(others + CONTRACT)
    assert roles.camera.name == '/camera/image_raw'
    assert name_of(roles.depth) == '/camera/depth/image_raw'
    assert name_of(roles.pose) == '/pose'
    assert name_of(roles.action) == '/actions'
    assert (roles.compressed, roles.pose_kind, roles.action_kind) == (False, 'pose', 'actions')


@given(st.permutations(CONTRACT))
def test_the_order_of_topics_does_not_matter(shuffled: list[BagTopic]) -> None:
    assert find_roles(shuffled) == find_roles(CONTRACT)


def test_a_camera_alone_is_enough() -> None:
    roles = find_roles(topics(camera__image_raw__compressed=COMPRESSED_IMAGE))
    assert roles.compressed
    assert roles.depth is roles.pose is roles.action is None
    assert roles.pose_kind is roles.action_kind is None


def test_odometry_and_twist_serve_where_there_is_nothing_else() -> None:
    roles = find_roles(topics(image=IMAGE, base__odometry=ODOMETRY, base__cmd=TWIST))
    assert name_of(roles.pose) == '/base/odometry'
    assert (roles.pose_kind, roles.action_kind) == ('odometry', 'twist')


def test_a_realsense_recording_needs_no_remap() -> None:
    roles = find_roles(topics(
        d435__color__image_raw=IMAGE, d435__color__image_raw__compressed=COMPRESSED_IMAGE,
        d435__infra1__image_rect_raw=IMAGE, d435__depth__image_rect_raw=IMAGE,
        d435__aligned_depth_to_color__image_raw=IMAGE, odom=ODOMETRY))
    assert roles.camera.name == '/d435/color/image_raw'
    assert name_of(roles.depth) == '/d435/aligned_depth_to_color/image_raw'


def test_a_topic_without_messages_plays_no_role() -> None:
    silent = BagTopic('/camera/image_raw', IMAGE, 0)
    roles = find_roles([silent, *topics(camera__image_raw__compressed=COMPRESSED_IMAGE)])
    assert roles.camera.name == '/camera/image_raw/compressed'


def test_a_depth_topic_is_no_camera() -> None:
    with pytest.raises(BagError, match='no camera topic'):
        find_roles(topics(kinect__Depth__image=IMAGE))


def test_without_pictures_the_error_lists_what_there_is() -> None:
    with pytest.raises(BagError, match=r'/pose \(geometry_msgs/msg/PoseStamped, 10\)'):
        find_roles(topics(pose=POSE))
    with pytest.raises(BagError, match='it has none'):
        find_roles([])


@pytest.mark.parametrize(('recorded', 'remap'), [
    (topics(left__image_raw=IMAGE, right__image_raw=IMAGE),
     'REMAP="/left/image_raw:=/camera/image_raw"'),
    (topics(image=IMAGE, amcl=POSE, slam=POSE), 'REMAP="/amcl:=/pose"'),
    (topics(image=IMAGE, ekf=ODOMETRY, wheels=ODOMETRY), 'REMAP="/ekf:=/odom"'),
    (topics(image=IMAGE, joy_vel=TWIST, nav_vel=TWIST), 'REMAP="/joy_vel:=/cmd_vel"')])
def test_several_candidates_are_listed_with_the_remap_that_decides(
        recorded: list[BagTopic], remap: str) -> None:
    with pytest.raises(BagError) as caught:
        find_roles(recorded)
    assert remap in str(caught.value)
    assert all(topic.name in str(caught.value) for topic in recorded if topic.name != '/image')


def test_a_remap_decides_and_the_recorded_name_stays() -> None:
    recorded = topics(left__image_raw__compressed=COMPRESSED_IMAGE, right__image_raw=IMAGE)
    roles = find_roles(recorded, {'/left/image_raw/compressed': '/camera/image_raw'})
    assert roles.camera.name == '/left/image_raw/compressed'
    assert roles.compressed


def test_a_remap_of_an_unknown_topic_is_refused() -> None:
    with pytest.raises(BagError, match="'/imag', which is not in the recording; it has /image"):
        find_roles(topics(image=IMAGE), {'/imag': '/camera/image_raw'})


def test_a_goal_is_no_pose_and_the_proprio_no_action() -> None:
    roles = find_roles(topics(image=IMAGE, goal_pose=POSE, odom=ODOMETRY, proprio=ACTIONS))
    assert name_of(roles.pose) == '/odom'
    assert roles.action is None


def test_transforms_are_those_of_the_contract_or_of_the_only_robot_in_a_namespace() -> None:
    def of(**recorded: str) -> tuple[str | None, str | None]:
        roles = find_roles(topics(image=IMAGE, **recorded))
        return name_of(roles.tf), name_of(roles.tf_static)
    transforms = 'tf2_msgs/msg/TFMessage'
    assert of(tf=transforms, tf_static=transforms, r1__tf=transforms) == ('/tf', '/tf_static')
    assert of(r1__tf=transforms, r1__tf_static=transforms) == ('/r1/tf', '/r1/tf_static')
    assert of(r1__tf=transforms, r2__tf=transforms) == (None, None)


def test_where_no_pose_topic_is_wanted_several_are_no_trouble() -> None:
    roles = find_roles(topics(image=IMAGE, ekf=ODOMETRY, wheels=ODOMETRY), pose_topic=False)
    assert roles.pose is None
