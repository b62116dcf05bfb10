"""Messages to records and back; what only services need: the other *_conversions.py."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
import math
from typing import NamedTuple, TYPE_CHECKING, TypeVar

from spatial_rag_core.errors import ConfigurationError, PoseError
from spatial_rag_core.memory.writer import LatentSample
from spatial_rag_core.records import (
    as_action,
    as_latent,
    Box,
    Hit,
    Memory,
    MemoryQuery,
    MemorySelection,
    Metric,
    Pose,
    Position,
    Quaternion,
    RankBy,
    Vector,
)
from spatial_rag_core.streams.motion import twist_action
from spatial_rag_msgs.msg import LatentStamped, RetrievedMemories, RetrievedMemory
from spatial_rag_msgs.msg import Memory as MemoryMsg
from spatial_rag_msgs.srv import (
    ForgetMemories,
    LabelMemories,
    MemoryStats,
    QueryMemory,
    QueryMemoryByImage,
)

from builtin_interfaces.msg import Time
from geometry_msgs.msg import Point, PoseStamped, Transform, Twist
from geometry_msgs.msg import Pose as PoseMsg
from geometry_msgs.msg import Quaternion as QuaternionMsg
from nav_msgs.msg import Odometry
import numpy as np
from std_msgs.msg import Float32MultiArray, Header, MultiArrayDimension, MultiArrayLayout

if TYPE_CHECKING:  # these bring Faiss and torch, which not every node needs
    from spatial_rag_core.memory.retriever import Retriever
    from spatial_rag_core.models.imagined import Imagined
    from spatial_rag_core.models.memory_bank import MemoryBank

Name = TypeVar('Name', RankBy, Metric)

RANK_BY: dict[RankBy, int] = {'latent': RetrievedMemories.RANK_BY_LATENT,
                              'pose': RetrievedMemories.RANK_BY_POSE}
"""Name of a ranking → its constant in the messages."""

METRIC: dict[Metric, int] = {'l2': QueryMemory.Request.METRIC_L2,
                             'cosine': QueryMemory.Request.METRIC_COSINE}
"""Name of a distance of latents → its constant in the messages."""


def ns_from_time(stamp: Time) -> int:
    """Nanoseconds since the epoch of the stamp's clock."""
    return stamp.sec * 1_000_000_000 + stamp.nanosec


