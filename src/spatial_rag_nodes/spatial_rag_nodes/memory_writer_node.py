"""Stores each latent that is worth remembering, with its pose and action, in the memory file."""

from __future__ import annotations

from collections.abc import Callable

from spatial_rag_core.errors import JournalError, PoseError
from spatial_rag_core.memory.admission import Admission
from spatial_rag_core.memory.forgetting.capacity import CapacityKeeper
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.storing.commit_queue import CommitConfig
from spatial_rag_core.memory.storing.committer import Committer
from spatial_rag_core.memory.writer import MemoryWriter
from spatial_rag_core.records import Pose, Vector
from spatial_rag_core.settings import Settings
from spatial_rag_core.streams.action_track import ActionTrack
from spatial_rag_core.streams.motion import MotionActions
from spatial_rag_core.streams.pose_buffer import PoseBuffer
from spatial_rag_core.streams.stamp_order import Step
from spatial_rag_msgs.msg import LatentStamped
from spatial_rag_nodes import qos, shared_parameters, writer_parameters
from spatial_rag_nodes.conversions import sample_from_msg
from spatial_rag_nodes.health import ERROR, WARN
from spatial_rag_nodes.health_checks import Finding, low_disk
from spatial_rag_nodes.managed_node import ManagedNode
from spatial_rag_nodes.motion_inputs import (
    check_pose_source,
    pose_silence,
    subscribe_action,
    subscribe_pose,
)
from spatial_rag_nodes.service_threads import ServiceThreads
from spatial_rag_nodes.writer_services import WriterServices

from rclpy.clock import Clock, ClockType

LOOK_PERIOD_SEC = 0.1
"""How often latents are looked at whose pose does not come, and what the file has to say."""

FLUSH_TIMEOUT_SEC = 1.0
"""How long a node that is deactivated waits for its commit; it goes on without waiting."""
MOST_BACKLOG = 300
"""So many memories wait when the disk is slower than they come: 15 s at 20 Hz."""

_parameters = writer_parameters.declared


