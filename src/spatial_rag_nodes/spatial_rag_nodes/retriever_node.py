"""Finds, for each latent and for whoever asks, the memories that matter."""

from __future__ import annotations

import contextlib
from dataclasses import asdict
from functools import partial
import time

from spatial_rag_core.errors import (
    JournalDamagedError,
    JournalError,
    OlderSchemaError,
    PoseError,
)
from spatial_rag_core.memory.answering.index_config import index_maker
from spatial_rag_core.memory.answering.refresher import Refresher
from spatial_rag_core.memory.retriever import Retriever
from spatial_rag_core.memory.writer import LatentSample
from spatial_rag_core.records import MemoryQuery, Pose
from spatial_rag_core.settings import Settings
from spatial_rag_core.streams.metrics import LatencyWindow, RateWindow
from spatial_rag_core.streams.newest_first import NewestFirstWorker
from spatial_rag_core.streams.pose_buffer import PoseBuffer
from spatial_rag_msgs.msg import LatentStamped, RetrievedMemories
from spatial_rag_nodes import qos, shared_parameters
from spatial_rag_nodes.conversions import msg_from_hit, msg_from_pose, RANK_BY, sample_from_msg
from spatial_rag_nodes.health import ERROR
from spatial_rag_nodes.health_checks import Drops, Find, Finding, TimeJumps, TooSlow
from spatial_rag_nodes.index_parameters import index_config, INDEX_PARAMETERS
from spatial_rag_nodes.managed_node import ManagedNode
from spatial_rag_nodes.motion_inputs import (
    check_pose_source,
    POSE_PARAMETERS,
    pose_silence,
    subscribe_pose,
)
from spatial_rag_nodes.parameters import Parameter
from spatial_rag_nodes.retriever_services import RetrieverServices

from std_msgs.msg import Header


def _parameters(settings: Settings) -> tuple[Parameter, ...]:
    return (
        *shared_parameters.START,
        shared_parameters.MEMORY_PATH,
        *INDEX_PARAMETERS,
        *POSE_PARAMETERS,
        Parameter('k', settings.topk, 'Memories for each latent', '', 1, 1024, live=True),
        Parameter('radius_m', 5.0, 'Memories lie at most this far from the robot', 'm',
                  0.01, 100000.0, live=True),
        Parameter('max_dz_m', 0.0, 'Memories lie at most this much higher or lower than the '
                  'robot, for buildings of several floors; 0: not bounded', 'm', 0.0, 100000.0,
                  live=True),
        Parameter('min_age_sec', 5.0, 'Memories lie at least this far in time from the frame, '
                  'before or after it', 's', 0.0, 1e9, live=True),
        Parameter('map_id', '', 'Only memories of this map; empty: of all', live=True),
        Parameter('rank_by', 'pose', 'Nearest by pose, or by latent; predictions gain from '
                  'memories chosen by pose (measured: docs/BENCHMARKS.md)', live=True,
                  choices=('latent', 'pose')),
        Parameter('newest_only', True, 'Of views of nearly the same place (0.4 m, 18 deg) only '
                  'the last counts: the world may have changed', live=True),
        Parameter('metric', 'l2', 'Distance of latents: l2, or cosine (1 - cos)', live=True,
                  choices=('l2', 'cosine')),
        Parameter('diversity', 0.0, '0: the nearest; towards 1 memories that are unlike each '
                  'other count more', '', 0.0, 1.0, live=True),
        Parameter('refresh_period_sec', 0.02, 'How often the memory file is looked at for new '
                  'memories', 's', 0.005, 10.0),
        Parameter('encoder_timeout_sec', 2.0, 'query_memory_by_image waits so long for the '
                  'encoder', 's', 0.01, 60.0, live=True),
        shared_parameters.LATENCY_BUDGET,
    )


