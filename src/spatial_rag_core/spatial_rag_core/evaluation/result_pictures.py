"""Strips of true and imagined frames, and maps of where a prediction errs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from spatial_rag_core.errors import ConfigurationError
from spatial_rag_core.evaluation.result_files import read_arrays, write_arrays

import numpy as np
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Strip:
    """
    One window, as it was and as it was imagined.

    true, with_memory, without_memory: uint8 [T, S, S, 3].  horizons: steps ahead [T].
    """

    name: str
    true: NDArray[np.uint8]
    with_memory: NDArray[np.uint8]
    without_memory: NDArray[np.uint8]
    horizons: NDArray[np.int64]

    def __post_init__(self) -> None:
        shape = (len(self.horizons), *self.true.shape[1:3], 3)
        for name in ('true', 'with_memory', 'without_memory'):
            _check(name, getattr(self, name), shape, np.uint8)

    def save(self, folder: Path) -> Path:
        """Write it into the folder of results; raises TrainingError."""
        return _save(folder / 'strips', self.name, asdict(self))

    @classmethod
    def load(cls, path: Path) -> Strip:
        """Read a file; raises TrainingError where it is missing or damaged."""
        return read_arrays(path, lambda arrays: cls(path.stem, **_named(
            arrays, ('true', 'with_memory', 'without_memory', 'horizons'))))


@dataclass(frozen=True, eq=False)
class ErrorMap:
    """
    Errors of windows by where they begin.

    x, y: map frame [m], [N].  with_memory, without_memory: squared latent error relative to the
    mean of copy-last, [N].  picture: the map from above, uint8 [H, W, 3], y upwards.
    extent_m: its left, right, bottom and top edge [m].
    """

    name: str
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    with_memory: NDArray[np.float64]
    without_memory: NDArray[np.float64]
    picture: NDArray[np.uint8]
    extent_m: NDArray[np.float64]

    def __post_init__(self) -> None:
        for name in ('x', 'y', 'with_memory', 'without_memory'):
            _check(name, getattr(self, name), (len(self.x),))
        _check('picture', self.picture, (*self.picture.shape[:2], 3), np.uint8)
        _check('extent_m', np.asarray(self.extent_m), (4,))

    def save(self, folder: Path) -> Path:
        """Write it into the folder of results; raises TrainingError."""
        return _save(folder / 'maps', self.name, asdict(self))

    @classmethod
    def load(cls, path: Path) -> ErrorMap:
        """Read a file; raises TrainingError where it is missing or damaged."""
        return read_arrays(path, lambda arrays: cls(path.stem, **_named(
            arrays, ('x', 'y', 'with_memory', 'without_memory', 'picture', 'extent_m'))))


def _named(arrays: Arrays, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: arrays[name] for name in names}


def _save(folder: Path, name: str, values: dict[str, Any]) -> Path:
    path = folder / f'{name}.npz'
    write_arrays(path, {key: np.asarray(value) for key, value in values.items() if key != 'name'})
    return path


def _check(name: str, values: NDArray[Any], shape: tuple[int, ...],
           kind: type[np.generic] | None = None) -> None:
    if values.shape != shape or (kind is not None and values.dtype != kind):
        raise ConfigurationError(f'{name} must be {kind.__name__ + " " if kind else ""}'
                                 f'{[*shape]}, got {values.dtype} {[*values.shape]}')
    if kind is None and not np.isfinite(values).all():
        raise ConfigurationError(f'{name} must be finite; leave out windows that are not')
