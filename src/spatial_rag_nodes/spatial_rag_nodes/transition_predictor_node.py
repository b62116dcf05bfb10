"""Predicts the latent a step ahead from latent, action, memories and what was before."""

from __future__ import annotations

import contextlib
import time
from typing import NamedTuple

from spatial_rag_core.errors import BundleError, PoseError, ServiceUnavailableError
from spatial_rag_core.memory.writer import LatentSample
from spatial_rag_core.models.bundle import Bundle
from spatial_rag_core.models.imagined import Imagined
from spatial_rag_core.models.learned_actions import other_actions
from spatial_rag_core.models.memory_bank import MemoryBank
from spatial_rag_core.records import Pose, Vector
from spatial_rag_core.settings import Settings
from spatial_rag_core.streams.action_track import ActionTrack
from spatial_rag_core.streams.deadline_join import DeadlineJoin
from spatial_rag_core.streams.latent_history import LatentHistory
from spatial_rag_core.streams.metrics import LatencyWindow, RateWindow
from spatial_rag_core.streams.motion import MotionActions
from spatial_rag_core.streams.pose_buffer import PoseBuffer
from spatial_rag_msgs.msg import LatentStamped, RetrievedMemories, Surprise
from spatial_rag_nodes import predictor_parameters, qos, shared_parameters
from spatial_rag_nodes.conversions import (
    array_from_vector,
    fill_memory_weights,
    map_pose_from_msg,
    msg_from_latent,
    recollection_from_msg,
    sample_from_msg,
)
from spatial_rag_nodes.health_checks import TimeJumps, TooSlow
from spatial_rag_nodes.managed_node import ManagedNode
from spatial_rag_nodes.motion_inputs import (
    check_pose_source,
    pose_silence,
    subscribe_action,
    subscribe_pose,
)
from spatial_rag_nodes.predictor_services import PredictorServices, Present
from spatial_rag_nodes.surprise_watch import SurpriseWatch

from geometry_msgs.msg import PoseStamped
import numpy as np
from rclpy.clock import Clock, ClockType
from std_msgs.msg import Float32MultiArray, Header

_parameters = predictor_parameters.declared


class _Waiting(NamedTuple):
    """A latent without its memories, the header of its frame, and when it came (monotonic)."""

    sample: LatentSample
    header: Header
    arrived_ns: int