class RetrieverNode(ManagedNode):
    """
    Publishes spatial_rag/retrieved for each latent, and answers services.

    Latents are looked up in the executor's thread, or in one of their own where the index is
    not in this process' memory, and wait for nothing else: memories come in in another thread
    (Refresher), also while the node is inactive, and services are answered in others
    (RetrieverServices).
    """

    def __init__(self) -> None:
        super().__init__('retriever', _parameters(Settings.from_environment()))

    def configure(self) -> None:
        """Open the memory and begin to load it; offer topics and services."""
        config = self.config
        check_pose_source(config)
        path, self._index = shared_parameters.memory_path(config), index_config(config)
        self._retriever = Retriever(path, index_maker(self._index, path), config['map_frame'])
        self.at_end(partial(self._retriever.close, 0.0))  # the refresher has waited for it
        with contextlib.suppress(OlderSchemaError, JournalDamagedError):
            self._retriever.open()  # these the writer may mend; until then each refresh tells them
        self._poses = PoseBuffer(tolerance_sec=config['pose_tolerance_sec'])
        self._search_ms, self._rate = LatencyWindow(), RateWindow()
        self._without_pose = self._dropped = 0
        self._publisher = self.create_lifecycle_publisher(
            RetrievedMemories, 'spatial_rag/retrieved', qos.stream())
        self._refresher = Refresher(self._retriever, config['refresh_period_sec'],
                                    self.health.report_error)
        self._memory_services = self.keep(RetrieverServices(
            self, config, self.health, self._retriever, self._refresher))
        self.keep(self._refresher)
        for name, find in (('loading', self._find_loading), ('damage', self._find_damage)):
            self.keep(self.health.check(name, find))
        self.get_logger().info(f'reading {path}')

    def activate(self) -> None:
        """Listen, and look after what comes."""
        self._worker = None if self._index.kind == 'embedded' else self.keep(
            NewestFirstWorker(self.health.guarded(self._look_up), 'lookups'))
        self._handed_over = RetrievedMemories()
        self._pose_silence = pose_silence(self, self.config)
        self._pose_time = TimeJumps(self.health, 'poses')
        for name, find in self._checks():
            self.keep(self.health.check(name, find))
        subscribe_pose(self, self.health, self.config, self._on_pose)
        self.create_subscription(LatentStamped, 'spatial_rag/latent',
                                 self.health.guarded(self._on_latent), qos.stream())

    def _checks(self) -> tuple[tuple[str, Find], ...]:
        return (
            ('silent pose', self._pose_silence),
            ('slow', TooSlow(self._search_ms, self._rate,
                             lambda: self.config['latency_budget_sec'], 'a search',
                             'lower radius_m or k, or leave this machine more room')),
            ('drops', Drops(lambda: self._dropped, 'latents were not looked up',
                            'the index is slower than they come; lower publish_rate of the '
                            'encoder')))

    def _on_pose(self, stamp_ns: int, pose: Pose) -> None:
        self._pose_silence.heard()
        self._pose_time.follow(stamp_ns, self._poses.insert(stamp_ns, pose))

    def _on_latent(self, msg: LatentStamped) -> None:
        answer = RetrievedMemories(header=Header(
            stamp=msg.header.stamp, frame_id=self.config['map_frame']),
            model_id=msg.model_id, rank_by=RANK_BY[self.config['rank_by']])
        try:
            sample = sample_from_msg(msg)
            pose = self._pose_at(sample.stamp_ns)
        except Exception:
            self._publish(answer)
            raise
        answer.pose, answer.pose_valid = msg_from_pose(pose), True
        item = self._standing_query(sample, pose), answer
        if self._worker is None:
            self._look_up(item)
            return
        if not self._worker.put(item):  # the one before was dropped for it
            self._dropped += 1
            self._publish(self._handed_over)
        self._handed_over = answer

    def _pose_at(self, stamp_ns: int) -> Pose:
        try:
            return self._poses.at(stamp_ns)
        except PoseError as error:
            self._without_pose += 1
            raise PoseError(f'nothing is retrieved for a latent: {error}') from error

    def _look_up(self, item: tuple[MemoryQuery, RetrievedMemories]) -> None:
        query, answer = item
        start = time.perf_counter()
        try:
            hits = self._retriever.query(query)
            answer.search_time_ms = (time.perf_counter() - start) * 1e3
            self._search_ms.add(answer.search_time_ms)
            answer.memories = [msg_from_hit(hit, self.config['map_frame']) for hit in hits]
        finally:
            self._publish(answer)

    def _publish(self, answer: RetrievedMemories) -> None:
        """Also where it is empty: each latent has its answer."""
        self._publisher.publish(answer)
        self._rate.tick(time.monotonic_ns())

    def _standing_query(self, sample: LatentSample, pose: Pose) -> MemoryQuery:
        config = self.config
        return MemoryQuery(
            k=config['k'], vector=sample.z, pose=pose, radius_m=config['radius_m'],
            max_dz_m=config['max_dz_m'] or None, rank_by=config['rank_by'],
            min_age_sec=config['min_age_sec'], timestamp=sample.stamp_ns / 1e9,
            map_id=config['map_id'] or None, model_id=sample.model_id,
            metric=config['metric'], newest_only=config['newest_only'],
            diversity=config['diversity'])

    def figures(self) -> dict[str, object]:
        """For /diagnostics."""
        p50, p99 = self._search_ms.percentiles()
        figures = {
            'retrieval_hz': self._rate.rate_hz(time.monotonic_ns()), 'search_ms_p50': p50,
            'search_ms_p99': p99, 'memories_in_index': self._retriever.index_count,
            'lag_memories': self._lag(), 'cells': self._retriever.cell_count,
            'latents_without_pose': self._without_pose, 'latents_dropped': self._dropped,
            'index': self.config['index'], 'memory_path': self._retriever.path}
        if (shipping := self._retriever.shipping) is not None:
            figures |= {f'shipping_{name}': value for name, value in asdict(shipping).items()}
        return figures

    def _find_loading(self) -> Finding | None:
        loading = self._retriever.loading
        return None if loading is None else Finding(
            f'loading {loading[0]} of {loading[1]} memories; those that are not loaded yet are '
            'not retrieved')

    def _find_damage(self) -> Finding | None:
        damage = self._retriever.damage
        return None if damage is None else Finding(f'{self._retriever.path}: {damage}', ERROR)

    def _lag(self) -> int | str:
        """Memories in the file that cannot be found yet."""
        try:
            return self._retriever.stats().count - self._retriever.index_count
        except JournalError:
            return 'unknown'
