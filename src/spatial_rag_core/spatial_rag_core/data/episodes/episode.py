"""Episodes: what a robot saw, did and where it was, moment by moment; without any file format."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
import math
from typing import Any, Literal, NamedTuple

from spatial_rag_core.errors import InputError
from spatial_rag_core.records import MAX_COORDINATE_M, Vector

import numpy as np
from numpy.typing import ArrayLike, NDArray

Split = Literal['train', 'valid', 'test']
SPLITS: tuple[Split, ...] = ('train', 'valid', 'test')
ActionsFrom = Literal['commands', 'past motion']
ACTIONS_FROM: tuple[ActionsFrom, ...] = ('commands', 'past motion')
MAX_DEPTH_M = 65.535
"""What a file of episodes can say of depth [m]: 16 bits of millimetres."""


class Damage(NamedTuple):
    """An episode, or the file where name is empty, that is not as it was written, and why."""

    name: str
    reason: str


OnDamage = Callable[[Damage], None]
"""Is told each episode that is passed over."""


@dataclass(frozen=True, eq=False)
class Episode:
    """
    T moments of one drive at a steady rate.

    name: its key in its file, e.g. 'demo_12'; '' as long as it is in none.
    rgb: uint8 [T, S, S, 3].  actions: float32 [T, A]; actions_from 'commands': actions[t] is
    taken at moment t and leads to t + 1; 'past motion', where none were recorded: it is the motion
    from t - 1 to t, all that such a robot knows at t, zeros where t - 1 is not known.
    poses: float64 [T, 7]: x, y, z [m], qx, qy, qz, qw, body to map frame.
    stamps: float64 [T], ascending, Unix time [s], 1 / rate_hz apart to within a half.
    depth_m: float32 [T, S, S] [m], 0: not known.  proprio: float32 [T, P].
    map_id, map_seed: which world.  session, robot; source: the policy or recording it is from.
    Quaternions are normalised.  Raises InputError for anything else.
    """

    name: str
    rgb: NDArray[np.uint8]
    actions: Vector
    poses: NDArray[np.float64]
    stamps: NDArray[np.float64]
    rate_hz: float
    map_id: str = ''
    map_seed: int | None = None
    depth_m: Vector | None = None
    proprio: Vector | None = None
    session: str = ''
    robot: str = ''
    source: str = ''
    actions_from: ActionsFrom = 'commands'

    def __post_init__(self) -> None:
        _check_pictures(self.rgb)
        if self.actions_from not in ACTIONS_FROM:
            raise InputError(f'actions_from must be one of {[*ACTIONS_FROM]}, got '
                             f'{self.actions_from!r}')
        length, side = self.rgb.shape[:2]
        self._set('actions', _numbers('actions', self.actions, np.float32, (length, None)))
        self._set('stamps', _numbers('stamps', self.stamps, np.float64, (length,)))
        self._set('poses', _unit_poses(_numbers('poses', self.poses, np.float64, (length, 7))))
        _check_stamps(self.stamps, self.rate_hz)
        if self.depth_m is not None:
            depth = _numbers('depth_m', self.depth_m, np.float32, (length, side, side))
            if depth.min() < 0.0:
                raise InputError(f'depth_m holds {depth.min():g} m; it must be >= 0, and 0 where '
                                 'it is not known')
            self._set('depth_m', depth)
        if self.proprio is not None:
            self._set('proprio', _numbers('proprio', self.proprio, np.float32, (length, None)))

    def __len__(self) -> int:
        """Return the number of moments, T."""
        return len(self.rgb)

    def part(self, start: int, end: int) -> Episode:
        """Return its moments from start to before end, under a name that says so."""
        rows = slice(start, end)
        return replace(
            self, name=f'{self.name}[{start}:{end}]', rgb=self.rgb[rows],
            actions=self.actions[rows], poses=self.poses[rows], stamps=self.stamps[rows],
            depth_m=None if self.depth_m is None else self.depth_m[rows],
            proprio=None if self.proprio is None else self.proprio[rows])

    @property
    def memory_bytes(self) -> int:
        """What its arrays take in memory."""
        arrays = (self.rgb, self.actions, self.poses, self.stamps, self.depth_m, self.proprio)
        return sum(array.nbytes for array in arrays if array is not None)

    def _set(self, name: str, value: NDArray[Any]) -> None:
        object.__setattr__(self, name, value)


@dataclass(frozen=True)
class EpisodeFacts:
    """
    An episode of a file without its pictures.

    splits: those that name it, mostly one.  start_sec, end_sec: first and last stamp, Unix time
    [s].  action_dim, proprio_dim: numbers a moment; proprio_dim 0: none.
    stored_bytes: what its arrays take in the file.  actions_from: see Episode.
    """

    name: str
    splits: tuple[Split, ...]
    length: int
    rate_hz: float
    image_size_px: int
    action_dim: int
    proprio_dim: int
    has_depth: bool
    start_sec: float
    end_sec: float
    stored_bytes: int
    map_id: str
    map_seed: int | None
    session: str
    robot: str
    source: str
    actions_from: ActionsFrom


def _check_pictures(rgb: NDArray[np.uint8]) -> None:
    if rgb.dtype != np.uint8:
        raise InputError(f'rgb is {rgb.dtype}, expected uint8; give pictures as 0 to 255')
    if rgb.ndim != 4 or rgb.shape[1] != rgb.shape[2] or rgb.shape[3] != 3 or not rgb.size:
        raise InputError(f'rgb has shape {list(rgb.shape)}, expected [T, S, S, 3]; crop the '
                         'pictures to squares')


def _numbers(name: str, values: ArrayLike, dtype: type[np.floating[Any]],
             shape: tuple[int | None, ...]) -> NDArray[Any]:
    """As an array of dtype; raises InputError for another shape (None: any) or not finite."""
    try:
        with np.errstate(over='ignore'):
            array = np.asarray(values, dtype)
    except (TypeError, ValueError) as error:
        raise InputError(f'{name} is no table of numbers ({error}); give an array') from error
    if array.ndim != len(shape) or any(
            size is not None and size != found
            for size, found in zip(shape, array.shape, strict=True)):
        expected = ', '.join('any' if size is None else str(size) for size in shape)
        raise InputError(f'{name} has shape {list(array.shape)}, expected [{expected}]; give one '
                         'row for each picture')
    if not _is_finite(array):
        moment = int(np.argwhere(~np.isfinite(array))[0][0])
        raise InputError(f'{name} is not finite at moment {moment}; leave such moments out, or '
                         'end the episode before them')
    return array


def _is_finite(array: NDArray[Any]) -> bool:
    """Look at the extremes, which NaN and infinity are among: no array of truths is made."""
    return not array.size or bool(np.isfinite(array.min()) and np.isfinite(array.max()))


def _unit_poses(poses: NDArray[np.float64]) -> NDArray[np.float64]:
    far = np.abs(poses[:, :3]).max(axis=1)
    if far.max() > MAX_COORDINATE_M:
        raise InputError(f'poses: moment {int(far.argmax())} is {far.max():g} m from the map '
                         f'origin, more than {MAX_COORDINATE_M:g} m; check the localisation')
    norms = np.linalg.norm(poses[:, 3:], axis=1)
    worst = int(np.abs(norms - 1.0).argmax())
    if not 0.9 <= norms[worst] <= 1.1:
        raise InputError(f'poses: the quaternion of moment {worst} has length {norms[worst]:.3g}, '
                         'a rotation has length 1; columns are x, y, z, qx, qy, qz, qw')
    return np.concatenate([poses[:, :3], poses[:, 3:] / norms[:, None]], axis=1)


def _check_stamps(stamps: NDArray[np.float64], rate_hz: float) -> None:
    if not (math.isfinite(rate_hz) and rate_hz > 0.0):
        raise InputError(f'rate_hz must be > 0, got {rate_hz}')
    steps = np.diff(stamps)
    for moment in np.flatnonzero(steps <= 0.0)[:1]:
        raise InputError(f'stamps must ascend: moment {moment + 1} is at '
                         f'{stamps[moment + 1]:.6f} s, {abs(steps[moment]):g} s before the one '
                         'that it follows; sort the moments')
    for moment in np.flatnonzero(np.abs(steps * rate_hz - 1.0) > 0.5)[:1]:
        raise InputError(f'stamps {moment} and {moment + 1} are {steps[moment]:.3f} s apart, '
                         f'rate_hz {rate_hz:g} means {1 / rate_hz:.3f} s; resample, or cut the '
                         'episode there')
