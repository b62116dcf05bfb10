"""Watches a running stack from outside, by its topics and its memory_stats service."""

from __future__ import annotations

from functools import partial
import time
from typing import Any

from spatial_rag_bringup.stack_figures import StackFigures, Stage, stamp_of_serialized, Stream
from spatial_rag_msgs.msg import LatentStamped, RetrievedMemories
from spatial_rag_msgs.srv import MemoryStats

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.context import Context
from rclpy.node import Node
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.task import Future
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Float32MultiArray

QUESTION_TIMEOUT_SEC = 10.0
"""A question that was not answered for so long is asked anew: its server may have died."""
_COUNTED = ('errors', 'frames_dropped', 'frames_over_rate', 'frames_stale',
            'memories_not_admitted')


def _stream_qos() -> QoSProfile:
    return QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=100,
                      reliability=ReliabilityPolicy.RELIABLE)


def published_ns(info: dict[str, Any]) -> int:
    """When a message was published, Unix time [ns]; where the middleware does not say: now."""
    return info['source_timestamp'] or time.time_ns()


def node_of(status_name: str, namespace: str) -> str | None:
    """Name of the node that speaks, None where it is not one of this namespace ('/' the root)."""
    name, ours = status_name.removeprefix('spatial_rag: '), namespace.strip('/')
    owner, _, node = name.rpartition('/')
    return node if name != status_name and owner == ours else None


class StackMonitor(Node):
    """
    Fills StackFigures.

    Pictures are not decoded: only their stamps are read, and when they were published. Rates
    are those of arrival, on a clock that nobody sets.
    """

    def __init__(self, namespace: str, compressed: bool, context: Context | None = None) -> None:
        super().__init__('stack_monitor', namespace=namespace, context=context)
        self.figures = StackFigures()
        self.nodes_seen: set[str] = set()
        self._stats_future: Future | None = None
        self._asked_at = 0.0
        figures = self.figures
        kind = CompressedImage if compressed else Image
        self._watch(kind, 'camera/image_raw' + ('/compressed' if compressed else ''),
                    partial(self._stamped, figures.frames,
                            (figures.image_to_latent, figures.image_to_latent_next), ()))
        self._watch(LatentStamped, 'spatial_rag/latent',
                    partial(self._stamped, None, (figures.retrieval,),
                            (figures.image_to_latent,)))
        self._watch(LatentStamped, 'spatial_rag/latent_next',
                    partial(self._stamped, None, (), (figures.image_to_latent_next,)))
        self._watch(Float32MultiArray, 'latent', partial(self._counted, figures.latent))
        self._watch(Float32MultiArray, 'latent_next',
                    partial(self._counted, figures.latent_next))
        self.create_subscription(RetrievedMemories, 'spatial_rag/retrieved',
                                 self._on_retrieved, _stream_qos())
        self.create_subscription(DiagnosticArray, '/diagnostics', self._on_diagnostics,
                                 _stream_qos())
        self._stats = self.create_client(MemoryStats, 'spatial_rag/memory_stats')

    def _watch(self, kind: type, topic: str, callback: object) -> None:
        """Take the bytes as they come."""
        self.create_subscription(kind, topic, callback, _stream_qos(), raw=True)

    def _stamped(self, stream: Stream | None, begins: tuple[Stage, ...],
                 ends: tuple[Stage, ...], message: bytes, info: dict[str, Any]) -> None:
        if stream is not None:
            stream.tick(time.monotonic_ns())
        stamp_ns, time_ns = stamp_of_serialized(message), published_ns(info)
        for stage in begins:
            stage.begin(stamp_ns, time_ns)
        for stage in ends:
            stage.end(stamp_ns, time_ns)

    def _counted(self, stream: Stream, _message: bytes) -> None:
        stream.tick(time.monotonic_ns())

    def _on_retrieved(self, msg: RetrievedMemories, info: dict[str, Any]) -> None:
        stamp = msg.header.stamp
        self.figures.retrieval.end(stamp.sec * 1_000_000_000 + stamp.nanosec, published_ns(info))
        self.figures.hits.append(len(msg.memories))

    def _on_diagnostics(self, msg: DiagnosticArray) -> None:
        for status in msg.status:
            node = node_of(status.name, self.get_namespace())
            if node is None:
                continue
            self.nodes_seen.add(node)
            if status.level != DiagnosticStatus.OK:
                self.figures.note_problem(f'{node}: {status.message}')
            for item in status.values:
                if item.key in _COUNTED:
                    self.figures.counters.update(node, item.key, int(item.value))

    @property
    def is_asking(self) -> bool:
        """Whether a question is under way that may still be answered."""
        return (self._stats_future is not None and not self._stats_future.done()
                and time.monotonic() - self._asked_at < QUESTION_TIMEOUT_SEC)

    def ask_stats(self) -> None:
        """
        Ask the memory how much it holds; the answer comes while spinning.

        A large memory takes its time: while a question is under way no other is asked.
        """
        if self.is_asking or not self._stats.service_is_ready():
            return
        if self._stats_future is not None and not self._stats_future.done():
            self._stats_future.cancel()
        self._asked_at = time.monotonic()
        self._stats_future = self._stats.call_async(MemoryStats.Request())
        self._stats_future.add_done_callback(self._take_stats)

    def _take_stats(self, future: Future) -> None:
        if future.cancelled() or future.exception() is not None:
            return
        answer = future.result()
        if answer.code != MemoryStats.Response.OK:
            return
        if self.figures.memories_before is None:
            self.figures.memories_before = answer.journal_count
        self.figures.memories_now = answer.journal_count
