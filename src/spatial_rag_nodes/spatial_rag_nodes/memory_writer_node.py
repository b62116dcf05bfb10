"""Stores each latent with its pose and action in the memory file."""

from __future__ import annotations

from collections.abc import Callable
import time

from spatial_rag_core.errors import JournalError
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.journal_schema import JournalSpec
from spatial_rag_core.memory.writer import MemoryWriter, WriterConfig
from spatial_rag_core.records import Pose, Vector
from spatial_rag_core.settings import Settings
from spatial_rag_core.streams.action_track import ActionTrack
from spatial_rag_core.streams.metrics import LatencyWindow
from spatial_rag_core.streams.motion import MotionActions
from spatial_rag_core.streams.pose_buffer import PoseBuffer
from spatial_rag_core.streams.stamp_order import Step
from spatial_rag_msgs.msg import LatentStamped
from spatial_rag_nodes import qos, shared_parameters
from spatial_rag_nodes.conversions import sample_from_msg
from spatial_rag_nodes.health import ERROR, Health
from spatial_rag_nodes.motion_inputs import (
    ACTION_PARAMETERS,
    POSE_PARAMETERS,
    subscribe_action,
    subscribe_pose,
)
from spatial_rag_nodes.parameters import NodeParameters, Parameter

from rclpy.clock import Clock, ClockType
from rclpy.node import Node

RETRY_PERIOD_SEC = 0.2
"""How often that is stored which could not be when it came."""


def _parameters(settings: Settings) -> tuple[Parameter, ...]:
    return (
        shared_parameters.MEMORY_PATH,
        shared_parameters.z_dim(settings),
        shared_parameters.action_dim(settings),
        *POSE_PARAMETERS,
        *ACTION_PARAMETERS,
        Parameter('pose_wait_sec', 0.2, 'How long a latent waits for the pose after it', 's',
                  0.0, 10.0),
        Parameter('h3_resolution', 13, 'H3 resolution of the cells', '', 0, 15),
        Parameter('datum_latitude_deg', 0.0, 'Where the map origin lies', 'deg', -90.0, 90.0),
        Parameter('datum_longitude_deg', 0.0, 'Where the map origin lies', 'deg', -180.0, 180.0),
        Parameter('datum_heading_deg', 0.0, 'From east to the map x axis, counter-clockwise',
                  'deg', -360.0, 360.0),
        Parameter('robot', '', 'Name of this robot, written into each memory'),
        Parameter('map_id', '', 'Name of the map, written into each memory'),
        Parameter('session', '', 'Name of this episode; empty: a new one is made up'),
    )


class MemoryWriterNode(Node):
    """Subscribes to spatial_rag/latent, pose and actions; writes the memory file."""

    def __init__(self) -> None:
        super().__init__('memory_writer')
        parameters = self._config = NodeParameters(
            self, _parameters(Settings.from_environment()))
        self._journal = Journal.open_writer(shared_parameters.memory_path(parameters),
                                            _journal_spec(parameters))
        self._poses = PoseBuffer(tolerance_sec=parameters['pose_tolerance_sec'])
        self._actions = ActionTrack(parameters['action_timeout_sec'])
        self._writer = MemoryWriter(
            self._journal, self._poses, self._action_source(), WriterConfig(
                parameters['robot'], parameters['map_id'], parameters['session'],
                parameters['pose_wait_sec']))
        self._commit_ms = LatencyWindow()
        self._unplaced = self._skipped = 0
        self._health = Health(self, self._figures)
        subscribe_pose(self, self._health, parameters, self._on_pose)
        subscribe_action(self, self._health, parameters, self._on_action)
        self.create_subscription(LatentStamped, 'spatial_rag/latent',
                                 self._health.guarded(self._on_latent), qos.stream())
        self.create_timer(RETRY_PERIOD_SEC, self._health.guarded(self._commit),
                          clock=Clock(clock_type=ClockType.STEADY_TIME))
        self.get_logger().info(f'writing to {self._journal.path} ({self._journal.last_seq} '
                               f'memories so far), session {self._writer.session}')

    def _action_source(self) -> Callable[[int], Vector | None]:
        if self._config['action_source'] != 'motion':
            return self._actions.leading_to
        return MotionActions(self._poses, self._config['action_dim'],
                             self._config['pose_axes']).at

    def _on_pose(self, stamp_ns: int, pose: Pose) -> None:
        self._writer.add_pose(stamp_ns, pose)
        self._commit_unless_blocked()

    def _on_action(self, action: Vector) -> None:
        self._actions.add(action, self._poses.newest_ns)

    def _on_latent(self, msg: LatentStamped) -> None:
        step = self._writer.add_latent(sample_from_msg(msg))
        if step is Step.JUMPED_BACK:
            self._health.report('time jump', 'time ran backwards (a looped bag or a reset '
                                f'clock); new session {self._writer.session}')
        self._skipped += step in (Step.REPEATED, Step.LATE)
        self._commit_unless_blocked()

    def _commit_unless_blocked(self) -> None:
        """Store at once; a file that refuses is left to the timer, not asked at each message."""
        if not self._writer.backlog:
            self._commit()

    def _commit(self) -> None:
        start, before = time.perf_counter(), self._writer.stored
        try:
            unplaced = self._writer.commit()
        except JournalError as error:
            self._health.report('journal', f'{error}; {self._writer.backlog} memories wait', ERROR)
            if self._journal.is_detached:
                self._begin_anew()
            return
        if self._writer.stored > before:
            self._commit_ms.add((time.perf_counter() - start) * 1e3)
        for error in unplaced:
            self._unplaced += 1
            self._health.report('no pose', f'a latent is not remembered: {error}')

    def _begin_anew(self) -> None:
        """The file is gone: go on with the one that is now there, or a new one."""
        journal = Journal.open_writer(self._journal.path, self._journal.spec)
        self._journal.close()
        self._journal = journal
        self._writer.move_to(journal)
        self.get_logger().warning(f'going on in {journal.path} ({journal.last_seq} memories)')

    def _figures(self) -> dict[str, object]:
        p50, p99 = self._commit_ms.percentiles()
        return {'memories_stored': self._writer.stored, 'commit_ms_p50': p50,
                'commit_ms_p99': p99, 'latents_without_pose': self._unplaced,
                'latents_repeated_or_late': self._skipped, 'backlog': self._writer.backlog,
                'memories_lost': self._writer.lost, 'session': self._writer.session,
                'memory_path': self._journal.path}

    def destroy_node(self) -> None:
        """Store what is still waiting, then end."""
        self._health.guarded(self._writer.finish)()
        self._journal.close()
        super().destroy_node()


def _journal_spec(parameters: NodeParameters) -> JournalSpec:
    return JournalSpec(**{name: parameters[name] for name in (
        'z_dim', 'action_dim', 'h3_resolution', 'datum_latitude_deg', 'datum_longitude_deg',
        'datum_heading_deg', 'map_frame')})
