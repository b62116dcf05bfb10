"""The markers of a whole memory, of which only those are sent that somebody lacks."""

from __future__ import annotations

from collections.abc import Callable
import time

from spatial_rag_core.view.chunk_schedule import Chunk, ChunkSchedule
from spatial_rag_core.view.drawn_memory import DrawnMemory
from spatial_rag_core.view.shapes import Shape, triangles
from spatial_rag_nodes.marker_messages import delete_all, marker_of, size_bytes

from rclpy.publisher import Publisher
from visualization_msgs.msg import Marker, MarkerArray

_POINT_M = 0.12


class MemoryMarkers:
    """
    Publishes `memories` (points) and `cells` (triangles) in the frame of the map.

    scale: points are so many times as large.  make_schedule: for each memory that is drawn, see
    ChunkSchedule. One thread shows; another may tell of new subscribers.
    """

    def __init__(self, publisher: Publisher, frame: str, scale: float,
                 make_schedule: Callable[[], ChunkSchedule]) -> None:
        self._publisher, self._frame, self._make_schedule = publisher, frame, make_schedule
        self._point_m = scale * _POINT_M
        self._schedule = make_schedule()
        self._drawn: DrawnMemory | None = None
        self._is_someone_new = False
        self.sent = self.sent_bytes = 0

    @property
    def waiting(self) -> int:
        """Markers that look different from what was sent."""
        return self._schedule.waiting

    def welcome(self) -> None:
        """Send everything to a new subscriber."""
        self._is_someone_new = True

    def show(self, drawn: DrawnMemory | None) -> None:
        """Publish what is due of a memory; None: there is none."""
        if drawn is not self._drawn:
            self._begin(drawn)
        if drawn is None:
            return
        for layer, changed in (('cells', drawn.hexagons.take_changed()),  # little, seen from afar
                               ('memories', drawn.points.take_changed())):
            self._schedule.changed(layer, changed)
        if self._is_someone_new:
            self._is_someone_new = False
            self._schedule.all_changed()
        if self._publisher.get_subscription_count():
            self._send(drawn)

    def _begin(self, drawn: DrawnMemory | None) -> None:
        """Another memory is drawn: the markers of the old one must go."""
        self._drawn, self._schedule = drawn, self._make_schedule()
        self._publisher.publish(MarkerArray(markers=[delete_all(self._frame)]))

    def _send(self, drawn: DrawnMemory) -> None:
        markers = []
        for chunk in self._schedule.due(time.monotonic()):
            marker = self._marker(drawn, chunk)
            markers.append(marker)
            self.sent_bytes += size_bytes(marker)
            self._schedule.sent(chunk, size_bytes(marker), not marker.points)
        if markers:
            self.sent += len(markers)
            self._publisher.publish(MarkerArray(markers=markers))

    def _marker(self, drawn: DrawnMemory, chunk: Chunk) -> Marker:
        if chunk.layer == 'memories':
            return marker_of(Shape(*drawn.points.chunk(chunk.number)), *chunk, Marker.POINTS,
                             self._frame, self._point_m)
        return marker_of(triangles(drawn.hexagons.chunk(chunk.number)), *chunk,
                         Marker.TRIANGLE_LIST, self._frame)
