"""Which moments are worth remembering: those at which the robot or its view has changed."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, fields
from enum import Enum

from spatial_rag_core.errors import ConfigurationError
from spatial_rag_core.memory.storing.pose_change import PoseChange
from spatial_rag_core.records import Pose, Vector

import numpy as np

_LIMITS = {'min_travel_m': (1000.0, 'm'), 'min_turn_deg': (180.0, 'deg'),
           'min_interval_sec': (86_400.0, 's'), 'max_interval_sec': (864_000.0, 's'),
           'min_novelty': (1e6, '(L2 distance of latents)')}
_MAX_VIEWS = 8
"""So many views of one spot are remembered for being novel; a flickering scene ends there."""


@dataclass(frozen=True)
class AdmissionConfig:
    """
    When a moment is remembered; 0 switches a condition off. All times are those of the frames.

    min_travel_m, min_turn_deg: moved or turned so far since the last memory.
    min_novelty: a latent this far (L2) from those of all memories made at this spot.
    Any one of these three that are on is enough; where all three are off each moment is.
    max_interval_sec: remembered in any case after so long.
    min_interval_sec: never sooner than this after the last memory, whatever else holds.
    Raises ConfigurationError.
    """

    min_travel_m: float = 0.05
    min_turn_deg: float = 2.0
    min_interval_sec: float = 0.0
    max_interval_sec: float = 600.0
    min_novelty: float = 0.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value, (high, unit) = getattr(self, field.name), _LIMITS[field.name]
            if not 0.0 <= value <= high:
                raise ConfigurationError(f'{field.name} must lie between 0 (off) and {high:g} '
                                         f'{unit}, got {value}')


EVERYTHING = AdmissionConfig(min_travel_m=0.0, min_turn_deg=0.0)
"""Each moment is remembered."""


class Verdict(Enum):
    """Why a moment is remembered, or why not."""

    FIRST = 'first'
    TRAVEL = 'travel'
    TURN = 'turn'
    NOVELTY = 'novelty'
    INTERVAL = 'interval'
    ALL = 'all'
    TOO_SOON = 'too_soon'
    UNCHANGED = 'unchanged'

    @property
    def is_admitted(self) -> bool:
        """Whether the moment is remembered."""
        return self not in (Verdict.TOO_SOON, Verdict.UNCHANGED)


class Admission:
    """
    Judges moments in the order of their stamps.

    Poses are compared with that of the last admitted moment, so that noise does not add up.
    They are smoothed before, so that a robot that stands still is not taken for one that moves
    (see storing/pose_change.py). Where time is turned back it begins anew.
    """

    def __init__(self, config: AdmissionConfig = AdmissionConfig()) -> None:
        self.config = config
        self.counts: Counter[Verdict] = Counter()
        self.begin()

    @property
    def not_admitted(self) -> dict[str, int]:
        """Moments that were not worth remembering, by reason."""
        return {verdict.value: self.counts[verdict] for verdict in Verdict
                if not verdict.is_admitted}

    def begin(self) -> None:
        """A new session: its first moment is admitted."""
        self._change: PoseChange | None = None
        self._newest_ns = self._admitted_ns = 0
        self._views: deque[Vector] = deque(maxlen=_MAX_VIEWS)

    def judge(self, stamp_ns: int, pose: Pose, z: Vector) -> Verdict:
        """Say whether this moment is to be remembered; it then is the one to compare with."""
        if self._change is not None and stamp_ns < self._newest_ns:
            self.begin()
        self._newest_ns = stamp_ns
        if self._change is None:
            self._change, verdict = PoseChange(pose), Verdict.FIRST
        else:
            self._change.follow(pose, self.config.min_travel_m, self.config.min_turn_deg)
            verdict = self._verdict(self._change, (stamp_ns - self._admitted_ns) / 1e9, z)
        self.counts[verdict] += 1
        if verdict.is_admitted:
            self._change.anchor()
            self._admitted_ns = stamp_ns
            self._keep_view(z, verdict)
        return verdict

    def _verdict(self, change: PoseChange, elapsed_sec: float, z: Vector) -> Verdict:
        config = self.config
        if elapsed_sec < config.min_interval_sec:
            return Verdict.TOO_SOON
        if change.place.has_moved(config.min_travel_m):
            return Verdict.TRAVEL
        if change.heading.has_moved(config.min_turn_deg):
            return Verdict.TURN
        if not (config.min_travel_m or config.min_turn_deg or config.min_novelty):
            return Verdict.ALL
        if self._is_novel(z):
            return Verdict.NOVELTY
        if config.max_interval_sec and elapsed_sec >= config.max_interval_sec:
            return Verdict.INTERVAL
        return Verdict.UNCHANGED

    def _is_novel(self, z: Vector) -> bool:
        least = self.config.min_novelty
        return least > 0.0 and len(self._views) < _MAX_VIEWS and all(
            float(np.linalg.norm(z - view)) >= least for view in self._views)

    def _keep_view(self, z: Vector, verdict: Verdict) -> None:
        if verdict in (Verdict.TRAVEL, Verdict.TURN):
            self._views.clear()  # another spot
        self._views.append(z.copy())
