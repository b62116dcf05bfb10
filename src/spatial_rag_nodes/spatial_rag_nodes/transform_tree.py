"""The transforms of a robot, heard once in a process, whichever of its nodes ask for poses."""

from __future__ import annotations

from collections.abc import Callable
import itertools
import os
from typing import Any
from weakref import WeakValueDictionary

from spatial_rag_core.errors import ConfigurationError, InputError
from spatial_rag_nodes.health import Health
from spatial_rag_nodes.polled_topic import PolledTopic, Taken

from rclpy.context import Context
from rclpy.exceptions import InvalidHandle
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.time import Time

_JUMP_NS = 500_000_000
"""A smaller step back of the clock is one that is being corrected."""
TOPIC, STATIC_TOPIC = 'tf', 'tf_static'
"""Relative, as Nav2 has them: each robot in a namespace has a tree of its own."""


class TransformTree:
    """
    The transforms that a node hears, for all nodes of its process that look.

    They come up to a thousand times a second: nobody wakes up for them, and they are taken in
    when somebody looks. Where the node that hears them listens no more, the next one that looks
    takes over. For one thread, as all nodes of a process have one executor.
    """

    def __init__(self, node: Node) -> None:
        self._tf2_ros = require_tf2()
        self._buffer = self._tf2_ros.Buffer()
        self._listen(node)

    def _listen(self, node: Node) -> None:
        self._clock, self._now_ns = node.get_clock(), 0
        self._branches = (
            _Branch(node, STATIC_TOPIC, DurabilityPolicy.TRANSIENT_LOCAL,
                    self._buffer.set_transform_static),
            _Branch(node, TOPIC, DurabilityPolicy.VOLATILE, self._buffer.set_transform))

    def look(self, node: Node, health: Health) -> None:
        """Take in what came since; health hears of what cannot be taken in."""
        self._follow_time()
        try:
            for branch in self._branches:
                branch.take_in(health)
        except InvalidHandle:
            self._listen(node)

    def _follow_time(self) -> None:
        """Where time is turned back tf would leave out what comes, for being too old."""
        before_ns, self._now_ns = self._now_ns, self._clock.now().nanoseconds
        if self._now_ns < before_ns - _JUMP_NS:
            self._buffer.clear()

    def newest(self, to: str, of: str) -> Any:
        """
        The transform (geometry_msgs/TransformStamped) of a frame in another, as it is now.

        The newest moment is taken for which all transforms on the way are known: tf interpolates
        the slower ones, and nothing is extrapolated. Raises InputError where there is none.
        """
        try:
            return self._buffer.lookup_transform(to, of, Time())
        except self._tf2_ros.TransformException as error:
            raise InputError(str(error)) from error


class _Branch:
    """
    One of the topics that transforms come on.

    put: what takes in one of them.
    """

    def __init__(self, node: Node, topic: str, durability: DurabilityPolicy,
                 put: Callable[[Any, str], object]) -> None:
        from tf2_msgs.msg import TFMessage
        self._topic = PolledTopic(node, TFMessage, topic, QoSProfile(
            history=HistoryPolicy.KEEP_LAST, depth=100, durability=durability,
            reliability=ReliabilityPolicy.RELIABLE))  # as tf2_ros.TransformListener
        self._put = put
        self._last: Taken | None = None

    def take_in(self, health: Health) -> None:
        """Take in what came since, the oldest first; InvalidHandle: the node has ended it."""
        newest_first = self._topic.newest_first()
        fresh = list(itertools.takewhile(lambda taken: taken is not self._last, newest_first))
        self._last = newest_first[0] if newest_first else None
        for taken in reversed(fresh):
            health.guarded(self._take_in)(taken, health)

    def _take_in(self, taken: Taken, health: Health) -> None:
        for transform in taken.message().transforms:
            health.guarded(self._put_one)(transform)

    def _put_one(self, transform: Any) -> None:
        try:
            self._put(transform, 'spatial_rag')
        except Exception as error:  # tf2 does not say what it raises for values that are none
            raise InputError(f'tf2 takes no transform of {transform.child_frame_id!r} in '
                             f'{transform.header.frame_id!r}: {" ".join(str(error).split())}; who '
                             'sends it?') from error


_TREES: WeakValueDictionary[tuple[Context, str, str], TransformTree] = WeakValueDictionary()
"""By the names that the topics have in the end; each lives as long as somebody looks at it."""


def tree_of(node: Node) -> TransformTree:
    """The tree that the node is to look at; raises ConfigurationError without tf2_ros."""
    key = (node.context, node.resolve_topic_name(TOPIC), node.resolve_topic_name(STATIC_TOPIC))
    tree = _TREES.get(key)
    if tree is None:
        tree = _TREES[key] = TransformTree(node)
    return tree


def require_tf2() -> Any:
    """Import tf2_ros; raises ConfigurationError with the remedy."""
    try:
        import tf2_msgs.msg  # noqa: F401
        import tf2_ros
    except ImportError as error:
        distro = os.environ.get('ROS_DISTRO', '<distribution>')
        raise ConfigurationError(
            f'pose_source tf needs tf2_ros, which cannot be imported ({error}): sudo apt install '
            f'ros-{distro}-tf2-ros-py, or set pose_source to pose or odometry') from error
    return tf2_ros
