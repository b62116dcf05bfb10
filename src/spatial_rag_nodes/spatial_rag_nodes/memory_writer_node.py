"""Stores each latent that is worth remembering, with its pose and action, in the memory file."""

from __future__ import annotations

from collections.abc import Callable

from spatial_rag_core.errors import ConfigurationError, InputError, JournalError
from spatial_rag_core.memory.admission import Admission
from spatial_rag_core.memory.forgetting.capacity import CapacityKeeper
from spatial_rag_core.memory.forgetting.live import forget_selected
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
from spatial_rag_msgs.srv import ForgetMemories
from spatial_rag_nodes import qos, shared_parameters, writer_parameters
from spatial_rag_nodes.closing_node import ClosingNode
from spatial_rag_nodes.conversions import sample_from_msg, selection_from_request
from spatial_rag_nodes.health import ERROR, Health
from spatial_rag_nodes.motion_inputs import subscribe_action, subscribe_pose
from spatial_rag_nodes.parameters import NodeParameters
from spatial_rag_nodes.service_threads import BusyError, ServiceThreads

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.clock import Clock, ClockType

LOOK_PERIOD_SEC = 0.1
"""How often latents are looked at whose pose does not come, and what the file has to say."""

_parameters = writer_parameters.declared


class MemoryWriterNode(ClosingNode):
    """
    Subscribes to spatial_rag/latent, pose and actions; writes the memory file.

    It writes in a thread of its own (Committer), thins in another (CapacityKeeper), and serves
    spatial_rag/forget_memories in a third: its topics wait for none of them.
    """

    def __init__(self) -> None:
        super().__init__('memory_writer')
        parameters = self._config = NodeParameters(
            self, _parameters(Settings.from_environment()), self._follow_parameters)
        self._poses = PoseBuffer(tolerance_sec=parameters['pose_tolerance_sec'])
        self._actions = ActionTrack(parameters['action_timeout_sec'])
        config = writer_parameters.writer_config(parameters)
        admission = Admission(writer_parameters.admission_config(parameters))
        self._committer = Committer(self._open_journal,
                                    CommitConfig(parameters['commit_period_sec']))
        self._keeper = CapacityKeeper(self._committer, parameters['capacity'])
        self._writer = MemoryWriter(
            self._committer, self._poses, self._action_source(), config, admission)
        self._unplaced = self._skipped = self._begun_anew = 0
        self._health = Health(self, self._figures)
        subscribe_pose(self, self._health, parameters, self._on_pose)
        subscribe_action(self, self._health, parameters, self._on_action)
        self.create_subscription(LatentStamped, 'spatial_rag/latent',
                                 self._health.guarded(self._on_latent), qos.stream())
        self.create_timer(LOOK_PERIOD_SEC, self._health.guarded(self._look),
                          clock=Clock(clock_type=ClockType.STEADY_TIME))
        self._threads = ServiceThreads(self, 'forget')
        self.create_service(
            ForgetMemories, 'spatial_rag/forget_memories', self._health.serving(
                self._serve_forget, ForgetMemories.Response.MEMORY_UNAVAILABLE),
            callback_group=ReentrantCallbackGroup())
        self.get_logger().info(f'writing to {self._committer.path} ({self._committer.count} '
                               f'memories so far), session {self._writer.session}')

    def _open_journal(self) -> Journal:
        return Journal.open_writer(
            shared_parameters.memory_path(self._config),
            writer_parameters.journal_spec(self._config), self._config['durability'],
            self.get_fully_qualified_name())

    def _action_source(self) -> Callable[[int], Vector | None]:
        if self._config['action_source'] != 'motion':
            return self._actions.leading_to
        return MotionActions(self._poses, self._config['action_dim'], self._config['pose_axes'],
                             window_sec=self._config['motion_window_sec']).at

    def _follow_parameters(self) -> None:
        self._writer.admission.config = writer_parameters.admission_config(self._config)
        if self._keeper.capacity != self._config['capacity']:
            self._keeper.set_capacity(self._config['capacity'])

    def _on_pose(self, stamp_ns: int, pose: Pose) -> None:
        self._writer.add_pose(stamp_ns, pose)
        self._advance()

    def _on_action(self, action: Vector) -> None:
        self._actions.add(action, self._poses.newest_ns)

    def _on_latent(self, msg: LatentStamped) -> None:
        step = self._writer.add_latent(sample_from_msg(msg))
        if step is Step.JUMPED_BACK:
            self._health.report('time jump', 'time ran backwards (a looped bag or a reset '
                                f'clock); new session {self._writer.session}')
        self._skipped += step in (Step.REPEATED, Step.LATE)
        self._advance()

    def _advance(self) -> None:
        for error in self._writer.advance():
            self._unplaced += 1
            self._health.report('no pose', f'a latent is not remembered: {error}')

    def _look(self) -> None:
        self._advance()
        for error in self._committer.take_errors():
            backlog = self._committer.backlog
            self._tell('journal', error, f'; {backlog} waiting to be stored' if backlog else '')
        if (problem := self._keeper.take_error()) is not None:
            self._tell('capacity', problem, f'; the capacity {self._keeper.capacity} is not kept')
        self._health.hold('full', self._too_full())
        if self._committer.begun_anew != self._begun_anew:
            self._begun_anew = self._committer.begun_anew
            self.get_logger().warning(
                f'going on in {self._committer.path} ({self._committer.count} memories)')

    def _tell(self, kind: str, error: Exception, consequence: str) -> None:
        if isinstance(error, JournalError):
            self._health.report(kind, f'{error}{consequence}', ERROR)
        else:
            self._health.report_error(error)

    def _too_full(self) -> str | None:
        if not self._keeper.is_exhausted:
            return None
        return (f'{self._committer.count} memories exceed capacity {self._keeper.capacity}, but '
                'each is the only one of its cell; raise capacity or lower h3_resolution of a '
                'new memory')

    async def _serve_forget(self, request: ForgetMemories.Request,
                            response: ForgetMemories.Response) -> ForgetMemories.Response:
        try:
            response.count = await self._threads.run(
                forget_selected, self._committer, selection_from_request(request),
                request.dry_run)
        except (ConfigurationError, InputError) as error:
            response.code, response.message = response.INVALID_REQUEST, str(error)
        except (JournalError, BusyError) as error:
            response.code, response.message = response.MEMORY_UNAVAILABLE, str(error)
        return response

    def _figures(self) -> dict[str, object]:
        p50, p99 = self._committer.commit_ms()
        not_admitted = self._writer.admission.not_admitted
        return {'memories_stored': self._committer.stored,
                'memories_not_admitted': sum(not_admitted.values()),
                **{f'not_admitted_{reason}': count for reason, count in not_admitted.items()},
                'commit_ms_p50': p50, 'commit_ms_p99': p99,
                'latents_without_pose': self._unplaced,
                'latents_repeated_or_late': self._skipped, 'backlog': self._committer.backlog,
                'memories_lost': self._committer.lost,
                'memories_in_file': self._committer.count, 'capacity': self._keeper.capacity,
                'memories_thinned': self._keeper.thinned,
                'session': self._writer.session, 'memory_path': self._committer.path}

    def close(self) -> None:
        """Store what is still waiting."""
        self._health.guarded(self._writer.finish)()
        self._keeper.close()
        lost_before = self._committer.lost
        if not self._committer.close():
            lost = self._committer.lost - lost_before + self._committer.backlog
            reason = (self._committer.take_errors() or ['the disk does not answer'])[-1]
            self.get_logger().error(f'{lost} memories that waited could not be stored: {reason}')
        self._threads.close()
