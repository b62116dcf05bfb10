"""The last seconds of poses, and where the robot was at any moment between them."""

from __future__ import annotations

from bisect import bisect_left
import math

from spatial_rag_core.errors import ConfigurationError, PoseError
from spatial_rag_core.records import Pose, Position, Quaternion
from spatial_rag_core.streams.stamp_order import StampOrder, Step


class PoseBuffer:
    """
    Poses in order of their stamps, the newest history_sec of them.

    Where time is turned back (a looped bag, a reset simulator) the buffer starts anew; a pose
    that is only late is left out.
    """

    def __init__(self, history_sec: float = 10.0, tolerance_sec: float = 0.1) -> None:
        if history_sec <= 0 or tolerance_sec < 0:
            raise ConfigurationError(f'history_sec must be > 0 and tolerance_sec >= 0, '
                                     f'got {history_sec} s and {tolerance_sec} s')
        self._history_ns = round(history_sec * 1e9)
        self._tolerance_ns = round(tolerance_sec * 1e9)
        self._order = StampOrder()
        self._stamps: list[int] = []
        self._poses: list[Pose] = []

    @property
    def newest_ns(self) -> int | None:
        """Stamp of the newest pose [ns], None where there is none."""
        return self._stamps[-1] if self._stamps else None

    def insert(self, stamp_ns: int, pose: Pose) -> Step:
        """Add a pose, and tell how its stamp stands to the ones before."""
        step = self._order.follow(stamp_ns)
        if step is Step.JUMPED_BACK:
            self.clear()
        if step is Step.REPEATED and self._poses:
            self._poses[-1] = pose
        elif step is not Step.LATE:
            self._stamps.append(stamp_ns)
            self._poses.append(pose)
            self._forget_before(stamp_ns - self._history_ns)
        return step

    def clear(self) -> None:
        """Forget all."""
        self._stamps.clear()
        self._poses.clear()

    def brackets(self, stamp_ns: int) -> bool:
        """Whether a newer pose can no longer change the answer for stamp_ns."""
        return bool(self._stamps) and self._stamps[-1] >= stamp_ns

    def at(self, stamp_ns: int) -> Pose:
        """
        Pose at stamp_ns: between two poses interpolated, at the ends the nearest one.

        Raises PoseError where no pose lies within the tolerance on the side that is needed.
        """
        index = bisect_left(self._stamps, stamp_ns)
        before = index - 1 if index > 0 else None
        after = index if index < len(self._stamps) else None
        if after is not None and self._stamps[after] == stamp_ns:
            return self._poses[after]
        if before is not None and after is not None:
            return self._between(before, after, stamp_ns)
        nearest = before if after is None else after
        if nearest is None:
            raise PoseError('no pose has arrived; is the pose topic connected and published?')
        self._require_within_tolerance(abs(stamp_ns - self._stamps[nearest]))
        return self._poses[nearest]

    def _between(self, before: int, after: int, stamp_ns: int) -> Pose:
        start, end = self._stamps[before], self._stamps[after]
        self._require_within_tolerance(min(stamp_ns - start, end - stamp_ns))
        fraction = (stamp_ns - start) / (end - start)
        return interpolate(self._poses[before], self._poses[after], fraction)

    def _require_within_tolerance(self, gap_ns: int) -> None:
        if gap_ns > self._tolerance_ns:
            raise PoseError(f'the nearest pose is {gap_ns / 1e9:.3f} s away, more than '
                            f'pose_tolerance_sec {self._tolerance_ns / 1e9:g}; are pose and '
                            'camera stamped by the same clock, and is the pose still published?')

    def _forget_before(self, oldest_ns: int) -> None:
        if self._stamps[0] < oldest_ns:
            index = bisect_left(self._stamps, oldest_ns)
            del self._stamps[:index], self._poses[:index]


def interpolate(start: Pose, end: Pose, fraction: float) -> Pose:
    """Pose at a fraction 0..1 of the way: straight line, and slerp (Shoemake, 1985)."""
    position = Position(*(a + (b - a) * fraction
                          for a, b in zip(start.position, end.position, strict=True)))
    return Pose(position, _slerp(start.orientation, end.orientation, fraction))


def _slerp(start: Quaternion, end: Quaternion, fraction: float) -> Quaternion:
    dot = sum(a * b for a, b in zip(start, end, strict=True))
    sign = -1.0 if dot < 0 else 1.0  # q and -q are one rotation: take the short way
    angle = math.acos(min(1.0, abs(dot)))
    if angle < 1e-6:
        weight_start, weight_end = 1 - fraction, fraction
    else:
        weight_start = math.sin((1 - fraction) * angle) / math.sin(angle)
        weight_end = math.sin(fraction * angle) / math.sin(angle)
    return Quaternion(*(weight_start * a + sign * weight_end * b
                        for a, b in zip(start, end, strict=True)))
