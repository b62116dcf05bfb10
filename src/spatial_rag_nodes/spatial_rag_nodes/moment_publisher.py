"""Shows the present moment: markers of what is recalled and expected, a path, pictures."""

from __future__ import annotations

from spatial_rag_core.memory.retriever import Retriever
from spatial_rag_core.models.bundle import Bundle
from spatial_rag_core.records import Memory, Pose, Position, Quaternion
from spatial_rag_core.view.moment import foresee, Foresight, Moment
from spatial_rag_core.view.moment_pictures import moment_pictures, MomentPictures
from spatial_rag_core.view.shapes import (
    LINE_WIDTHS_M,
    path_points,
    recall_lines,
    recalled_points,
)
from spatial_rag_nodes import qos
from spatial_rag_nodes.conversions import msg_from_pose
from spatial_rag_nodes.images import image_from_rgb
from spatial_rag_nodes.live_moment import LiveMoment
from spatial_rag_nodes.marker_messages import marker_of

from geometry_msgs.msg import PoseStamped
from nav_msgs.msg import Path
from rclpy.lifecycle import LifecycleNode
from rclpy.publisher import Publisher
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from visualization_msgs.msg import Marker, MarkerArray

_LIFETIME_SEC = 5
"""What was true of a moment is shown no longer than this where nothing newer comes."""
_RECALLED_M, _STEP_M = 0.18, 0.08


class MomentPublisher:
    """
    Publishes markers, spatial_rag/predicted_path, and pictures under spatial_rag/view.

    What nobody subscribes to is not made. bundle: None: nothing is decoded, no path predicted.
    scale: lines are so many times as wide, points as large.
    """

    def __init__(self, node: LifecycleNode, markers: Publisher, retriever: Retriever,
                 bundle: Bundle | None, frame: str, path_steps: int,
                 scale: float) -> None:
        self._markers, self._retriever, self._bundle = markers, retriever, bundle
        self._frame, self._path_steps, self._scale = frame, path_steps, scale
        self._best: Memory | None = None
        self._path = node.create_lifecycle_publisher(
            Path, 'spatial_rag/predicted_path', qos.stream())
        self._pictures = [node.create_lifecycle_publisher(
            Image, f'spatial_rag/view/{name}', qos.stream()) for name in MomentPictures._fields]

    @property
    def is_watched(self) -> bool:
        """Whether anybody subscribes to anything of it."""
        return any(publisher.get_subscription_count() for publisher in (
            self._markers, self._path, *self._pictures))

    def show(self, live: LiveMoment) -> None:
        """Publish all that is wanted of a moment; raises BundleError, JournalError, ImageError."""
        if self._bundle is not None:
            self._bundle.require_author(live.sample.model_id)
        if live.moment is not None:
            self._show_on_map(live.moment, live.header)
        best = None if live.moment is None else live.moment.best()
        pictures = moment_pictures(self._bundle, live.sample.thumbnail, live.sample.z, live.z_next,
                                   lambda: self._thumbnail_of(best))
        for publisher, make in zip(self._pictures, pictures, strict=True):
            if publisher.get_subscription_count() and (rgb := make()) is not None:
                publisher.publish(image_from_rgb(rgb, live.header))

    def _thumbnail_of(self, memory: Memory | None) -> bytes:
        """Messages bring memories without their pictures; the memory file has them."""
        if memory is None:
            return b''
        if self._best is None or self._best.id != memory.id:
            self._best = self._retriever.get_memory(memory.id)
        return b'' if self._best is None else self._best.thumbnail

    def _show_on_map(self, moment: Moment, header: Header) -> None:
        wants_markers = self._markers.get_subscription_count()
        wants_path = self._path.get_subscription_count()
        if not wants_markers and not wants_path:
            return
        foresight = self._bundle and foresee(self._bundle, moment, self._path_steps)
        if wants_markers:
            self._markers.publish(markers_of(
                moment, foresight, self._frame, self._scale))
        if wants_path:
            self._path.publish(path_of(
                foresight, Header(stamp=header.stamp, frame_id=self._frame)))


def markers_of(moment: Moment, foresight: Foresight | None, frame: str,
               scale: float) -> MarkerArray:
    """
    Return what was recalled, and the steps that are expected, in the frame of the map.

    Lines to what was recalled are `retrieved` 0 to 4, the widest the nearest in latent; 5 are
    the places themselves. `predicted_path` are the steps.
    """
    markers = [marker_of(shape, 'retrieved', number, Marker.LINE_LIST, frame,
                         scale * width_m, _LIFETIME_SEC)
               for number, (shape, width_m) in enumerate(
                   zip(recall_lines(moment), LINE_WIDTHS_M, strict=True))]
    markers.append(marker_of(recalled_points(moment), 'retrieved', len(markers), Marker.POINTS,
                             frame, scale * _RECALLED_M, _LIFETIME_SEC))
    markers.append(marker_of(path_points(foresight), 'predicted_path', 0, Marker.POINTS, frame,
                             scale * _STEP_M, _LIFETIME_SEC))
    return MarkerArray(markers=markers)


def path_of(foresight: Foresight | None, header: Header) -> Path:
    """Poses that are expected, the present one first; none where nothing is."""
    poses = () if foresight is None else zip(
        foresight.positions.tolist(), foresight.orientations.tolist(), strict=True)
    return Path(header=header, poses=[
        PoseStamped(header=header, pose=msg_from_pose(
            Pose(Position(*position), Quaternion(*orientation))))
        for position, orientation in poses])
