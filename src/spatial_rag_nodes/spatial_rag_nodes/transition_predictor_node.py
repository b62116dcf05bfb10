"""Predicts the latent a step ahead from latent, action, memories and what was before."""

from __future__ import annotations

import time
from typing import NamedTuple

from spatial_rag_core.memory.writer import LatentSample
from spatial_rag_core.models.bundle import Bundle
from spatial_rag_core.models.learned_actions import other_actions
from spatial_rag_core.models.memory_bank import MemoryBank
from spatial_rag_core.records import Vector
from spatial_rag_core.settings import Settings
from spatial_rag_core.streams.action_track import ActionTrack
from spatial_rag_core.streams.deadline_join import DeadlineJoin
from spatial_rag_core.streams.latent_history import LatentHistory
from spatial_rag_core.streams.metrics import LatencyWindow, RateWindow
from spatial_rag_core.streams.motion import MotionActions
from spatial_rag_core.streams.pose_buffer import PoseBuffer
from spatial_rag_msgs.msg import LatentStamped, RetrievedMemories
from spatial_rag_nodes import qos, shared_parameters
from spatial_rag_nodes.closing_node import ClosingNode
from spatial_rag_nodes.conversions import (
    array_from_vector,
    msg_from_latent,
    recollection_from_msg,
    sample_from_msg,
)
from spatial_rag_nodes.health import Health
from spatial_rag_nodes.motion_inputs import (
    ACTION_PARAMETERS,
    POSE_PARAMETERS,
    subscribe_action,
    subscribe_pose,
)
from spatial_rag_nodes.parameters import NodeParameters, Parameter

from rclpy.clock import Clock, ClockType
from std_msgs.msg import Float32MultiArray, Header


def _parameters(settings: Settings) -> tuple[Parameter, ...]:
    return (
        *shared_parameters.model(settings),
        shared_parameters.z_dim(settings),
        shared_parameters.action_dim(settings),
        *POSE_PARAMETERS,
        *ACTION_PARAMETERS,
        Parameter('retrieval_timeout_sec', 0.025, 'A prediction waits this long for memories, '
                  'then goes out without', 's', 0.001, 1.0),
    )


class _Waiting(NamedTuple):
    """A latent without its memories, the header of its frame, and when it came (monotonic)."""

    sample: LatentSample
    header: Header
    arrived_ns: int


