"""The arguments of the launch files: names, defaults, choices, descriptions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, TypeVar

from spatial_rag_core.errors import ConfigurationError

Number = TypeVar('Number', int, float)


class Argument(NamedTuple):
    """
    A launch argument.

    default: None where it must be given.  choices: the words allowed; empty: any.
    """

    name: str
    default: str | None
    description: str
    choices: tuple[str, ...] = ()


def number(values: Mapping[str, str], name: str, kind: type[Number]) -> Number:
    """The argument as int or float; raises ConfigurationError."""
    try:
        return kind(values[name])
    except ValueError:
        what = 'a whole number' if kind is int else 'a number'
        raise ConfigurationError(f'{name} must be {what}, got {values[name]!r}') from None


def _flag(name: str, default: str, description: str) -> Argument:
    return Argument(name, default, description, ('true', 'false'))


def _of_file(name: str, description: str, *choices: str) -> Argument:
    """A parameter that the parameter file holds, too; where it is given it wins."""
    return Argument(name, '', f'{description}; empty: as the parameters say',
                    ('', *choices) if choices else ())


NAMESPACE = Argument('namespace', '', 'Namespace of all nodes, topics and services')
SIM_TIME = _flag('use_sim_time', 'false', 'Take the time from /clock (simulator, bag)')
LOG_LEVEL = Argument('log_level', 'info', 'Log level of all nodes',
                     ('debug', 'info', 'warn', 'error', 'fatal'))
ENCLAVES = Argument('enclaves', '', 'SROS2: where in the keystore each process finds its enclave, '
                    '/spatial_rag for that of security/policy.xml, /NAMESPACE/spatial_rag in a '
                    'namespace; empty: none is named')
PROFILE = Argument('profile', 'cpu', 'Parameters of which kind of robot: '
                   'config/PROFILE.yaml of this package', ('cpu', 'jetson', 'sim'))

PARAMETERS = (
    PROFILE,
    Argument('params_file', '', 'Parameters of the nodes (YAML); empty: those of the profile'),
)

TRANSFORMS = (
    Argument('tf_topic', 'tf', 'Transforms, for pose_source tf; as in Nav2 each robot in a '
             'namespace has its own. Robots that share a tree: /tf, each with frames of its own '
             '(base_frame)'),
    Argument('tf_static_topic', 'tf_static', 'Transforms that never change; for robots that '
             'share a tree: /tf_static'),
)

TOPICS = (
    Argument('image_topic', 'camera/image_raw', 'Pictures (sensor_msgs/Image; with '
             'image_transport compressed CompressedImage on …/compressed)'),
    Argument('depth_topic', 'camera/depth/image_raw', 'Depth maps, for a model that uses them'),
    Argument('pose_topic', 'pose', 'Poses in the map (geometry_msgs/PoseStamped), for '
             'pose_source pose'),
    Argument('odom_topic', 'odom', 'Poses in the map (nav_msgs/Odometry), for pose_source '
             'odometry'),
    Argument('actions_topic', 'actions', 'Actions (std_msgs/Float32MultiArray), for '
             'action_source topic'),
    Argument('cmd_vel_topic', 'cmd_vel', 'Velocities (geometry_msgs/Twist), for action_source '
             'twist'),
    Argument('proprio_topic', 'proprio', 'Proprioception (std_msgs/Float32MultiArray), for a '
             'model that uses it'),
    *TRANSFORMS,
)

SOURCES = (
    _of_file('pose_source', 'Where poses come from: pose_topic, odom_topic, or tf',
             'pose', 'odometry', 'tf'),
    _of_file('map_frame', 'Frame that all poses must be in'),
    _of_file('base_frame', 'For pose_source tf: frame of the robot'),
    _of_file('action_source', 'Where actions come from: actions_topic, cmd_vel_topic, or the '
             'motion between poses', 'topic', 'twist', 'motion'),
    _of_file('pose_axes', 'For action_source motion: axes of the pose', 'body', 'optical'),
    _of_file('image_transport', 'How pictures come', 'raw', 'compressed'),
)

IMAGE_RELIABILITY = Argument(
    'image_reliability', 'best_effort', 'What is asked of who publishes pictures: best_effort '
    'hears everybody; reliable loses none, but hears only who sends reliably',
    ('best_effort', 'reliable'))

ROBOT = (
    NAMESPACE,
    SIM_TIME,
    *PARAMETERS,
    Argument('model_path', '', 'Model bundle; empty: that of the parameters, else '
             'WM_CHECKPOINT_PATH, else the one that ships; for other sizes than its own an '
             'untrained one is made'),
    Argument('memory_path', '', 'Memory file, made where it is missing; empty: that of the '
             'parameters, else memory.db, or memory-PLACE.db, in spatial_rag/NAMESPACE of '
             'ROS_HOME, or one beside it where that is of another model'),
    Argument('place', '', 'Name of the place: each has a memory file of its own'),
    *TOPICS,
    *SOURCES,
    IMAGE_RELIABILITY,
    _flag('composition', 'false', 'Run encoder, writer, retriever and predictor in one process'),
    _flag('visualizer', 'true', 'Publish markers and pictures for RViz'),
    _flag('rviz', 'false', 'Open RViz, too'),
    _flag('autostart', 'true', 'Configure and activate the nodes at once; false: they wait for '
          'a lifecycle manager, or `ros2 lifecycle set`'),
    _flag('respawn', 'false', 'Start a node again that has died; without composition also one '
          'that could not be configured, which otherwise stays and says why'),
    ENCLAVES,
    LOG_LEVEL,
)

SIM = (
    PROFILE._replace(default='sim'),
    Argument('place', 'sim', 'Name of the place: each has a memory file of its own'),
    IMAGE_RELIABILITY._replace(default='reliable'),
    _of_file('seed', 'Which world the simulated robot drives through'),
    _of_file('policy', 'How it explores', 'loops', 'frontier', 'patrol', 'random_walk'),
    _of_file('policy_seed', 'Which way through the world'),
)

REPLAY = (
    Argument('bag', None, 'Recording: rosbag2 folder, or an .mcap, .db3 or .bag file'),
    Argument('player', 'auto', "Who plays it: rosbag2 (`ros2 bag play`), this project's "
             'bag_replay_node, or auto: rosbag2 where it is installed',
             ('auto', 'rosbag2', 'bag_replay')),
    Argument('rate', '1.0', 'Times as fast as recorded'),
    _flag('loop', 'false', 'Begin again at the end; the time then jumps back'),
    Argument('start_delay_sec', '5.0', 'So long the nodes are given to come up before rosbag2 '
             'plays [s]; bag_replay itself waits for subscribers'),
    Argument('clock_hz', '100.0', 'How often the player publishes /clock [Hz]'),
    SIM_TIME._replace(default='true'),
    *(argument._replace(default=f'/{argument.default}') for argument in TRANSFORMS),  # as recorded
)

COLLECT = (
    Argument('format', 'bag', 'What is recorded: a bag (`ros2 bag record`), or episodes '
             '(episode_recorder_node), which a training takes as they are',
             ('bag', 'episodes')),
    Argument('output', '', 'Folder of the bag, which must not exist yet, or file of episodes, '
             'which is appended to; empty: recording-TIME in the working folder, or '
             'spatial_rag/NAMESPACE/episodes.h5 in ROS_HOME'),
    Argument('storage', 'mcap', 'Format of the bag', ('mcap', 'sqlite3')),
    Argument('split', 'train', 'What the episodes are for', ('train', 'valid', 'test')),
    _flag('depth', 'true', 'Record depth maps, too'),
    NAMESPACE,
    SIM_TIME,
    *PARAMETERS,
    *TOPICS,
    *SOURCES,
    ENCLAVES,
    LOG_LEVEL,
)
