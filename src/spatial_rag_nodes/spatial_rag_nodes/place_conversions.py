"""Hypotheses of where a picture was taken, to messages and back."""

from __future__ import annotations

from spatial_rag_core.memory.answering.relocalization import (
    DEFAULT_K,
    PoseHypothesis,
)
from spatial_rag_core.records import MemoryQuery, Vector
from spatial_rag_msgs.msg import PoseHypothesis as PoseHypothesisMsg
from spatial_rag_msgs.srv import Relocalize
from spatial_rag_nodes.conversions import (
    map_pose_from_msg,
    msg_from_pose,
    ns_from_time,
    pose_from_msg,
)

from geometry_msgs.msg import PoseWithCovariance
import numpy as np
from std_msgs.msg import Header


def query_from_relocalize(request: Relocalize.Request, map_frame: str, z: Vector,
                          model_id: str) -> MemoryQuery:
    """z: latent of its picture. Raises ConfigurationError or InputError that name the field."""
    has_pose = bool(request.pose.header.frame_id)
    return MemoryQuery(
        k=request.k or DEFAULT_K, vector=z, model_id=model_id or None,
        pose=map_pose_from_msg(request.pose, map_frame) if has_pose else None,
        radius_m=(request.radius_m or None) if has_pose else None,
        after=ns_from_time(request.after) / 1e9 or None,
        before=ns_from_time(request.before) / 1e9 or None,
        session=request.session or None, robot=request.robot or None,
        map_id=request.map_id or None, labels=tuple(request.labels))


def msg_from_hypothesis(place: PoseHypothesis, map_frame: str) -> PoseHypothesisMsg:
    """One place of the map frame."""
    return PoseHypothesisMsg(
        header=Header(frame_id=map_frame), map_id=place.map_id,
        pose=PoseWithCovariance(pose=msg_from_pose(place.pose),
                                covariance=place.covariance.ravel()),
        score=place.score, distance=place.distance, memory_ids=list(place.memory_ids))


def hypothesis_from_msg(msg: PoseHypothesisMsg) -> PoseHypothesis:
    """Raises PoseError where it is not finite."""
    return PoseHypothesis(
        pose_from_msg(msg.pose.pose), msg.map_id, np.array(msg.pose.covariance).reshape(6, 6),
        msg.score, msg.distance, tuple(msg.memory_ids))
