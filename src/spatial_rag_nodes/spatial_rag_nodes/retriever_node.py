"""Finds, for each latent and for whoever asks, the memories that matter."""

from __future__ import annotations

import time

from spatial_rag_core.errors import (
    ConfigurationError,
    InputError,
    JournalError,
    ModelMismatchError,
    PoseError,
)
from spatial_rag_core.memory.retriever import Retriever
from spatial_rag_core.memory.writer import LatentSample
from spatial_rag_core.records import Hit, MemoryQuery, Pose
from spatial_rag_core.settings import Settings
from spatial_rag_core.streams.metrics import LatencyWindow, RateWindow
from spatial_rag_core.streams.pose_buffer import PoseBuffer
from spatial_rag_core.streams.stamp_order import Step
from spatial_rag_msgs.msg import LatentStamped, RetrievedMemories
from spatial_rag_msgs.srv import MemoryStats, QueryMemory
from spatial_rag_nodes import qos, shared_parameters
from spatial_rag_nodes.conversions import (
    fill_stats,
    msg_from_hit,
    msg_from_pose,
    query_from_request,
    RANK_BY,
    sample_from_msg,
)
from spatial_rag_nodes.health import Health
from spatial_rag_nodes.motion_inputs import POSE_PARAMETERS, subscribe_pose
from spatial_rag_nodes.parameters import NodeParameters, Parameter

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from std_msgs.msg import Header


def _parameters(settings: Settings) -> tuple[Parameter, ...]:
    return (
        shared_parameters.MEMORY_PATH,
        *POSE_PARAMETERS,
        Parameter('k', settings.topk, 'Memories for each latent', '', 1, 1024, live=True),
        Parameter('radius_m', 5.0, 'Memories lie at most this far from the robot', 'm',
                  0.01, 100000.0, live=True),
        Parameter('min_age_sec', 3.0, 'Memories lie at least this far in time from the frame, '
                  'before or after it', 's', 0.0, 1e9, live=True),
        Parameter('rank_by', 'latent', 'Nearest by latent, or by pose', live=True,
                  choices=('latent', 'pose')),
        Parameter('refresh_period_sec', 0.1, 'How often the memory file is looked at for new '
                  'memories', 's', 0.01, 10.0),
    )


class RetrieverNode(Node):
    """Publishes spatial_rag/retrieved for each latent; serves query_memory and memory_stats."""

    def __init__(self) -> None:
        super().__init__('retriever')
        parameters = self._config = NodeParameters(
            self, _parameters(Settings.from_environment()))
        self._retriever = Retriever(shared_parameters.memory_path(parameters),
                                    map_frame=parameters['map_frame'])
        self._retriever.refresh()
        self._poses = PoseBuffer(tolerance_sec=parameters['pose_tolerance_sec'])
        self._search_ms, self._rate = LatencyWindow(), RateWindow()
        self._without_pose = 0
        self._health = Health(self, self._figures)
        subscribe_pose(self, self._health, parameters, self._on_pose)
        self._publisher = self.create_publisher(
            RetrievedMemories, 'spatial_rag/retrieved', qos.stream())
        self.create_subscription(LatentStamped, 'spatial_rag/latent',
                                 self._health.guarded(self._on_latent), qos.stream())
        self.create_service(
            QueryMemory, 'spatial_rag/query_memory', self._health.serving(
                self._serve_query, QueryMemory.Response.MEMORY_UNAVAILABLE))
        self.create_service(
            MemoryStats, 'spatial_rag/memory_stats', self._health.serving(
                self._serve_stats, MemoryStats.Response.MEMORY_UNAVAILABLE))
        self.create_timer(parameters['refresh_period_sec'], self._health.guarded(self._refresh),
                          clock=Clock(clock_type=ClockType.STEADY_TIME))
        self.get_logger().info(f'reading {self._retriever.path}: '
                               f'{self._retriever.index_count} memories')

    def _refresh(self) -> None:
        self._retriever.refresh()

    def _on_pose(self, stamp_ns: int, pose: Pose) -> None:
        if self._poses.insert(stamp_ns, pose) is Step.JUMPED_BACK:
            self._health.report('time jump', 'poses: time ran backwards (a looped bag or a '
                                'reset clock); going on from there')

    def _on_latent(self, msg: LatentStamped) -> None:
        answer = RetrievedMemories(header=Header(
            stamp=msg.header.stamp, frame_id=self._config['map_frame']),
            model_id=msg.model_id, rank_by=RANK_BY[self._config['rank_by']])
        try:
            self._look_up(sample_from_msg(msg), answer)
        finally:
            self._publisher.publish(answer)  # also where it is empty: the predictor waits for it
            self._rate.tick(time.monotonic_ns())

    def _look_up(self, sample: LatentSample, answer: RetrievedMemories) -> None:
        try:
            pose = self._poses.at(sample.stamp_ns)
        except PoseError as error:
            self._without_pose += 1
            raise PoseError(f'nothing is retrieved for a latent: {error}') from error
        answer.pose, answer.pose_valid = msg_from_pose(pose), True
        start = time.perf_counter()
        hits = self._retriever.query(self._standing_query(sample, pose))
        answer.search_time_ms = (time.perf_counter() - start) * 1e3
        self._search_ms.add(answer.search_time_ms)
        answer.memories = self._messages(hits)

    def _standing_query(self, sample: LatentSample, pose: Pose) -> MemoryQuery:
        return MemoryQuery(
            k=self._config['k'], vector=sample.z, pose=pose,
            radius_m=self._config['radius_m'], rank_by=self._config['rank_by'],
            min_age_sec=self._config['min_age_sec'], timestamp=sample.stamp_ns / 1e9,
            model_id=sample.model_id)

    def _messages(self, hits: list[Hit]) -> list[object]:
        return [msg_from_hit(hit, self._config['map_frame']) for hit in hits]

    def _serve_query(self, request: QueryMemory.Request,
                     response: QueryMemory.Response) -> QueryMemory.Response:
        start = time.perf_counter()
        try:
            self._retriever.refresh()
            query = query_from_request(request, self._config['map_frame'],
                                       self._config['k'],
                                       self.get_clock().now().nanoseconds / 1e9)
            response.memories = self._messages(
                self._retriever.query(query, request.with_thumbnails))
        except (ConfigurationError, InputError) as error:
            response.code, response.message = response.INVALID_REQUEST, str(error)
        except ModelMismatchError as error:
            response.code, response.message = response.WRONG_MODEL, str(error)
        except JournalError as error:
            response.code, response.message = response.MEMORY_UNAVAILABLE, str(error)
        response.search_time_ms = (time.perf_counter() - start) * 1e3
        return response

    def _serve_stats(self, _request: MemoryStats.Request,
                     response: MemoryStats.Response) -> MemoryStats.Response:
        try:
            self._retriever.refresh()
            fill_stats(response, self._retriever)
        except JournalError as error:
            response.code, response.message = response.MEMORY_UNAVAILABLE, str(error)
        return response

    def _figures(self) -> dict[str, object]:
        p50, p99 = self._search_ms.percentiles()
        return {'retrieval_hz': self._rate.rate_hz(time.monotonic_ns()), 'search_ms_p50': p50,
                'search_ms_p99': p99, 'memories_in_index': self._retriever.index_count,
                'cells': self._retriever.cell_count, 'latents_without_pose': self._without_pose,
                'memory_path': self._retriever.path}

    def destroy_node(self) -> None:
        """Close the memory file, then end."""
        self._retriever.close()
        super().destroy_node()
