"""Poses of a robot out of recorded transforms, as tf2 finds them on the robot."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from spatial_rag_core.data.bags.bag_messages import stamp_of
from spatial_rag_core.errors import PoseError
from spatial_rag_core.records import Pose, Position, Quaternion
from spatial_rag_core.spatial.pose_arrays import pose_array, poses_from, rotation_matrices
from spatial_rag_core.streams.pose_buffer import PoseBuffer

_HISTORY_SEC = 10.0
"""As long as tf2 remembers."""
_LEAST_STEP_NS = 10_000_000
"""Poses are interpolated between; a thousand a second would say no more than a hundred."""


@dataclass
class _Link:
    """
    Where a frame is in its parent's.

    fixed: where it never moves; else `moving` holds its last seconds.
    """

    parent: str
    fixed: Pose | None = None
    moving: PoseBuffer = field(default_factory=lambda: PoseBuffer(_HISTORY_SEC, _HISTORY_SEC))


class RecordedTransforms:
    """
    Follows transforms, and says where base_frame is in map_frame.

    The newest moment counts for which all transforms between the two are known: slower ones are
    interpolated, and nothing is extrapolated.
    """

    def __init__(self, map_frame: str, base_frame: str) -> None:
        self._map_frame, self._base_frame = map_frame.lstrip('/'), base_frame.lstrip('/')
        self._links: dict[str, _Link] = {}
        self._told_ns: int | None = None

    @property
    def has_poses(self) -> bool:
        """Whether there was a pose by now."""
        return self._told_ns is not None

    def put(self, transforms: Iterable[Any], is_static: bool = False) -> None:
        """Take in geometry_msgs/TransformStamped; raises PoseError for one that is none."""
        for one in transforms:
            pose = _pose_of(one)
            parent, child = (name.lstrip('/') for name in (
                one.header.frame_id, one.child_frame_id))
            link = self._links.get(child)
            if link is None or link.parent != parent or is_static:
                link = self._links[child] = _Link(parent, pose if is_static else None)
            if link.fixed is None:
                link.moving.insert(stamp_of(one) or 0, pose)

    def take(self) -> tuple[int, Pose] | None:
        """The newest moment [Unix ns] and the pose then; None: none since the last call."""
        way = self._way()
        moving = [link.moving for link in way if link.fixed is None]
        newest = [buffer.newest_ns or 0 for buffer in moving]
        stamp_ns = min(newest, default=0)
        if not stamp_ns or any((buffer.oldest_ns or 0) > stamp_ns for buffer in moving):
            return None
        if self._told_ns is not None and 0 <= stamp_ns - self._told_ns < _LEAST_STEP_NS:
            return None
        self._told_ns = stamp_ns
        return stamp_ns, _along([link.fixed or link.moving.at(stamp_ns) for link in way])

    def missing(self) -> str:
        """Tell why there is no pose."""
        names = self._names_up()
        told = f'no pose of {self._base_frame!r} in {self._map_frame!r} in the transforms'
        if self._map_frame in names:
            return f'{told}: those between them are static, or never known at one moment'
        if self._base_frame not in self._links:
            return f'{told}: they tell of {", ".join(sorted(self._links)) or "nothing"}; name ' \
                   "the robot's own with --base-frame"
        return f'{told}: they lead up from it to {", ".join(names[1:])}; name one of these with ' \
               '--map-frame, or record the localisation'

    def _names_up(self) -> list[str]:
        """The robot's frame, its parent, the parent's parent …; a circle is gone round once."""
        names = [self._base_frame]
        while (link := self._links.get(names[-1])) is not None and link.parent not in names:
            names.append(link.parent)
        return names

    def _way(self) -> list[_Link]:
        """The links from the map down to the robot; empty where there is no way."""
        names = self._names_up()
        if self._map_frame not in names:
            return []
        below = names[:names.index(self._map_frame)]
        return [self._links[name] for name in reversed(below)]


def _pose_of(transform: Any) -> Pose:
    t, q = transform.transform.translation, transform.transform.rotation
    try:
        return Pose(Position(t.x, t.y, t.z), Quaternion(q.x, q.y, q.z, q.w))
    except PoseError as error:
        raise PoseError(f'transform of {transform.child_frame_id!r} in '
                        f'{transform.header.frame_id!r}: {error}') from error


def _along(poses: list[Pose]) -> Pose:
    """Each is in the frame of the one before."""
    found = pose_array(poses[0])
    for pose in map(pose_array, poses[1:]):
        found = poses_from(found, pose[:3], rotation_matrices(pose[None, 3:])[0])
    return Pose(Position(*found[:3].tolist()), Quaternion(*found[3:].tolist()))