class MemoryWriterNode(ManagedNode):
    """
    Subscribes to spatial_rag/latent, pose and actions; writes the memory file.

    It writes in a thread of its own (Committer), thins in another (CapacityKeeper), and does what
    it is asked for in others (WriterServices): its topics wait for none of them. While it is
    inactive the file stays open, and its own.
    """

    def __init__(self) -> None:
        super().__init__('memory_writer', _parameters(Settings.from_environment()))

    def configure(self) -> None:
        """Open the memory file, and say what is wrong with it from then on."""
        config = self.config
        check_pose_source(config)
        self._poses = PoseBuffer(tolerance_sec=config['pose_tolerance_sec'])
        self._actions = ActionTrack(config['action_timeout_sec'])
        writing = writer_parameters.writer_config(config)
        admission = Admission(writer_parameters.admission_config(config))
        changes = self.keep(ServiceThreads(self, 'changes', 2, changes=True))
        sessions = self.keep(ServiceThreads(self, 'sessions', changes=True))
        self._commits = CommitConfig(config['commit_period_sec'])
        self._committer = Committer(self._open_journal, self._commits)
        self.at_end(self._end_committer)
        self._keeper = self.keep(CapacityKeeper(self._committer, config['capacity']))
        self._writer = MemoryWriter(
            self._committer, self._poses, self._action_source(), writing, admission)
        self._unplaced = self._skipped = self._begun_anew = 0
        services = WriterServices(changes, sessions, self.health, self._writer.recording,
                                  self._committer, self._place_waiting)
        self.create_timer(LOOK_PERIOD_SEC, self.health.guarded(self._look),
                          clock=Clock(clock_type=ClockType.STEADY_TIME))
        for name, find in (('full', self._find_too_full), ('backlog', self._find_backlog),
                           ('disk', self._find_low_disk), ('idle', services.find_idle)):
            self.keep(self.health.check(name, find))
        self.get_logger().info(f'writing to {self._committer.path} ({self._committer.count} '
                               f'memories so far), session {self._writer.recording.session}')

    def activate(self) -> None:
        """Listen."""
        self.at_end(self._store_what_waits)
        self._pose_silence = pose_silence(self, self.config)
        self.keep(self.health.check('silent pose', self._pose_silence))
        subscribe_pose(self, self.health, self.config, self._on_pose)
        subscribe_action(self, self.health, self.config, self._on_action)
        self.create_subscription(LatentStamped, 'spatial_rag/latent',
                                 self.health.guarded(self._on_latent), qos.stream())

    def _store_what_waits(self) -> None:
        """Latents that wait for their pose take the nearest, and what gathers is written."""
        self._place_waiting()
        self._committer.flush(FLUSH_TIMEOUT_SEC)

    def _place_waiting(self) -> None:
        self._tell_unplaced(self._writer.finish())

    def _open_journal(self) -> Journal:
        return Journal.open_writer(
            shared_parameters.memory_path(self.config),
            writer_parameters.journal_spec(self.config), self.config['durability'],
            self.get_fully_qualified_name())

    def _action_source(self) -> Callable[[int], Vector | None]:
        if self.config['action_source'] != 'motion':
            return self._actions.leading_to
        return MotionActions(self._poses, self.config['action_dim'], self.config['pose_axes'],
                             window_sec=self.config['motion_window_sec']).at

    def follow_parameters(self) -> None:
        """Take over what is remembered, and how much."""
        self._writer.admission.config = writer_parameters.admission_config(self.config)
        if self._keeper.capacity != self.config['capacity']:
            self._keeper.set_capacity(self.config['capacity'])

    def _on_pose(self, stamp_ns: int, pose: Pose) -> None:
        self._pose_silence.heard()
        self._writer.add_pose(stamp_ns, pose)
        self._advance()

    def _on_action(self, action: Vector) -> None:
        self._actions.add(action, self._poses.newest_ns)

    def _on_latent(self, msg: LatentStamped) -> None:
        step = self._writer.add_latent(sample_from_msg(msg))
        if step is Step.JUMPED_BACK:
            self.health.report('time jump', 'time ran backwards (a looped bag or a reset '
                                f'clock); new session {self._writer.recording.session}')
        self._skipped += step in (Step.REPEATED, Step.LATE)
        self._advance()

    def _advance(self) -> None:
        self._tell_unplaced(self._writer.advance())

    def _tell_unplaced(self, errors: list[PoseError]) -> None:
        for error in errors:
            self._unplaced += 1
            self.health.report('no pose', f'a latent is not remembered: {error}')

    def _look(self) -> None:
        self._advance()
        for error in self._committer.take_errors():
            backlog = self._committer.backlog
            self._tell('journal', error, f'; {backlog} waiting to be stored' if backlog else '')
        if (problem := self._keeper.take_error()) is not None:
            self._tell('capacity', problem, f'; the capacity {self._keeper.capacity} is not kept')
        if self._committer.begun_anew != self._begun_anew:
            self._begun_anew = self._committer.begun_anew
            self.get_logger().warning(
                f'going on in {self._committer.path} ({self._committer.count} memories)')

    def _tell(self, kind: str, error: Exception, consequence: str) -> None:
        if isinstance(error, JournalError):
            self.health.report(kind, f'{error}{consequence}', ERROR)
        else:
            self.health.report_error(error)

    def _find_too_full(self) -> Finding | None:
        if not self._keeper.is_exhausted:
            return None
        return Finding(f'{self._committer.count} memories exceed capacity '
                       f'{self._keeper.capacity}, but each is the only one of its cell; raise '
                       'capacity or lower h3_resolution of a new memory')

    def _find_backlog(self) -> Finding | None:
        backlog, most = self._committer.backlog, self._commits.max_backlog
        gathered = 40 * self._commits.commit_period_sec  # twice of what comes at 20 Hz
        if backlog <= MOST_BACKLOG + gathered:
            return None
        return Finding(f'{backlog} memories wait to be stored, beyond {most} the oldest are lost: '
                       'the disk is slower than they come; raise min_travel_m or '
                       'commit_period_sec, or use a faster disk',
                       ERROR if backlog > most / 2 else WARN)

    def _find_low_disk(self) -> Finding | None:
        return low_disk(self._committer.path, self.config['disk_reserve_mb'])

    def figures(self) -> dict[str, object]:
        """For /diagnostics."""
        p50, p99 = self._committer.commit_ms()
        not_admitted = self._writer.admission.not_admitted
        return {'memories_stored': self._committer.stored,
                'memories_not_admitted': sum(not_admitted.values()),
                **{f'not_admitted_{reason}': count for reason, count in not_admitted.items()},
                'commit_ms_p50': p50, 'commit_ms_p99': p99,
                'latents_without_pose': self._unplaced,
                'latents_not_recorded': self._writer.recording.skipped,
                'latents_repeated_or_late': self._skipped, 'backlog': self._committer.backlog,
                'memories_lost': self._committer.lost,
                'memories_in_file': self._committer.count, 'capacity': self._keeper.capacity,
                'memories_thinned': self._keeper.thinned,
                'session': self._writer.recording.session or 'none',
                'is_paused': self._writer.recording.is_paused, 'memory_path': self._committer.path}

    def _end_committer(self) -> None:
        """Store what still waits, and close the file."""
        lost_before = self._committer.lost
        if not self._committer.close():
            lost = self._committer.lost - lost_before + self._committer.backlog
            reason = (self._committer.take_errors() or ['the disk does not answer'])[-1]
            self.get_logger().error(f'{lost} memories that waited could not be stored: {reason}')
