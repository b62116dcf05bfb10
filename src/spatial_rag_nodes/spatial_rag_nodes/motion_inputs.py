"""Subscriptions to pose and action that memory writer, retriever and predictor share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from spatial_rag_core.records import Pose, Vector
from spatial_rag_nodes import qos
from spatial_rag_nodes.conversions import action_from_msg, map_pose_from_msg, ns_from_time
from spatial_rag_nodes.health import Health
from spatial_rag_nodes.health_checks import Silence
from spatial_rag_nodes.parameters import NodeParameters, Parameter
from spatial_rag_nodes.tf_poses import TfPoses
from spatial_rag_nodes.transform_tree import require_tf2, TOPIC

from geometry_msgs.msg import PoseStamped, Twist
from nav_msgs.msg import Odometry
from rclpy.node import Node
from std_msgs.msg import Float32MultiArray

POSE_PARAMETERS = (
    Parameter('map_frame', 'map', 'Frame that all poses must be in'),
    Parameter('pose_source', 'pose',
              'Where poses come from: pose (geometry_msgs/PoseStamped), odometry '
              '(nav_msgs/Odometry on odom), or tf (the transforms, by tf2_ros)',
              choices=('pose', 'odometry', 'tf')),
    Parameter('base_frame', 'base_link', 'For pose_source tf: the frame of the robot, whose pose '
              'in map_frame is looked up'),
    Parameter('pose_tolerance_sec', 0.1, 'A frame needs a pose at most this far away in time',
              's', 0.0, 10.0),
)

ACTION_PARAMETERS = (
    Parameter('action_source', 'topic',
              'Where actions come from: topic (actions), twist (cmd_vel), or motion (derived '
              'from the poses)', choices=('topic', 'twist', 'motion')),
    Parameter('action_timeout_sec', 1.0, 'An action older than this is no longer in force',
              's', 0.01, 3600.0),
    Parameter('pose_axes', 'body', 'For action_source motion: body (x forward, z up) or optical '
              '(z forward, y down) axes of the pose', choices=('body', 'optical')),
)


ACTION_TOPICS = {'topic': (Float32MultiArray, 'actions'), 'twist': (Twist, 'cmd_vel')}
_POSE_TOPICS = {'pose': 'pose', 'odometry': 'odom', 'tf': TOPIC}


def check_pose_source(parameters: NodeParameters) -> None:
    """Raise ConfigurationError for pose_source tf without tf2_ros."""
    if parameters['pose_source'] == 'tf':
        require_tf2()


def pose_silence(node: Node, parameters: NodeParameters) -> Silence:
    """What finds that no poses come; tell it of each."""
    topic = _POSE_TOPICS[parameters['pose_source']]
    return Silence(node, topic, 'pose', f'start the localisation, or remap {topic}, or set '
                   'pose_source')


def subscribe_pose(node: Node, health: Health, parameters: NodeParameters,
                   on_pose: Callable[[int, Pose], Any]) -> None:
    """Call on_pose(stamp [ns], pose) for each pose in the map frame; see check_pose_source."""
    def take(msg: PoseStamped | Odometry) -> None:
        on_pose(ns_from_time(msg.header.stamp),
                map_pose_from_msg(msg, parameters['map_frame']))

    source = parameters['pose_source']
    if source == 'tf':  # it lives with its timer
        TfPoses(node, health, parameters['map_frame'], parameters['base_frame'], on_pose)
        return
    node.create_subscription(PoseStamped if source == 'pose' else Odometry, _POSE_TOPICS[source],
                             health.guarded(take), qos.sensor(depth=50),
                             qos_overriding_options=qos.overridable())


def subscribe_action(node: Node, health: Health, parameters: NodeParameters,
                     on_action: Callable[[Vector], Any]) -> None:
    """Call on_action(float32 [action_dim]) for each action; not at all for source motion."""
    def take(msg: Float32MultiArray | Twist) -> None:
        on_action(action_from_msg(msg, parameters['action_dim']))

    if parameters['action_source'] == 'motion':
        return
    kind, topic = ACTION_TOPICS[parameters['action_source']]
    node.create_subscription(kind, topic, health.guarded(take), qos.sensor(depth=50),
                             qos_overriding_options=qos.overridable())