def time_from_ns(stamp_ns: int) -> Time:
    """Stamp of so many nanoseconds."""
    return Time(sec=stamp_ns // 1_000_000_000, nanosec=stamp_ns % 1_000_000_000)


def time_from_seconds(seconds: float | None) -> Time:
    """Stamp of a Unix time [s]; None gives 0."""
    if seconds is None:
        return Time()
    whole = math.floor(seconds)  # apart, for a float has no room for today's nanoseconds
    return time_from_ns(whole * 1_000_000_000 + round((seconds - whole) * 1e9))


def pose_from_msg(msg: PoseMsg) -> Pose:
    """Raises PoseError where it is not finite or has no rotation."""
    p, q = msg.position, msg.orientation
    return Pose(Position(p.x, p.y, p.z), Quaternion(q.x, q.y, q.z, q.w))


def msg_from_pose(pose: Pose) -> PoseMsg:
    """Position [m] and orientation."""
    (x, y, z), (qx, qy, qz, qw) = pose.position, pose.orientation
    return PoseMsg(position=Point(x=x, y=y, z=z),
                   orientation=QuaternionMsg(x=qx, y=qy, z=qz, w=qw))


def map_pose_from_msg(msg: PoseStamped | Odometry, map_frame: str) -> Pose:
    """Raises PoseError where the message's frame is not map_frame."""
    if msg.header.frame_id != map_frame:
        raise PoseError(f'pose is in frame {msg.header.frame_id!r}, the memory in '
                        f'{map_frame!r}; transform it, or set map_frame')
    return pose_from_msg(msg.pose.pose if isinstance(msg, Odometry) else msg.pose)


def pose_from_transform(transform: Transform) -> Pose:
    """Where the child frame stands in the parent; raises PoseError as pose_from_msg does."""
    p, q = transform.translation, transform.rotation
    return Pose(Position(p.x, p.y, p.z), Quaternion(q.x, q.y, q.z, q.w))


def floats_from_vector(vector: Vector) -> array[float]:
    """float32[] of a message, as rclpy takes it without a look at each element."""
    return array('f', vector.astype(np.float32).tobytes())


def array_from_vector(vector: Vector, label: str = 'z') -> Float32MultiArray:
    """One dimension: label, size, and stride = size."""
    size = len(vector)
    return Float32MultiArray(
        layout=MultiArrayLayout(dim=[MultiArrayDimension(label=label, size=size, stride=size)]),
        data=floats_from_vector(vector))


def action_from_msg(msg: Float32MultiArray | Twist, action_dim: int) -> Vector:
    """float32 [action_dim]; of a Twist: as spatial_rag_core.streams.motion orders it."""
    if isinstance(msg, Twist):
        linear, angular = msg.linear, msg.angular
        return twist_action((linear.x, linear.y, linear.z, angular.x, angular.y, angular.z),
                            action_dim)
    return as_action(msg.data[msg.layout.data_offset:], action_dim)


def proprio_from_msg(msg: Float32MultiArray) -> Vector:
    """float32 [P], as the robot publishes it."""
    return np.array(msg.data[msg.layout.data_offset:], np.float32)


def sample_from_msg(msg: LatentStamped, z_dim: int | None = None) -> LatentSample:
    """Raises LatentError where z is not finite, or not of this length (None: of any)."""
    return LatentSample(ns_from_time(msg.header.stamp), as_latent(msg.z, z_dim), msg.model_id,
                        bytes(msg.thumbnail))


def msg_from_latent(z: Vector, header: Header, model_id: str,
                    thumbnail: bytes = b'') -> LatentStamped:
    """Latent z [z_dim] of the frame that `header` belongs to."""
    return LatentStamped(header=header, model_id=model_id, z=floats_from_vector(z),
                         thumbnail=array('B', thumbnail))


def fill_memory_weights(msg: LatentStamped, both: Imagined, memories: MemoryBank) -> None:
    """Name what a prediction rests on: the first future of both, one step (Bundle.foresee)."""
    rows = both.memory_rows[0, 0]
    msg.memory_ids = [memories.ids[row] for row in rows.tolist() if row >= 0]
    msg.memory_weights = floats_from_vector(both.weights[0, 0][rows >= 0])


def msg_from_memory(memory: Memory, map_frame: str) -> MemoryMsg:
    """The whole record."""
    return MemoryMsg(
        header=Header(stamp=time_from_seconds(memory.timestamp), frame_id=map_frame),
        id=memory.id, model_id=memory.model_id, vector=floats_from_vector(memory.vector),
        pose=msg_from_pose(memory.pose), h3_cell=memory.h3_cell,
        action=floats_from_vector(memory.action), session=memory.session, robot=memory.robot,
        map_id=memory.map_id, labels=list(memory.labels),
        thumbnail=array('B', memory.thumbnail))


def msg_from_hit(hit: Hit, map_frame: str) -> RetrievedMemory:
    """Memory, distance and separation [m]."""
    return RetrievedMemory(memory=msg_from_memory(hit.memory, map_frame),
                           distance=hit.distance, separation_m=hit.separation_m)


def memory_from_msg(msg: MemoryMsg, z_dim: int) -> Memory:
    """Raises LatentError, ActionError or PoseError where a number is not finite or lacking."""
    stamp = msg.header.stamp
    return Memory(
        id=msg.id, model_id=msg.model_id, vector=as_latent(msg.vector, z_dim),
        pose=pose_from_msg(msg.pose), h3_cell=msg.h3_cell,
        timestamp=stamp.sec + stamp.nanosec / 1e9, action=as_action(msg.action),
        session=msg.session, robot=msg.robot, map_id=msg.map_id, labels=tuple(msg.labels),
        thumbnail=bytes(msg.thumbnail))


class Recollection(NamedTuple):
    """
    What a RetrievedMemories message brings to the predictor.

    pose: where the asker was.  memories: nearest first; none where its pose was not known.
    """

    stamp_ns: int
    pose: Pose
    memories: tuple[Memory, ...]


def recollection_from_msg(msg: RetrievedMemories, z_dim: int) -> Recollection:
    """Raises InputError for a memory that is not finite, or whose latent is of another length."""
    stamp_ns = ns_from_time(msg.header.stamp)
    if not msg.pose_valid:
        return Recollection(stamp_ns, Pose(Position(0.0, 0.0)), ())
    return Recollection(stamp_ns, pose_from_msg(msg.pose),
                        tuple(memory_from_msg(hit.memory, z_dim) for hit in msg.memories))


def query_from_request(request: QueryMemory.Request, map_frame: str, default_k: int,
                       now_sec: float) -> MemoryQuery:
    """Raises ConfigurationError or InputError that name the field."""
    return MemoryQuery(
        k=request.k or default_k,
        vector=as_latent(request.latent) if len(request.latent) else None,
        pose=_pose(request.pose, map_frame), radius_m=request.radius_m or None,
        box=_box(request) if request.use_box else None,
        min_age_sec=request.min_age_sec,
        timestamp=_seconds(request.pose.header.stamp) or now_sec,
        after=_seconds(request.after), before=_seconds(request.before),
        session=request.session or None, robot=request.robot or None,
        map_id=request.map_id or None, labels=tuple(request.labels),
        max_dz_m=request.max_dz if request.use_max_dz else None,
        model_id=request.model_id or None,
        rank_by=_name('rank_by', request.rank_by, RANK_BY),
        metric=_name('metric', request.metric, METRIC), diversity=request.diversity,
        newest_only=request.newest_only)


def query_from_image_request(request: QueryMemoryByImage.Request, map_frame: str, default_k: int,
                             z: Vector, model_id: str) -> MemoryQuery:
    """z: latent of its picture. Raises ConfigurationError or InputError that name the field."""
    pose = _pose(request.pose, map_frame)
    return MemoryQuery(
        k=request.k or default_k, vector=z, model_id=model_id, pose=pose,
        radius_m=(request.radius_m or None) if pose else None,
        session=request.session or None, map_id=request.map_id or None,
        diversity=request.diversity)


def selection_from_request(
        request: ForgetMemories.Request | LabelMemories.Request) -> MemorySelection:
    """Raises ConfigurationError that names the field, also where nothing is selected."""
    is_around = request.radius_m != 0.0  # a negative one is refused below
    center = request.center
    return MemorySelection(
        ids=tuple(request.ids), session=request.session or None, robot=request.robot or None,
        map_id=request.map_id or None, labels=tuple(request.labels),
        after=_seconds(request.after), before=_seconds(request.before),
        center=Position(center.x, center.y, center.z) if is_around else None,
        radius_m=request.radius_m if is_around else None,
        box=_box(request) if request.use_box else None, everything=request.everything)


def _name(field: str, number: int, numbers: Mapping[Name, int]) -> Name:
    """Name of a constant of the messages."""
    for name, known in numbers.items():
        if number == known:
            return name
    raise ConfigurationError(f'{field} must be one of ' + ', '.join(
        f'{known} ({name})' for name, known in numbers.items()) + f', got {number}')


def _pose(stamped: PoseStamped, map_frame: str) -> Pose | None:
    return map_pose_from_msg(stamped, map_frame) if stamped.header.frame_id else None


def _box(request: QueryMemory.Request | ForgetMemories.Request | LabelMemories.Request) -> Box:
    low, high = request.box_min, request.box_max
    return Box(Position(low.x, low.y, low.z), Position(high.x, high.y, high.z))


def _seconds(stamp: Time) -> float | None:
    return ns_from_time(stamp) / 1e9 or None


def fill_stats(response: MemoryStats.Response, retriever: Retriever) -> None:
    """Write the figures of journal and index into the response."""
    stats = retriever.stats()
    response.journal_count, response.journal_last_seq = stats.count, stats.last_seq
    response.index_count, response.index_last_seq = (
        retriever.index_count, retriever.index_last_seq)
    response.cell_count = retriever.cell_count
    response.h3_resolution = 0 if retriever.spec is None else retriever.spec.h3_resolution
    response.session_count, response.file_size_bytes = stats.session_count, stats.file_size_bytes
    response.oldest = time_from_seconds(stats.oldest)
    response.newest = time_from_seconds(stats.newest)
    response.memory_path, response.model_id = str(retriever.path), retriever.model_id or ''