class TransitionPredictorNode(ClosingNode):
    """
    Publishes latent_next and spatial_rag/latent_next for each latent with an action.

    One goes out for each frame, and foresees the latent a step of the model (step_sec) after it.
    """

    def __init__(self) -> None:
        super().__init__('transition_predictor')
        parameters = self._config = NodeParameters(
            self, _parameters(Settings.from_environment()))
        self._bundle = Bundle.load(
            shared_parameters.model_path(parameters), z_dim=parameters['z_dim'],
            action_dim=parameters['action_dim'], device=parameters['device'],
            num_threads=parameters['num_threads'])
        self._poses = PoseBuffer(tolerance_sec=parameters['pose_tolerance_sec'])
        self._actions = ActionTrack(parameters['action_timeout_sec'])
        self._motion = self._motion_actions()
        self._waiting: DeadlineJoin[_Waiting, MemoryBank] = DeadlineJoin(
            parameters['retrieval_timeout_sec'])
        meta = self._bundle.metadata
        self._history = LatentHistory(meta.history, meta.step_sec)
        self._no_memories = MemoryBank.empty(meta.z_dim, meta.action_dim)
        self._counts = dict.fromkeys(('predictions', 'without_action', 'retrieval_late',
                                      'with_memories', 'with_memory_poses'), 0)
        self._history_steps = 0
        self._rate, self._latency_ms = RateWindow(), LatencyWindow()
        self._health = Health(self, self._figures)
        self._plain = self.create_publisher(Float32MultiArray, 'latent_next', qos.stream())
        self._stamped = self.create_publisher(
            LatentStamped, 'spatial_rag/latent_next', qos.stream())
        self._deadline = self.create_timer(
            parameters['retrieval_timeout_sec'], self._health.guarded(self._on_deadline),
            clock=Clock(clock_type=ClockType.STEADY_TIME))
        self._deadline.cancel()
        self._subscribe()
        if told := other_actions(meta, parameters['action_source']):
            self.get_logger().warning(told)

    def _motion_actions(self) -> MotionActions | None:
        """The motion of the step that ended at a frame, as in training (model_steps.py)."""
        if self._config['action_source'] != 'motion':
            return None
        return MotionActions(self._poses, self._config['action_dim'], self._config['pose_axes'],
                             window_sec=self._bundle.metadata.step_sec)

    def _subscribe(self) -> None:
        subscribe_pose(self, self._health, self._config, self._poses.insert)
        subscribe_action(self, self._health, self._config, self._actions.add)
        self.create_subscription(LatentStamped, 'spatial_rag/latent',
                                 self._health.guarded(self._on_latent), qos.stream())
        self.create_subscription(RetrievedMemories, 'spatial_rag/retrieved',
                                 self._health.guarded(self._on_retrieved), qos.stream())

    def _on_latent(self, msg: LatentStamped) -> None:
        arrived_ns = time.monotonic_ns()
        sample = sample_from_msg(msg, self._config['z_dim'])
        self._bundle.require_author(sample.model_id)
        waiting = _Waiting(sample, msg.header, arrived_ns)
        self._on_deadline()  # the timer may be late
        was_idle = not len(self._waiting)
        memories = self._waiting.add(sample.stamp_ns, waiting)
        if memories is not None:
            self._predict(waiting, memories)
        elif was_idle:
            self._deadline.reset()

    def _on_retrieved(self, msg: RetrievedMemories) -> None:
        stamp_ns, pose, found = recollection_from_msg(msg, self._config['z_dim'])
        memories = MemoryBank.from_memories(found, pose, self._config['z_dim'],
                                            self._config['action_dim'])
        waiting = self._waiting.take(stamp_ns, memories)
        if waiting is not None:
            self._predict(waiting, memories)
        if not len(self._waiting):
            self._deadline.cancel()

    def _on_deadline(self) -> None:
        for waiting in self._waiting.expired():
            self._counts['retrieval_late'] += 1
            self._predict(waiting, self._no_memories)
        if not len(self._waiting):
            self._deadline.cancel()

    def _predict(self, waiting: _Waiting, memories: MemoryBank) -> None:
        sample, header, arrived_ns = waiting
        action = (self._actions.newest() if self._motion is None
                  else self._motion.at(sample.stamp_ns))
        if action is None:
            self._counts['without_action'] += 1
            return
        z_next = self._next(sample, action, memories)
        self._stamped.publish(msg_from_latent(z_next, header, self._bundle.model_id))
        self._plain.publish(array_from_vector(z_next))
        now_ns = time.monotonic_ns()
        self._rate.tick(now_ns)
        self._latency_ms.add((now_ns - arrived_ns) / 1e6)
        self._counts['predictions'] += 1
        self._counts['with_memories'] += bool(len(memories))

    def _next(self, sample: LatentSample, action: Vector, memories: MemoryBank) -> Vector:
        """With all that this bundle can use; what it has no input for is left out."""
        meta = self._bundle.metadata
        self._history.add(sample.stamp_ns, sample.z, action)
        history = self._history.at(sample.stamp_ns)
        self._history_steps = 0 if history is None else len(history.z)
        self._counts['with_memory_poses'] += bool(len(memories)) and meta.uses_memory_pose
        return self._bundle.predict_next(
            sample.z, action, memories.z, memories.pose if meta.uses_memory_pose else None,
            memories.action if meta.uses_memory_action else None, history)

    def _figures(self) -> dict[str, object]:
        p50, p99 = self._latency_ms.percentiles()
        return {'latent_next_hz': self._rate.rate_hz(time.monotonic_ns()),
                'latent_to_latent_next_ms_p50': p50, 'latent_to_latent_next_ms_p99': p99,
                **self._counts, 'history_steps': self._history_steps,
                'step_sec': self._bundle.metadata.step_sec, 'model_id': self._bundle.model_id}
