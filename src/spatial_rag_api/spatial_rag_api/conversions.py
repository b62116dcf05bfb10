"""JSON models to the core's records and back; the only file that knows both."""

from __future__ import annotations

from collections.abc import Mapping
import math
from typing import Any

from spatial_rag_api.limits import MAX_NUMBERS
from spatial_rag_api.pictures import to_base64
from spatial_rag_api.schemas.imagining import Step, UsedMemory
from spatial_rag_api.schemas.memories import HitOut, MemoryOut, PlaceQuery, QueryRequest
from spatial_rag_api.schemas.poses import Orientation, PoseIn, PoseOut
from spatial_rag_core.error_words import shortened
from spatial_rag_core.errors import ConfigurationError, InputError
from spatial_rag_core.models.imagined import Imagined
from spatial_rag_core.records import (
    Hit,
    Memory,
    MemoryQuery,
    Pose,
    Position,
    Quaternion,
    Vector,
)
from spatial_rag_core.spatial.heading import heading_of
from spatial_rag_core.spatial.pose_arrays import pose_array, PoseArray, poses_from


def pose_from(given: PoseIn | None) -> Pose | None:
    """Pose in the map frame; raises PoseError, and ConfigurationError for two headings."""
    if given is None:
        return None
    if given.yaw_rad is not None and given.orientation is not None:
        raise ConfigurationError('a pose has yaw_rad and orientation; give one of them')
    turn = given.orientation or _turn(given.yaw_rad or 0.0)
    return Pose(Position(given.x_m, given.y_m, given.z_m),
                Quaternion(turn.x, turn.y, turn.z, turn.w))


def _turn(yaw_rad: float) -> Orientation:
    return Orientation(x=0.0, y=0.0, z=math.sin(yaw_rad / 2), w=math.cos(yaw_rad / 2))


def pose_out(pose: Pose) -> PoseOut:
    """Pose of a record."""
    x, y, z, w = pose.orientation
    return PoseOut(x_m=pose.position.x, y_m=pose.position.y, z_m=pose.position.z,
                   yaw_rad=heading_of(pose), orientation=Orientation(x=x, y=y, z=z, w=w))


def pose_out_of(row: PoseArray) -> PoseOut:
    """Pose of a row [7], see pose_arrays.py; the quaternion is of unit length by construction."""
    x, y, z, *turn = row.tolist()
    return pose_out(Pose(Position(x, y, z), Quaternion(*turn)))


def memory_out(seq: int, memory: Memory, with_picture: bool = False) -> MemoryOut:
    """A memory as JSON; its picture where it is asked for and there is one."""
    picture = to_base64(memory.thumbnail) if with_picture and memory.thumbnail else None
    return MemoryOut(
        seq=seq, id=memory.id, time_sec=memory.timestamp, pose=pose_out(memory.pose),
        h3_cell=memory.h3_cell, z=memory.vector.tolist(), model_id=memory.model_id,
        action=memory.action.tolist() if len(memory.action) else None, session=memory.session,
        robot=memory.robot, map_id=memory.map_id, labels=list(memory.labels),
        picture_path=f'/memory/{seq}/picture', picture_base64=picture)


def hit_out(hit: Hit, with_picture: bool) -> HitOut:
    """What was found, as JSON."""
    return HitOut(memory=memory_out(hit.seq, hit.memory, with_picture), distance=hit.distance,
                  separation_m=finite(hit.separation_m))


def finite(value: float) -> float | None:
    """JSON has no NaN: None says that it is not known."""
    return value if math.isfinite(value) else None


def query_from(asked: QueryRequest, vector: Vector | None, model_id: str | None) -> MemoryQuery:
    """
    The query of a request whose latent is known by now.

    Raises ConfigurationError where what is asked for does not agree.
    """
    return MemoryQuery(
        k=asked.k, vector=vector, pose=pose_from(asked.pose), radius_m=asked.radius_m,
        min_age_sec=asked.min_age_sec, timestamp=asked.time_sec, after=asked.after_sec,
        before=asked.before_sec, session=asked.session, robot=asked.robot, map_id=asked.map_id,
        labels=tuple(asked.labels), max_dz_m=asked.max_dz_m, model_id=model_id,
        rank_by=asked.rank_by or ('pose' if vector is None else 'latent'), metric=asked.metric,
        newest_only=asked.newest_only, diversity=asked.diversity)


def query_from_address(asked: PlaceQuery) -> QueryRequest:
    """The same query as POST takes it; raises ConfigurationError, InputError."""
    values: dict[str, Any] = asked.model_dump(exclude={'x_m', 'y_m', 'z_m', 'yaw_rad', 'z'})
    return QueryRequest(
        **values, z=None if asked.z is None else numbers_from(asked.z, 'z'),
        pose=pose_from_address(asked.x_m, asked.y_m, asked.z_m, asked.yaw_rad))


def pose_from_address(x_m: float | None, y_m: float | None, z_m: float,
                      yaw_rad: float | None) -> PoseIn | None:
    """A pose out of single numbers; raises ConfigurationError for half of one."""
    if x_m is None and y_m is None:
        return None
    if x_m is None or y_m is None:
        raise ConfigurationError(f'x_m and y_m must be given together, got {x_m} and {y_m}')
    return PoseIn(x_m=x_m, y_m=y_m, z_m=z_m, yaw_rad=yaw_rad, orientation=None)


def numbers_from(text: str, name: str) -> list[float]:
    """Finite numbers with commas between, at most MAX_NUMBERS; raises InputError."""
    try:
        numbers = [float(part) for part in text.split(',')]
    except ValueError as error:
        raise InputError(f'{name} must be numbers with commas between ({error}); write '
                         f'{name}=0.1,-0.2') from error
    if len(numbers) > MAX_NUMBERS or not all(map(math.isfinite, numbers)):
        raise InputError(f'{name} must be at most {MAX_NUMBERS} finite numbers, got '
                         f'{len(numbers)}: {shortened(text)[:40]}; see /stats for how many')
    return numbers


def steps_of(imagined: Imagined, row: int, start: Pose | None, seqs: Mapping[str, int],
             ids: tuple[str, ...], step_sec: float) -> list[Step]:
    """
    One imagined plan, step by step, without pictures.

    start: pose in the map frame, None: poses are as seen from it.  ids: of the bank; seqs: the
    number of each in the memory file.
    """
    poses = poses_of(imagined, start)[row]
    return [Step(
        step=t + 1, time_sec=(t + 1) * step_sec, z=imagined.z[row, t].tolist(),
        sigma=finite(float(imagined.sigma[row, t])), pose=pose_out_of(poses[t]),
        memories=_used(imagined.memory_rows[row, t].tolist(), imagined.weights[row, t].tolist(),
                       seqs, ids), picture_base64=None) for t in range(imagined.z.shape[1])]


def poses_of(imagined: Imagined, start: Pose | None) -> PoseArray:
    """Poses float64 [B, T, 7] in the map frame, or as seen from the start."""
    origin = Pose(Position(0.0, 0.0)) if start is None else start
    return poses_from(pose_array(origin), imagined.position, imagined.rotation)


def _used(rows: list[int], weights: list[float], seqs: Mapping[str, int],
          ids: tuple[str, ...]) -> list[UsedMemory]:
    used = [UsedMemory(seq=seqs[ids[row]], id=ids[row], weight=weight)
            for row, weight in zip(rows, weights, strict=True) if row >= 0]
    return sorted(used, key=lambda memory: -memory.weight)

