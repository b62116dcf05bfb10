"""What a client asks, as requests, and what it is answered, as records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from spatial_rag_core.errors import ConfigurationError
from spatial_rag_core.records import (
    as_latent,
    Hit,
    Memory,
    MemoryQuery,
    MemorySelection,
    Pose,
    Position,
    Vector,
)
from spatial_rag_msgs.msg import Memory as MemoryMsg
from spatial_rag_msgs.msg import RetrievedMemory
from spatial_rag_msgs.srv import ForgetMemories, LabelMemories, QueryMemory
from spatial_rag_nodes.conversions import (
    floats_from_vector,
    memory_from_msg,
    METRIC,
    msg_from_pose,
    RANK_BY,
    time_from_seconds,
)

from geometry_msgs.msg import Point, PoseStamped
import numpy as np
from std_msgs.msg import Header


@dataclass(frozen=True, eq=False)
class Latent:
    """
    A latent and its author, without whom it means nothing.

    z: float32 [z_dim].  model_id: of the bundle that made it, as memories and messages carry it;
    empty: not known, and a node takes it for one of its own without a check.
    Raises LatentError for what is no list of finite numbers.
    """

    z: Vector
    model_id: str

    def __post_init__(self) -> None:
        object.__setattr__(self, 'z', as_latent(self.z))


def latent_fields(latent: Latent | None) -> dict[str, Any]:
    """Fields of a request that say a latent; raises ConfigurationError for what is no Latent."""
    if latent is None:
        return {}
    if not isinstance(latent, Latent):
        raise ConfigurationError(f'latent must be a Latent, got {type(latent).__name__}; say who '
                                 "made it: Latent(z, model_id), or Latent(z, '') where that is "
                                 'not to be checked')
    return {'latent': floats_from_vector(latent.z), 'model_id': latent.model_id}


def memory_of(msg: MemoryMsg) -> Memory:
    """Raises InputError where a number is not finite."""
    return memory_from_msg(msg, len(msg.vector))


def hit_of(msg: RetrievedMemory) -> Hit:
    """Raises InputError where a number of its memory is not finite."""
    return Hit(memory_of(msg.memory), msg.distance, msg.separation_m)


def stamped_pose(pose: Pose | None, map_frame: str, timestamp: float | None = None) -> PoseStamped:
    """A pose of the map; None gives one without frame, which the services take for no pose."""
    if pose is None:
        return PoseStamped(header=Header(stamp=time_from_seconds(timestamp)))
    return PoseStamped(header=Header(frame_id=map_frame, stamp=time_from_seconds(timestamp)),
                       pose=msg_from_pose(pose))


def request_from_query(query: MemoryQuery, map_frame: str,
                       with_thumbnails: bool) -> QueryMemory.Request:
    """All that a query says."""
    request = QueryMemory.Request(
        rank_by=RANK_BY[query.rank_by], metric=METRIC[query.metric], diversity=query.diversity,
        newest_only=query.newest_only, k=query.k, model_id=query.model_id or '',
        latent=floats_from_vector(np.zeros(0) if query.vector is None else query.vector),
        pose=stamped_pose(query.pose, map_frame, query.timestamp),
        radius_m=float(query.radius_m or 0.0), min_age_sec=float(query.min_age_sec),
        after=time_from_seconds(query.after), before=time_from_seconds(query.before),
        use_max_dz=query.max_dz_m is not None, max_dz=float(query.max_dz_m or 0.0),
        session=query.session or '', robot=query.robot or '', map_id=query.map_id or '',
        labels=list(query.labels), with_thumbnails=with_thumbnails, use_box=query.box is not None)
    if query.box is not None:
        request.box_min, request.box_max = _point(query.box.low), _point(query.box.high)
    return request


def fill_selection(request: ForgetMemories.Request | LabelMemories.Request,
                   selection: MemorySelection) -> None:
    """Write what a selection says into a request; raises ConfigurationError for time 0."""
    if 0.0 in (selection.after, selection.before):
        raise ConfigurationError('after and before must not be 0 s, which a request takes for '
                                 'open; take the first moment that there is')
    request.ids, request.labels = list(selection.ids), list(selection.labels)
    request.session, request.robot = selection.session or '', selection.robot or ''
    request.map_id, request.everything = selection.map_id or '', selection.everything
    request.after = time_from_seconds(selection.after)
    request.before = time_from_seconds(selection.before)
    if selection.center is not None:
        request.center, request.radius_m = _point(selection.center), float(selection.radius_m or 0)
    if selection.box is not None:
        request.use_box = True
        request.box_min, request.box_max = _point(selection.box.low), _point(selection.box.high)


def _point(position: Position) -> Point:
    return Point(x=float(position.x), y=float(position.y), z=float(position.z))
