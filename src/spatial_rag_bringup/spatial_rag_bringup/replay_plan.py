"""From the arguments of replay.launch.py to a player, and to what the nodes must know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from spatial_rag_bringup.defaults import place_of
from spatial_rag_bringup.launch_arguments import number
from spatial_rag_bringup.nodes_to_start import NodeToStart
from spatial_rag_bringup.rosbag2 import has_rosbag2
from spatial_rag_bringup.topic_names import full_name, without_transport
from spatial_rag_core.data.bags.bag_roles import BagRoles, find_roles
from spatial_rag_core.data.bags.bag_source import BagSource
from spatial_rag_core.errors import BagError, ConfigurationError

START_TIMEOUT_SEC = 60.0
"""So long bag_replay waits for all nodes; then it plays for those that are there."""
_ROLES = {'image_topic': '/camera/image_raw', 'pose_topic': '/pose', 'odom_topic': '/odom',
          'actions_topic': '/actions', 'cmd_vel_topic': '/cmd_vel',
          'depth_topic': '/camera/depth/image_raw', 'proprio_topic': '/proprio'}
"""Launch argument → the name that stands for it where roles are found."""


@dataclass(frozen=True)
class ReplayPlan:
    """
    Who plays, and what follows from the recording.

    player: a node of ours, or the words of a command.  robot: arguments of robot.launch.py that
    the recording settles.  remark: what a user should know.
    """

    player: NodeToStart | tuple[str, ...]
    robot: Mapping[str, str]
    remark: str


def plan_replay(values: Mapping[str, str]) -> ReplayPlan:
    """
    values: arguments of the replay, and those of robot.launch.py that the user has given.

    The topics keep their recorded names, and the nodes listen there: whatever else looks at the
    recording finds it as on the robot.  Raises BagError, ConfigurationError.
    """
    path = Path(values['bag']).expanduser()
    uses_rosbag2 = _uses_rosbag2(values['player'], path)
    with BagSource(path) as bag:
        roles = find_roles(bag.topics, _chosen(bag, values))
        if roles.pose is None and values.get('pose_source') != 'tf':
            raise BagError(f'{path}: no pose (geometry_msgs/PoseStamped or nav_msgs/Odometry) in '
                           'it, and without places nothing can be remembered; record one too, '
                           'or take it from its transforms with pose_source:=tf')
        frame = bag.first(roles.pose.name).header.frame_id if roles.pose else ''
    robot = {**_topics(roles), **_sources(roles, frame),
             'image_reliability': _reliability(roles, uses_rosbag2), 'place': place_of(path)}
    settled = {name: value for name, value in robot.items() if not values.get(name)}
    player = _rosbag2(values, path) if uses_rosbag2 else _own(
        values, path, _listeners({**values, **settled}))
    return ReplayPlan(player, settled, f'{path}: camera {roles.camera.name}, pose '
                      f'{roles.pose.name if roles.pose else "of its transforms"}, actions '
                      + (roles.action.name if roles.action else 'derived from motion'))


def _uses_rosbag2(player: str, path: Path) -> bool:
    if player == 'rosbag2' and not has_rosbag2():
        raise ConfigurationError('player rosbag2 is not installed: install ros-<distribution>-'
                                 'ros2bag, or choose player:=bag_replay')
    return player == 'rosbag2' or (player == 'auto' and path.suffix != '.bag' and has_rosbag2())


def _chosen(bag: BagSource, values: Mapping[str, str]) -> dict[str, str]:
    """The user's own topics, as renamings to the contract's."""
    topics = {without_transport(topic.name): topic.name for topic in bag.topics}
    wanted = {argument: without_transport(full_name(values[argument], ''))
              for argument in _ROLES if argument in values}
    return {topics[topic]: _ROLES[argument] + topics[topic].removeprefix(topic)
            for argument, topic in wanted.items() if topic in topics}


def _topics(roles: BagRoles) -> dict[str, str]:
    found = {
        'image_topic': roles.camera, 'depth_topic': roles.depth, 'proprio_topic': roles.proprio,
        'odom_topic' if roles.pose_kind == 'odometry' else 'pose_topic': roles.pose,
        'cmd_vel_topic' if roles.action_kind == 'twist' else 'actions_topic': roles.action}
    return {argument: without_transport(topic.name) for argument, topic in found.items() if topic}


def _sources(roles: BagRoles, frame: str) -> dict[str, str]:
    action = {'actions': 'topic', 'twist': 'twist', None: 'motion'}[roles.action_kind]
    sources = {'action_source': action,
               'image_transport': 'compressed' if roles.compressed else 'raw'}
    if roles.pose_kind is not None:
        sources |= {'pose_source': roles.pose_kind, 'map_frame': frame}
    return sources


def _reliability(roles: BagRoles, uses_rosbag2: bool) -> str:
    """Ours sends reliably always; rosbag2 as the recorded publisher did."""
    is_reliable = roles.camera.reliable if uses_rosbag2 else True
    return 'reliable' if is_reliable else 'best_effort'


def _rosbag2(values: Mapping[str, str], path: Path) -> tuple[str, ...]:
    loop = ('--loop',) if values['loop'] == 'true' else ()
    return ('ros2', 'bag', 'play', str(path), '--rate', values['rate'],
            '--clock', values['clock_hz'], '--disable-keyboard-controls', *loop)


def _listeners(values: Mapping[str, str]) -> int:
    """
    Count the subscriptions of the nodes, for which the player waits.

    One to the pictures; of writer and retriever to the poses; of writer and predictor to the
    actions, or of the predictor to the poses, of which they come; the visualizer listens to
    that of which its actions come.
    """
    viewers = values.get('visualizer', 'true') == 'true'
    to_actions = 2 if values['action_source'] != 'motion' else 1
    return 1 + 2 + to_actions + viewers


def _own(values: Mapping[str, str], path: Path, listeners: int) -> NodeToStart:
    """At the root, for recorded names are absolute."""
    return NodeToStart('bag_replay_node', 'bag_replay', parameters={
        'path': str(path), 'loop': values['loop'] == 'true',
        'subscriptions_expected': listeners, 'subscriber_wait_sec': START_TIMEOUT_SEC,
        **{name: number(values, name, float) for name in ('rate', 'clock_hz')}})
