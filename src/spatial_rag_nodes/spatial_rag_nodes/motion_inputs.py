"""Subscriptions to pose and action that memory writer, retriever and predictor share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from spatial_rag_core.records import Pose, Vector
from spatial_rag_nodes import qos
from spatial_rag_nodes.conversions import action_from_msg, map_pose_from_msg, ns_from_time
from spatial_rag_nodes.health import Health
from spatial_rag_nodes.parameters import NodeParameters, Parameter

from geometry_msgs.msg import PoseStamped, Twist
from nav_msgs.msg import Odometry
from rclpy.node import Node
from std_msgs.msg import Float32MultiArray

POSE_PARAMETERS = (
    Parameter('map_frame', 'map', 'Frame that all poses must be in'),
    Parameter('pose_source', 'pose',
              'Where poses come from: pose (geometry_msgs/PoseStamped) or '
              'odometry (nav_msgs/Odometry on odom)', choices=('pose', 'odometry')),
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


def subscribe_pose(node: Node, health: Health, parameters: NodeParameters,
                   on_pose: Callable[[int, Pose], Any]) -> None:
    """Call on_pose(stamp [ns], pose) for each pose in the map frame."""
    def take(msg: PoseStamped | Odometry) -> None:
        on_pose(ns_from_time(msg.header.stamp),
                map_pose_from_msg(msg, parameters['map_frame']))

    kind, topic = {'pose': (PoseStamped, 'pose'),
                   'odometry': (Odometry, 'odom')}[parameters['pose_source']]
    node.create_subscription(kind, topic, health.guarded(take), qos.sensor(depth=50),
                             qos_overriding_options=qos.overridable())


def subscribe_action(node: Node, health: Health, parameters: NodeParameters,
                     on_action: Callable[[Vector], Any]) -> None:
    """Call on_action(float32 [action_dim]) for each action; not at all for source motion."""
    def take(msg: Float32MultiArray | Twist) -> None:
        on_action(action_from_msg(msg, parameters['action_dim']))

    if parameters['action_source'] == 'motion':
        return
    kind, topic = {'topic': (Float32MultiArray, 'actions'),
                   'twist': (Twist, 'cmd_vel')}[parameters['action_source']]
    node.create_subscription(kind, topic, health.guarded(take), qos.sensor(depth=50),
                             qos_overriding_options=qos.overridable())
