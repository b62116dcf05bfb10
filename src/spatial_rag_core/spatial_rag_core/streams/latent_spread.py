"""Whether latents still tell pictures apart, watched while a robot drives."""

from __future__ import annotations

from collections import deque
import threading
from typing import Any, NamedTuple

from spatial_rag_core.records import Vector

import numpy as np
import numpy.typing as npt

PERIOD_SEC = 0.5
"""A moment is taken so often."""
MOMENTS, FEWEST = 120, 20
"""So many are compared, and no judgement is made of fewer."""
UNLIKE = 8.0
"""Pictures whose grey values, 0 … 255, deviate so much at a point show different things."""
COLLAPSED = 0.01
"""Latents that deviate by less than this share of their length are all the same."""
_GRID = 8


class _Moment(NamedTuple):
    picture: npt.NDArray[np.float32]  # grey values [_GRID, _GRID]
    z: Vector


class LatentSpread:
    """
    Compares how pictures and their latents deviate over the last minute, from any thread.

    A robot that stands still sees one picture and has one latent; a robot that drives and has one
    latent has an encoder that tells nothing: a broken or collapsed one, or a wrong input.
    """

    def __init__(self) -> None:
        self._moments: deque[_Moment] = deque(maxlen=MOMENTS)
        self._last_ns: int | None = None
        self._lock = threading.Lock()

    def add(self, stamp_ns: int, picture: npt.NDArray[Any], z: Vector) -> None:
        """Take in a picture, uint8 [H, W, 3], and its latent, float32 [z_dim]."""
        if self._last_ns is not None and abs(stamp_ns - self._last_ns) < PERIOD_SEC * 1e9:
            return
        self._last_ns = stamp_ns
        rows, columns = (np.linspace(0, side - 1, _GRID).round().astype(int)
                         for side in picture.shape[:2])
        seen = picture[np.ix_(rows, columns)].mean(axis=-1, dtype=np.float32)
        with self._lock:
            self._moments.append(_Moment(seen, np.array(z)))

    def collapse(self) -> str | None:
        """Return what is wrong with the latents and what to do, None: nothing that shows."""
        with self._lock:
            moments = list(self._moments)
        if len(moments) < FEWEST:
            return None
        pictures = float(np.stack([moment.picture for moment in moments]).std(axis=0).mean())
        share = relative_deviation(np.stack([moment.z for moment in moments]))
        if pictures < UNLIKE or share >= COLLAPSED:
            return None
        return (f'the latent has collapsed: over the last {len(moments)} views, which differ '
                f'(by {pictures:.0f} of 255), it deviates by {share:.1e} of its length; train '
                'the model anew (spatial-rag train tells the spread of its latents), or name '
                'another with model_path')


def relative_deviation(z: Vector) -> float:
    """Deviation of latents [N, z_dim] from their mean, as a share 0 … 1 of their length."""
    length = float(np.square(z, dtype=np.float64).sum(axis=1).mean())
    deviation = float(z.astype(np.float64).var(axis=0).sum())
    return float(np.sqrt(deviation / length)) if length > 0.0 else 0.0
