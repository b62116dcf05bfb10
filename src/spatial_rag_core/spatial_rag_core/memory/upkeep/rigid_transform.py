"""A rotation and a shift: from an old map frame to a new one."""

from __future__ import annotations

from dataclasses import dataclass
import math

from spatial_rag_core.errors import ConfigurationError
from spatial_rag_core.records import IDENTITY, MAX_COORDINATE_M, Position, Quaternion

import numpy as np
from numpy.typing import NDArray

_NOWHERE = Position(0.0, 0.0, 0.0)


@dataclass(frozen=True)
class RigidTransform:
    """
    new position = rotation · old position + translation; orientations turn along.

    rotation: unit quaternion (x, y, z, w), normalised if within 10 %.  translation: [m].
    Raises ConfigurationError for numbers that are not finite, for no rotation, and for a shift
    beyond MAX_COORDINATE_M.
    """

    rotation: Quaternion = IDENTITY
    translation: Position = _NOWHERE

    def __post_init__(self) -> None:
        rotation, translation = Quaternion(*self.rotation), Position(*self.translation)
        if not all(map(math.isfinite, (*rotation, *translation))):
            raise ConfigurationError(f'transform must be finite, got rotation {tuple(rotation)}, '
                                     f'translation {tuple(translation)} m')
        if max(map(abs, translation)) > MAX_COORDINATE_M:
            raise ConfigurationError(f'translation must lie within {MAX_COORDINATE_M:g} m, got '
                                     f'{tuple(translation)} m')
        length = math.hypot(*rotation)
        if not 0.9 <= length <= 1.1:
            raise ConfigurationError(f'rotation {tuple(rotation)} has length {length:.3g}, a '
                                     'rotation has length 1; (0, 0, 0, 1) turns nothing')
        object.__setattr__(self, 'rotation', Quaternion(*(v / length for v in rotation)))
        object.__setattr__(self, 'translation', Position(*map(float, translation)))

    @classmethod
    def planar(cls, x_m: float, y_m: float, yaw_rad: float) -> RigidTransform:
        """Turn about the origin by yaw, counter-clockwise seen from above, then shift."""
        if not math.isfinite(yaw_rad):
            raise ConfigurationError(f'yaw must be finite [rad], got {yaw_rad}')
        half = yaw_rad / 2
        return cls(Quaternion(0.0, 0.0, math.sin(half), math.cos(half)), Position(x_m, y_m))

    def move(self, positions: NDArray[np.float64]) -> NDArray[np.float64]:
        """Positions [N, 3] in the new frame [m]."""
        moved: NDArray[np.float64] = positions @ self._matrix().T + np.array(self.translation)
        return moved

    def turn(self, orientations: NDArray[np.float64]) -> NDArray[np.float64]:
        """Unit quaternions [N, 4] in the new frame: rotation ⊗ orientation."""
        x, y, z, w = self.rotation
        left = np.array([[w, -z, y, x], [z, w, -x, y], [-y, x, w, z], [-x, -y, -z, w]])
        turned: NDArray[np.float64] = orientations @ left.T
        turned /= np.linalg.norm(turned, axis=1, keepdims=True)
        return turned

    def _matrix(self) -> NDArray[np.float64]:
        x, y, z, w = self.rotation
        return np.array([
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)]])
