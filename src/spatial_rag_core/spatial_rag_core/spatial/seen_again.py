"""Which views of a place are out of date, because the place was seen again."""

from __future__ import annotations

from spatial_rag_core.spatial.pose_arrays import pose_distances_m2, PoseArray

import numpy as np
from numpy.typing import NDArray

_SAME_PLACE_M2 = 0.15
_NEWER_BY_SEC = 60.0
_ROWS_AT_ONCE = 512


def replaced_at(poses: PoseArray, timestamps: NDArray[np.float64]) -> NDArray[np.float64]:
    """
    When a newer memory replaces each, float64 [N] [s]; inf: never.

    poses: [N, 7].  timestamps: [N] [s].  One that is a minute newer and shows nearly the same
    view (|dp|^2 + 3 (1 - cos angle) below 0.15 m^2: 0.4 m aside, or 18 degrees) replaces.
    """
    if not len(poses) or np.ptp(timestamps) <= _NEWER_BY_SEC:
        return np.full(len(poses), np.inf)
    blocks = [_first_replacement(poses, timestamps, slice(start, start + _ROWS_AT_ONCE))
              for start in range(0, len(poses), _ROWS_AT_ONCE)]
    return np.concatenate(blocks)


def _first_replacement(poses: PoseArray, timestamps: NDArray[np.float64],
                       rows: slice) -> NDArray[np.float64]:
    """Some rows of it; all at once would take memory by the square of the memories."""
    newer = timestamps[None, :] > timestamps[rows, None] + _NEWER_BY_SEC  # [i, j]: j replaces i
    replaces = newer & (pose_distances_m2(poses[rows], poses) < _SAME_PLACE_M2)
    first: NDArray[np.float64] = np.where(replaces, timestamps[None, :], np.inf).min(axis=1)
    return first