class TransitionPredictorNode(ManagedNode):
    """
    Publishes latent_next and spatial_rag/latent_next for each latent with an action.

    One goes out for each frame, and foresees the latent a step of the model (step_sec) after it.
    What becomes of each is told on spatial_rag/surprise (SurpriseWatch); whoever asks for other
    futures is answered from a thread (PredictorServices). Poses are listened to where actions are
    derived from them; else the retriever tells with the memories where the robot was.
    """

    def __init__(self) -> None:
        super().__init__('transition_predictor', _parameters(Settings.from_environment()))

    def configure(self) -> None:
        """Load the bundle; offer topics and services."""
        config = self.config
        self._bundle = Bundle.load(
            shared_parameters.model_path(config), z_dim=config['z_dim'],
            action_dim=config['action_dim'], device=config['device'],
            num_threads=config['num_threads'])
        self._poses = PoseBuffer(tolerance_sec=config['pose_tolerance_sec'])
        self._actions = ActionTrack(config['action_timeout_sec'])
        self._motion = self._motion_actions()
        meta = self._bundle.metadata
        self._history = LatentHistory(meta.history, meta.step_sec)
        self._no_memories = MemoryBank.empty(meta.z_dim, meta.action_dim)
        self._counts = dict.fromkeys(('predictions', 'without_action', 'retrieval_late',
                                      'with_memories', 'with_memory_poses'), 0)
        self._history_steps = 0
        self._rate, self._latency_ms = RateWindow(), LatencyWindow()
        self._plain = self.create_lifecycle_publisher(
            Float32MultiArray, 'latent_next', qos.stream())
        self._stamped = self.create_lifecycle_publisher(
            LatentStamped, 'spatial_rag/latent_next', qos.stream())
        self._surprise = SurpriseWatch(
            self.create_lifecycle_publisher(Surprise, 'spatial_rag/surprise', qos.stream()),
            config, meta.step_sec, meta.model_id)
        self.keep(PredictorServices(self, config, self.health, self._bundle, self._present))
        if told := other_actions(meta, config['action_source']):
            self.get_logger().warning(told)

    def activate(self) -> None:
        """Listen; what came before is neither predicted nor begun with any more."""
        self._newest: _Waiting | None = None
        timeout_sec = self.config['retrieval_timeout_sec']
        self._waiting: DeadlineJoin[_Waiting, MemoryBank] = DeadlineJoin(timeout_sec)
        self._deadline = self.create_timer(
            timeout_sec, self.health.guarded(self._on_deadline),
            clock=Clock(clock_type=ClockType.STEADY_TIME))
        self._deadline.cancel()
        self.keep(self.health.check('slow', TooSlow(
            self._latency_ms, self._rate, lambda: self.config['latency_budget_sec'],
            'a prediction', 'lower retrieval_timeout_sec, take a smaller model, or leave this '
            'machine more room')))
        for name, find in (('memory left out', self._surprise.find_left_out),
                           ('retrieval late', self._surprise.find_late)):
            self.keep(self.health.check(name, find))
        self._subscribe()

    def _motion_actions(self) -> MotionActions | None:
        """The motion of the step that ended at a frame, as in training (model_steps.py)."""
        if self.config['action_source'] != 'motion':
            return None
        check_pose_source(self.config)
        return MotionActions(self._poses, self.config['action_dim'], self.config['pose_axes'],
                             window_sec=self._bundle.metadata.step_sec)

    def _subscribe(self) -> None:
        if self._motion is not None:
            self._pose_silence = pose_silence(self, self.config)
            self._pose_time = TimeJumps(self.health, 'poses')
            self.keep(self.health.check('silent pose', self._pose_silence))
            subscribe_pose(self, self.health, self.config, self._on_pose)
        subscribe_action(self, self.health, self.config, self._actions.add)
        self.create_subscription(LatentStamped, 'spatial_rag/latent',
                                 self.health.guarded(self._on_latent), qos.stream())
        self.create_subscription(RetrievedMemories, 'spatial_rag/retrieved',
                                 self.health.guarded(self._on_retrieved), qos.stream())

    def _on_pose(self, stamp_ns: int, pose: Pose) -> None:
        self._pose_silence.heard()
        self._pose_time.follow(stamp_ns, self._poses.insert(stamp_ns, pose))

    def _on_latent(self, msg: LatentStamped) -> None:
        arrived_ns = time.monotonic_ns()
        sample = sample_from_msg(msg, self.config['z_dim'])
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
        stamp_ns, pose, found = recollection_from_msg(msg, self.config['z_dim'])
        memories = MemoryBank.from_memories(found, pose, self.config['z_dim'],
                                            self.config['action_dim'])
        waiting = self._waiting.take(stamp_ns, memories)
        if waiting is not None:
            self._predict(waiting, memories)
        if not len(self._waiting):
            self._deadline.cancel()
        if self._motion is None and msg.pose_valid:
            self._poses.insert(stamp_ns, map_pose_from_msg(
                PoseStamped(header=msg.header, pose=msg.pose), self.config['map_frame']))

    def _on_deadline(self) -> None:
        for waiting in self._waiting.expired():
            self._counts['retrieval_late'] += 1
            self._predict(waiting, self._no_memories, is_late=True)
        if not len(self._waiting):
            self._deadline.cancel()

    def _predict(self, waiting: _Waiting, memories: MemoryBank, is_late: bool = False) -> None:
        sample, header, arrived_ns = waiting
        if self._newest is None or arrived_ns > self._newest.arrived_ns:
            self._newest = waiting
        action = (self._actions.newest() if self._motion is None
                  else self._motion.at(sample.stamp_ns))
        if action is None:
            self._counts['without_action'] += 1
            self._surprise.seen(sample, header)
            return
        try:
            both = self._foreseen(sample, action, memories)
            is_used = bool(len(memories)) and self._surprise.uses_memory
            self._publish(both, memories if is_used else None, header)
            now_ns = time.monotonic_ns()
            self._rate.tick(now_ns)
            self._latency_ms.add((now_ns - arrived_ns) / 1e6)
            self._counts['predictions'] += 1
            self._counts['with_memories'] += is_used
        finally:
            self._surprise.seen(sample, header)  # nobody waits for this as for the prediction
        self._surprise.foreseen(sample, both, bool(len(memories)), is_used, is_late)

    def _publish(self, both: Imagined, memories: MemoryBank | None, header: Header) -> None:
        """Publish what was foreseen with memories, None: without."""
        z_next = both.z[1 if memories is None else 0, 0]
        stamped = msg_from_latent(z_next, header, self._bundle.model_id)
        if memories is not None:
            fill_memory_weights(stamped, both, memories)
        self._stamped.publish(stamped)
        self._plain.publish(array_from_vector(z_next))

    def _foreseen(self, sample: LatentSample, action: Vector, memories: MemoryBank) -> Imagined:
        """With the memories and without; what this bundle has no input for it leaves out."""
        meta = self._bundle.metadata
        self._history.add(sample.stamp_ns, sample.z, action)
        history = self._history.at(sample.stamp_ns)
        self._history_steps = 0 if history is None else len(history.z)
        self._counts['with_memory_poses'] += bool(len(memories)) and meta.uses_memory_pose
        both = self._bundle.foresee(sample.z, action, memories, history)
        if not np.isfinite(both.z).all():
            raise BundleError(f'model {self._bundle.model_id} foresees numbers that are not '
                              'finite; export it again, or train it anew')
        return both

    def _present(self) -> Present:
        """The newest latent, with what is known of its moment; ServiceUnavailableError: none."""
        if self._newest is None:
            raise ServiceUnavailableError('no latent has come yet; is the encoder running?')
        sample, _, arrived_ns = self._newest
        age_sec, limit_sec = ((time.monotonic_ns() - arrived_ns) / 1e9,
                              self.config['latent_timeout_sec'])
        if age_sec > limit_sec:
            raise ServiceUnavailableError(
                f'the newest latent came {age_sec:.1f} s ago, latent_timeout_sec allows '
                f'{limit_sec:g} s; are the camera and the encoder running?')
        pose = None
        with contextlib.suppress(PoseError):
            pose = self._poses.at(sample.stamp_ns)
        return Present(sample.stamp_ns, sample.z, pose, self._history.at(sample.stamp_ns))

    def figures(self) -> dict[str, object]:
        """For /diagnostics."""
        p50, p99 = self._latency_ms.percentiles()
        return {'latent_next_hz': self._rate.rate_hz(time.monotonic_ns()),
                'latent_to_latent_next_ms_p50': p50, 'latent_to_latent_next_ms_p99': p99,
                **self._counts, **self._surprise.figures(), 'history_steps': self._history_steps,
                'step_sec': self._bundle.metadata.step_sec, 'model_id': self._bundle.model_id}
