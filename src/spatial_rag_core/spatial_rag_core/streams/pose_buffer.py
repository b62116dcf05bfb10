"""The last seconds of poses, and where the robot was at any moment between them."""

from __future__ import annotations

from bisect import bisect_left
import math

from spatial_rag_core.errors import ConfigurationError, PoseError
from spatial_rag_core.records import Pose, Position, Quaternion
from spatial_rag_core.streams.stamp_order import StampOrder, Step

_TAIL_NS = 1_000_000_000
"""How long after time was turned back the poses from before are still known [ns]."""
_MOST_POSES = 20_000
"""Kept at most, 2 kHz for 10 s: a flood of poses, whatever their stamps say, fills no memory."""


class PoseBuffer:
    """
    Poses in order of their stamps, the newest history_sec of them.

    Where time is turned back (a looped bag, a reset simulator) the buffer starts anew; for a
    second it still answers for the moments just before, whose latents may be on their way. A
    pose that is only late is left out.
    """

    def __init__(self, history_sec: float = 10.0, tolerance_sec: float = 0.1) -> None:
        if not (history_sec > 0 and tolerance_sec >= 0):
            raise ConfigurationError(f'history_sec must be > 0 and tolerance_sec >= 0, '
                                     f'got {history_sec} s and {tolerance_sec} s')
        self._history_ns = round(history_sec * 1e9)
        self._tolerance_ns = round(tolerance_sec * 1e9)
        self._order = StampOrder()
        self._run = _Run()
        self._previous_run = _Run()

    @property
    def oldest_ns(self) -> int | None:
        """Stamp of the oldest pose [ns], None where there is none."""
        return self._run.stamps[0] if self._run.stamps else None

    @property
    def newest_ns(self) -> int | None:
        """Stamp of the newest pose [ns], None where there is none."""
        return self._run.stamps[-1] if self._run.stamps else None

    def insert(self, stamp_ns: int, pose: Pose) -> Step:
        """Add a pose, and tell how its stamp stands to the ones before."""
        step = self._order.follow(stamp_ns)
        if step is Step.JUMPED_BACK:
            self._run.forget_before((self.newest_ns or 0) - _TAIL_NS)
            self._previous_run, self._run = self._run, _Run()
        if step is not Step.LATE:
            self._run.put(stamp_ns, pose)
            self._run.forget_before(stamp_ns - self._history_ns)
            if stamp_ns - self._run.stamps[0] > _TAIL_NS:
                self._previous_run = _Run()
        return step

    def clear(self) -> None:
        """Forget all."""
        self._run, self._previous_run = _Run(), _Run()

    def brackets(self, stamp_ns: int) -> bool:
        """Whether there are poses around stamp_ns, so that a newer one would change nothing."""
        stamps = self._run.stamps
        return bool(stamps) and stamps[0] - self._tolerance_ns <= stamp_ns <= stamps[-1]

    def at(self, stamp_ns: int) -> Pose:
        """
        Pose at stamp_ns: between two poses interpolated, at the ends the nearest one.

        Raises PoseError where no pose lies within the tolerance on the side that is needed.
        """
        run = self._run
        if run.gap_ns(stamp_ns) > self._tolerance_ns >= self._previous_run.gap_ns(stamp_ns):
            run = self._previous_run
        gap_ns = run.gap_ns(stamp_ns)
        if gap_ns == math.inf:
            raise PoseError('no pose has arrived; is the pose topic connected and published?')
        if gap_ns > self._tolerance_ns:
            raise PoseError(f'the nearest pose is {gap_ns / 1e9:.3f} s away, more than '
                            f'pose_tolerance_sec {self._tolerance_ns / 1e9:g}; are pose and '
                            'camera stamped by the same clock, and is the pose still published?')
        return run.at(stamp_ns)


class _Run:
    """Poses in between which time was not turned back."""

    def __init__(self) -> None:
        self.stamps: list[int] = []
        self._poses: list[Pose] = []

    def put(self, stamp_ns: int, pose: Pose) -> None:
        """Add a pose, or replace the newest of the same stamp."""
        if self.stamps and self.stamps[-1] == stamp_ns:
            self._poses[-1] = pose
        else:
            self.stamps.append(stamp_ns)
            self._poses.append(pose)
            if len(self.stamps) > _MOST_POSES:
                self._forget(_MOST_POSES // 10)  # some at once: each time moves all that stays

    def forget_before(self, oldest_ns: int) -> None:
        self._forget(bisect_left(self.stamps, oldest_ns))

    def _forget(self, count: int) -> None:
        """Forget the oldest so many."""
        del self.stamps[:count], self._poses[:count]

    def gap_ns(self, stamp_ns: int) -> float:
        """From stamp_ns to the nearest pose [ns]; infinite where there is none."""
        index = bisect_left(self.stamps, stamp_ns)
        return min((abs(stamp_ns - near) for near in self.stamps[max(index - 1, 0):index + 1]),
                   default=math.inf)

    def at(self, stamp_ns: int) -> Pose:
        index = bisect_left(self.stamps, stamp_ns)
        if index == len(self.stamps) or (index == 0 and self.stamps[0] > stamp_ns):
            return self._poses[min(index, len(self.stamps) - 1)]
        if self.stamps[index] == stamp_ns:
            return self._poses[index]
        start, end = self.stamps[index - 1], self.stamps[index]
        fraction = (stamp_ns - start) / (end - start)
        return interpolate(self._poses[index - 1], self._poses[index], fraction)


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
