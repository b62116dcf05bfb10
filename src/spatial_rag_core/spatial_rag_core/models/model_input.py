"""Arrays from the outside to arrays that a network takes; each check names its remedy."""

from __future__ import annotations

from typing import Any

from spatial_rag_core.errors import ImageError, InputError, LatentError
from spatial_rag_core.records import Vector

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

Picture = NDArray[np.uint8]


def resized_rgb(rgb: NDArray[Any], side: int) -> Picture:
    """Return rgb uint8 [H, W, 3] as [side, side, 3]; raises ImageError for anything else."""
    _check_image('rgb', rgb, np.dtype(np.uint8), (3,))
    resized = cv2.resize(rgb, (side, side), interpolation=cv2.INTER_AREA)
    return resized.astype(np.uint8, copy=False)


def resized_depth(depth_m: NDArray[Any], side: int) -> NDArray[np.float32]:
    """Return depth float32 [H, W] [m] as [side, side]; raises ImageError for anything else."""
    _check_image('depth_m', depth_m, np.dtype(np.float32), ())
    # Nearest: a mean over an edge is a surface that does not exist, and NaN would spread.
    resized = cv2.resize(depth_m, (side, side), interpolation=cv2.INTER_NEAREST)
    return resized.astype(np.float32, copy=False)


def as_proprio(values: ArrayLike, size: int) -> Vector:
    """Copy to float32 [size]; raises InputError for another length or a value not finite."""
    vector = np.array(values, dtype=np.float32)
    if vector.shape != (size,) or not np.isfinite(vector).all():
        raise InputError(f'proprio must be {size} finite numbers (proprio_dim), got shape '
                         f'{list(vector.shape)}; check the sender')
    return vector


def padded_rows(name: str, rows: ArrayLike, shape: tuple[int, int], slots: int,
                error: type[InputError] = LatentError) -> NDArray[np.float32]:
    """
    Return float32 [1, slots, columns]: the first rows of `shape` (count, columns), then zeros.

    Raises `error` for another shape or a value not finite.
    """
    count, columns = shape
    array = np.asarray(rows, dtype=np.float32)
    if array.shape != shape:
        raise error(f'{name} has shape {list(array.shape)}, expected [{count}, {columns}]; '
                    'one row for each memory')
    if not np.isfinite(array).all():
        raise error(f'{name} is not finite; leave such a memory out')
    padded = np.zeros((1, slots, columns), np.float32)
    padded[0, :count] = array[:slots]
    return padded


def _check_image(name: str, image: NDArray[Any], dtype: np.dtype[Any],
                 channels: tuple[int, ...]) -> None:
    shape = ', '.join(['H', 'W', *map(str, channels)])
    if not isinstance(image, np.ndarray) or image.dtype != dtype:
        raise ImageError(f'{name} must be an array of {dtype}, got '
                         f'{getattr(image, "dtype", type(image).__name__)}; convert it first')
    if image.ndim != 2 + len(channels) or image.shape[2:] != channels:
        raise ImageError(f'{name} has shape {list(image.shape)}, expected [{shape}]; convert it')
    if image.size == 0:
        raise ImageError(f'{name} has no pixels, shape {list(image.shape)}; check the camera')
