"""What a bundle keeps of the recordings it learned from, and whether one that is asked is it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Stamps = NDArray[np.float64]


def learned_facts(paths: Sequence[Path], stamps: Sequence[Stamps]) -> dict[str, Any]:
    """Return names, and first and last stamp [s], of recordings; stamps: [T], of each."""
    return {'recordings': [_name(path) for path in paths],
            'recorded_sec': [[float(one.min()), float(one.max())] for one in stamps]}


@dataclass(frozen=True)
class AskedRecording:
    """
    A recording, a part of one, or a file of episodes, that a model is asked about.

    names: what a bundle that learned from it may call it.  start_sec, end_sec: its first and
    last stamp, Unix time [s]; NaN: not known.
    """

    names: frozenset[str]
    start_sec: float = math.nan
    end_sec: float = math.nan

    @classmethod
    def of(cls, path: Path, stamps: Stamps | None) -> AskedRecording:
        """Describe what was read from a path; stamps: [T] [s], None: not known."""
        names = frozenset((_name(path), path.resolve().name))
        if stamps is None:
            return cls(names)
        return cls(names, float(stamps.min()), float(stamps.max()))

    def starts_in(self, learned: Mapping[str, Any]) -> list[float]:
        """
        Return the first stamp [s] of each recording learned from that it is, or is a part of.

        learned: the facts of a bundle's data.  NaN: the bundle, or this, knows names alone.
        """
        names = learned.get('recordings', ())
        spans = learned.get('recorded_sec', [(math.nan, math.nan)] * len(names))
        found = [start for name, (start, end) in zip(names, spans, strict=True)
                 if name in self.names and not (end < self.start_sec or self.end_sec < start)]
        return found + [math.nan] * (learned.get('file') in self.names)

    def begins_at(self, start_sec: float, tolerance_sec: float) -> bool:
        """Whether it begins then, as far as is known."""
        return not abs(start_sec - self.start_sec) > tolerance_sec


def _name(path: Path) -> str:
    """Name of a recording; a file of a rosbag2 folder is part of the recording in that folder."""
    from spatial_rag_core.data.collecting.bag_episodes import recording_name  # OpenCV
    folder = path.resolve().parent
    is_part = path.is_file() and (folder / 'metadata.yaml').exists()
    return recording_name(folder if is_part else path)
