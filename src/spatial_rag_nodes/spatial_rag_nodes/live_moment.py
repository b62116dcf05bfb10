"""The newest moment that all topics tell of, read from them only when it is drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import itertools
import threading
from typing import NamedTuple

from spatial_rag_core.memory.writer import LatentSample
from spatial_rag_core.records import Pose, Vector
from spatial_rag_core.streams.latent_history import LatentHistory
from spatial_rag_core.streams.motion import MotionActions
from spatial_rag_core.streams.pose_buffer import PoseBuffer
from spatial_rag_core.view.moment import Moment
from spatial_rag_msgs.msg import LatentStamped, RetrievedMemories
from spatial_rag_nodes import qos
from spatial_rag_nodes.conversions import (
    action_from_msg,
    ns_from_time,
    Recollection,
    recollection_from_msg,
    sample_from_msg,
)
from spatial_rag_nodes.motion_inputs import ACTION_TOPICS
from spatial_rag_nodes.polled_topic import PolledTopic

from rclpy.node import Node
from std_msgs.msg import Header

_KEPT = 64
"""Messages of each topic: 3 s at 20 Hz, which is what a model looks back, and more."""


class LiveMoment(NamedTuple):
    """
    One frame, and what the nodes made of it.

    sample: its latent and thumbnail, and header that of its picture.  moment: None where no pose
    is known.  z_next: the predicted latent; None: no prediction came for this frame.
    """

    sample: LatentSample
    header: Header
    moment: Moment | None
    z_next: Vector | None


class _Frame(NamedTuple):
    sample: LatentSample
    header: Header
    sent_ns: int


class MomentInputs:
    """
    What the topics tell, put together for one frame.

    action_at: the action in force when a latent was sent [ns], whose frame has a stamp [ns].
    looks_back: how many steps the model does, and how long one is [s]: see LatentHistory.
    """

    def __init__(self, node: Node, z_dim: int, looks_back: tuple[int, float],
                 action_at: Callable[[int, int], Vector | None]) -> None:
        self._z_dim, self._looks_back, self._action_at = z_dim, looks_back, action_at
        self._latents, self._predictions = (
            PolledTopic(node, LatentStamped, f'spatial_rag/{topic}', qos.stream(_KEPT))
            for topic in ('latent', 'latent_next'))
        self._retrieved = PolledTopic(node, RetrievedMemories, 'spatial_rag/retrieved',
                                      qos.stream(1))
        self._shown_ns: int | None = None

    def newest(self) -> LiveMoment | None:
        """
        Return what was retrieved last, with its frame; without a retriever the newest frame.

        None: there is nothing new. Raises InputError for a message that is not as it must be.
        """
        recalled, frames = self._recalled(), self._frames()
        newest = frame = next(frames, None)
        while recalled and frame and frame.sample.stamp_ns > recalled.stamp_ns:
            frame = next(frames, None)
        is_known = recalled and frame and frame.sample.stamp_ns == recalled.stamp_ns
        shown = frame if is_known else newest
        if shown is None or shown.sample.stamp_ns == self._shown_ns:
            return None
        self._shown_ns = shown.sample.stamp_ns
        return LiveMoment(
            shown.sample, shown.header,
            self._moment(recalled, shown, frames) if recalled and is_known else None,
            self._foreseen(shown.sample.stamp_ns))

    def _recalled(self) -> Recollection | None:
        """Return the newest answer; None where none tells a pose."""
        for taken in self._retrieved.newest_first():
            msg = taken.message()
            return recollection_from_msg(msg, self._z_dim) if msg.pose_valid else None
        return None

    def _frames(self) -> Iterator[_Frame]:
        """Frames, the newest first; each is read as it is asked for."""
        for taken in self._latents.newest_first():
            msg = taken.message()
            yield _Frame(sample_from_msg(msg, self._z_dim), msg.header, taken.sent_ns)

    def _moment(self, recalled: Recollection, shown: _Frame, before: Iterator[_Frame]) -> Moment:
        stamp_ns, history = shown.sample.stamp_ns, LatentHistory(*self._looks_back)
        steps, step_sec = self._looks_back
        oldest_ns = stamp_ns - round((steps + 1) * step_sec * 1e9)
        frames = itertools.takewhile(lambda each: each.sample.stamp_ns >= oldest_ns, before)
        for each in reversed([shown, *frames] if steps else []):
            if (action := self._action(each)) is not None:
                history.add(each.sample.stamp_ns, each.sample.z, action)
        return Moment(recalled.pose, shown.sample.z, recalled.memories, self._action(shown),
                      history.at(stamp_ns))

    def _action(self, frame: _Frame) -> Vector | None:
        return self._action_at(frame.sent_ns, frame.sample.stamp_ns)

    def _foreseen(self, stamp_ns: int) -> Vector | None:
        """Return the latent that was predicted at a frame."""
        for taken in self._predictions.newest_first():
            msg = taken.message()
            if ns_from_time(msg.header.stamp) == stamp_ns:
                return sample_from_msg(msg, self._z_dim).z
        return None


class PolledActions:
    """The actions of a topic; each is in force for timeout_sec [s], or until the next."""

    def __init__(self, node: Node, source: str, action_dim: int, timeout_sec: float) -> None:
        kind, topic = ACTION_TOPICS[source]
        self._topic = PolledTopic(node, kind, topic, qos.sensor(_KEPT),
                                  qos_overriding_options=qos.overridable())
        self._action_dim, self._timeout_ns = action_dim, round(timeout_sec * 1e9)

    def at(self, sent_ns: int, stamp_ns: int) -> Vector | None:
        """Return the last action that was sent before a latent was; raises ActionError."""
        for taken in self._topic.newest_first():
            if taken.sent_ns <= sent_ns:
                is_in_force = sent_ns - taken.sent_ns <= self._timeout_ns
                return action_from_msg(taken.message(), self._action_dim) if is_in_force else None
        return None


class DerivedActions:
    """The motion that the poses show; they come in another thread than that which asks."""

    def __init__(self, motion: MotionActions, poses: PoseBuffer) -> None:
        self._motion, self._poses = motion, poses
        self._posing = threading.Lock()

    def take_pose(self, stamp_ns: int, pose: Pose) -> None:
        """Take in a pose."""
        with self._posing:
            self._poses.insert(stamp_ns, pose)

    def at(self, sent_ns: int, stamp_ns: int) -> Vector | None:
        """Return the motion that led to a frame."""
        with self._posing:
            return self._motion.at(stamp_ns)
