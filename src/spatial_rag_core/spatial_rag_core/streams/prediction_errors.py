"""How wrong predictions turn out to be, once the frames that they foresaw are in."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
import math

from spatial_rag_core.errors import ConfigurationError
from spatial_rag_core.records import Vector
from spatial_rag_core.streams.stamp_order import StampOrder, Step

import numpy as np

_MAX_OPEN = 1000
"""Beyond it the oldest are forgotten, whatever their stamps say."""


@dataclass(frozen=True, eq=False)
class Foreseen:
    """
    What was foreseen from one frame for a step later; latents float32 [z_dim].

    stamp_ns, z: the frame's.  with_memory: None where there were no memories.  uses_memory:
    whether that is what was published.  expected_error: of what was published; NaN: not known.
    """

    stamp_ns: int
    z: Vector
    with_memory: Vector | None
    without_memory: Vector
    uses_memory: bool
    expected_error: float = math.nan

    @property
    def published(self) -> Vector:
        """The latent that was published."""
        if self.uses_memory and self.with_memory is not None:
            return self.with_memory
        return self.without_memory


@dataclass(frozen=True)
class Surprise:
    """
    How well one frame was foreseen: root mean squares over the numbers of a latent.

    error: of what was published.  with_memory: NaN where there were no memories.  copying: of
    the latent from which it was foreseen, as it was.  expected: what the model told; NaN: nothing.
    """

    stamp_ns: int
    foreseen_from_ns: int
    error: float
    with_memory: float
    without_memory: float
    copying: float
    expected: float


class PredictionErrors:
    """
    Keeps predictions until the frame that they foresaw is in.

    step_sec: how far they look ahead [s]. A frame judges the prediction for the moment nearest to
    it, at most half the time between two predictions away; each is judged once.
    """

    def __init__(self, step_sec: float) -> None:
        if not 0.0 < step_sec < math.inf:
            raise ConfigurationError(f'step_sec must be > 0 s, got {step_sec}')
        self._step_ns = round(step_sec * 1e9)
        self._order = StampOrder()
        self._open: deque[Foreseen] = deque(maxlen=_MAX_OPEN)

    def __len__(self) -> int:
        return len(self._open)

    def add(self, foreseen: Foreseen) -> None:
        """Keep a prediction; one that is not newer than the last replaces those from there on."""
        while self._open and self._open[-1].stamp_ns >= foreseen.stamp_ns:
            self._open.pop()
        self._open.append(foreseen)

    def seen(self, stamp_ns: int, z: Vector) -> Surprise | None:
        """
        Judge what was foreseen for this frame; None: nothing was.

        Where time is turned back (a looped bag) all that is open is forgotten.
        """
        step = self._order.follow(stamp_ns)
        if step is Step.JUMPED_BACK:
            self._open.clear()
        if step not in (Step.FORWARD, Step.JUMPED_BACK):
            return None
        found = self._nearest(stamp_ns - self._step_ns)
        return None if found is None else _judged(found, stamp_ns, z)

    def _nearest(self, from_ns: int) -> Foreseen | None:
        """Take out the one foreseen from about then, and all before it."""
        tolerance_ns = self._tolerance_ns()
        found = None
        while self._open and self._open[0].stamp_ns <= from_ns + tolerance_ns:
            if found is not None and (abs(self._open[0].stamp_ns - from_ns)
                                      >= abs(found.stamp_ns - from_ns)):
                break
            found = self._open.popleft()
        if found is None or found.stamp_ns < from_ns - tolerance_ns:
            return None
        return found

    def _tolerance_ns(self) -> int:
        """Half the time between two predictions, and at most a quarter of a step."""
        if len(self._open) < 2:
            return self._step_ns // 4
        half = (self._open[-1].stamp_ns - self._open[0].stamp_ns) // (2 * (len(self._open) - 1))
        return min(half, self._step_ns // 4)


def _judged(foreseen: Foreseen, stamp_ns: int, z: Vector) -> Surprise:
    def error(latent: Vector | None) -> float:
        if latent is None:
            return math.nan
        return float(np.sqrt(np.square(latent.astype(np.float64) - z).mean()))
    return Surprise(
        stamp_ns, foreseen.stamp_ns, error(foreseen.published), error(foreseen.with_memory),
        error(foreseen.without_memory), error(foreseen.z), foreseen.expected_error)
