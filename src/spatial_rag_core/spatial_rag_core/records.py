"""What is remembered, what is asked, what is found: frozen records, checked at birth."""

from __future__ import annotations

from dataclasses import dataclass, field
import math
import reprlib
from typing import Literal, NamedTuple

from spatial_rag_core.errors import (
    ActionError,
    ConfigurationError,
    InputError,
    LatentError,
    PoseError,
)

import numpy as np
from numpy.typing import ArrayLike, NDArray

Vector = NDArray[np.float32]
RankBy = Literal['latent', 'pose']
Metric = Literal['l2', 'cosine']

MAX_COORDINATE_M = 1e7
"""A coordinate farther from the map's origin than this [m] is taken for a fault."""

MAX_NAME_LENGTH, MAX_LABELS, MAX_IDS = 255, 64, 10_000
"""Of what is asked for: characters of a name, labels, and ids at once."""


class Position(NamedTuple):
    """A point in the map frame [m]."""

    x: float
    y: float
    z: float = 0.0


class Quaternion(NamedTuple):
    """A rotation from the body frame to the map frame, unit length, (x, y, z, w) as in ROS."""

    x: float
    y: float
    z: float
    w: float


IDENTITY = Quaternion(0.0, 0.0, 0.0, 1.0)


@dataclass(frozen=True)
class Pose:
    """
    Where the robot is, in the map frame.

    Raises PoseError for a coordinate that is not finite or absurdly far, and for a quaternion
    that is not of unit length to within 10 % (it is normalised otherwise).
    """

    position: Position
    orientation: Quaternion = IDENTITY

    def __post_init__(self) -> None:
        position = Position(*map(float, self.position))
        orientation = Quaternion(*map(float, self.orientation))
        if not math.isfinite(sum(position) + sum(orientation)):
            raise PoseError(f'pose is not finite: position {tuple(position)} m, '
                            f'orientation {tuple(orientation)}; check the localisation')
        if max(map(abs, position)) > MAX_COORDINATE_M:
            raise PoseError(f'position {tuple(position)} m is more than {MAX_COORDINATE_M:g} m '
                            'from the map origin; check the localisation')
        norm = math.sqrt(sum(value * value for value in orientation))
        if not 0.9 <= norm <= 1.1:
            raise PoseError(f'orientation {tuple(orientation)} has length {norm:.3g}, a rotation '
                            'has length 1; fill orientation (w: 1.0 where there is none)')
        object.__setattr__(self, 'position', position)
        object.__setattr__(self, 'orientation', Quaternion(*(v / norm for v in orientation)))


def as_latent(values: ArrayLike, z_dim: int | None = None) -> Vector:
    """Copy to float32 [z_dim]; raises LatentError for another length or a value not finite."""
    return _checked_vector(values, z_dim, 'latent', 'z_dim', LatentError)


def as_action(values: ArrayLike, action_dim: int | None = None) -> Vector:
    """Copy to float32 [action_dim]; raises ActionError for another length or not finite."""
    return _checked_vector(values, action_dim, 'action', 'action_dim', ActionError)


def _checked_vector(values: ArrayLike, size: int | None, name: str, size_name: str,
                    error: type[LatentError] | type[ActionError]) -> Vector:
    try:
        if isinstance(values, np.ndarray) and values.dtype == np.float32:
            vector: Vector = values.copy()
        else:
            with np.errstate(over='ignore'):  # beyond float32 is infinite, which is told below
                vector = np.array(values, dtype=np.float32)
    except (TypeError, ValueError) as problem:
        raise error(f'{name} is not a list of numbers ({problem}); check the sender') from problem
    if vector.ndim != 1 or (size is not None and len(vector) != size):
        raise error(f'{name} has shape {list(vector.shape)}, expected [{size}] '
                    f'({size_name}); sender and receiver must agree on {size_name}')
    if not math.isfinite(sum(vector.tolist())):  # in double precision: finite where all are
        index = int(np.argmin(np.isfinite(vector)))
        raise error(f'{name} is not finite: element {index} is {vector[index]}; check the sender')
    return vector


NO_ACTION: Vector = np.zeros(0, np.float32)
"""The action of a memory whose action is not known."""


@dataclass(frozen=True, eq=False)
class Memory:
    """
    One remembered moment.

    vector: latent, float32 [z_dim].  pose: in the map frame [m].  timestamp: Unix time of the
    source frame [s].  action: what led here, float32 [action_dim], or empty where not known.
    thumbnail: JPEG of the picture that the encoder saw, or empty.
    Raises InputError for a timestamp that is not finite.
    """

    id: str
    vector: Vector
    pose: Pose
    h3_cell: str
    timestamp: float
    model_id: str
    action: Vector = field(default_factory=lambda: NO_ACTION)
    session: str = ''
    robot: str = ''
    map_id: str = ''
    labels: tuple[str, ...] = ()
    thumbnail: bytes = b''

    def __post_init__(self) -> None:
        if not math.isfinite(self.timestamp):
            raise InputError(f'memory {self.id} has timestamp {self.timestamp}, expected a Unix '
                             'time [s]; check the clock of the camera')

    @property
    def position(self) -> Position:
        """Where it was, in the map frame [m]."""
        return self.pose.position

    @property
    def orientation(self) -> Quaternion:
        """How the robot was turned, body frame to map frame."""
        return self.pose.orientation


@dataclass(frozen=True)
class Box:
    """An axis-aligned region of the map frame, both corners included [m]."""

    low: Position
    high: Position

    def __post_init__(self) -> None:
        if not all(math.isfinite(value) for value in (*self.low, *self.high)):
            raise ConfigurationError(f'box corners must be finite, got {self.low}, {self.high}')
        if any(low > high for low, high in zip(self.low, self.high, strict=True)):
            raise ConfigurationError(
                f'box low corner {tuple(self.low)} m must not exceed high {tuple(self.high)} m')


@dataclass(frozen=True, eq=False)
class MemoryQuery:
    """
    What to look for; a field that is None does not restrict.

    vector: latent to be near, float32 [z_dim]; needed for rank_by 'latent'.
    pose: where the asker is; needed for radius_m and for rank_by 'pose'.
    radius_m: 3-D distance from pose [m].  box: region of the map.  At most one of the two.
    min_age_sec: leave out what lies closer than this to `timestamp`, before or after [s].
    timestamp: the asker's moment, Unix time [s]; needed for min_age_sec.
    after, before: time window, both ends included, Unix time [s].
    session, robot, map_id: exactly this one.  labels: memories that carry all of these.
    max_dz_m: height difference from pose, for floors [m]; needs a pose.
    model_id: the author of `vector`; an index refuses the latents of another.
    rank_by: 'latent' gives the distance of latents by `metric`: 'l2', or 'cosine' (1 − cos, 0 to
    2; 1 where either latent is zero); 'pose' gives |Δp|² + 3·(1 − cos Δθ) [m²].
    newest_only: of views of nearly the same place only the last counts, see seen_again.py.
    diversity: 0 gives the nearest; towards 1 what is unlike the hits before it counts more
    (maximal marginal relevance, see diversity.py).
    """

    k: int = 8
    vector: Vector | None = None
    pose: Pose | None = None
    radius_m: float | None = None
    box: Box | None = None
    min_age_sec: float = 0.0
    timestamp: float | None = None
    after: float | None = None
    before: float | None = None
    session: str | None = None
    robot: str | None = None
    map_id: str | None = None
    labels: tuple[str, ...] = ()
    max_dz_m: float | None = None
    model_id: str | None = None
    rank_by: RankBy = 'latent'
    metric: Metric = 'l2'
    newest_only: bool = False
    diversity: float = 0.0

    def __post_init__(self) -> None:
        self._check_ranges()
        self._check_words()
        self._check_needs()

    def _check_ranges(self) -> None:
        if not 1 <= self.k <= 10_000:
            raise ConfigurationError(f'k must lie between 1 and 10000, got {self.k}')
        if self.radius_m is not None and not 0.0 < self.radius_m <= MAX_COORDINATE_M:
            raise ConfigurationError(
                f'radius_m must lie in (0, {MAX_COORDINATE_M:g}] m, got {self.radius_m}')
        if not 0.0 <= self.min_age_sec < math.inf:
            raise ConfigurationError(f'min_age_sec must be >= 0 s, got {self.min_age_sec}')
        if self.max_dz_m is not None and not 0.0 <= self.max_dz_m < math.inf:
            raise ConfigurationError(f'max_dz_m must be >= 0 m, got {self.max_dz_m}')
        if not 0.0 <= self.diversity <= 1.0:
            raise ConfigurationError(f'diversity must lie in [0, 1], got {self.diversity}')
        _check_times(timestamp=self.timestamp, after=self.after, before=self.before)

    def _check_words(self) -> None:
        if self.rank_by not in ('latent', 'pose'):
            raise ConfigurationError(
                f"rank_by must be 'latent' or 'pose', got {self.rank_by!r}")
        if self.metric not in ('l2', 'cosine'):
            raise ConfigurationError(f"metric must be 'l2' or 'cosine', got {self.metric!r}")
        check_labels(self.labels)
        check_names(session=self.session, robot=self.robot, map_id=self.map_id,
                    model_id=self.model_id)

    def _check_needs(self) -> None:
        if self.rank_by == 'latent' and self.vector is None:
            raise ConfigurationError("rank_by 'latent' needs a vector; or use rank_by 'pose'")
        if self.rank_by == 'pose' and self.pose is None:
            raise ConfigurationError("rank_by 'pose' needs a pose; or use rank_by 'latent'")
        if self.radius_m is not None and self.pose is None:
            raise ConfigurationError(f'radius_m {self.radius_m} needs a pose to lie around')
        if self.max_dz_m is not None and self.pose is None:
            raise ConfigurationError(f'max_dz_m {self.max_dz_m} needs a pose to measure from')
        if self.radius_m is not None and self.box is not None:
            raise ConfigurationError('give radius_m or box, not both')
        if self.min_age_sec > 0.0 and self.timestamp is None:
            raise ConfigurationError(f'min_age_sec {self.min_age_sec} needs a timestamp')


def _check_times(**times: float | None) -> None:
    for name, value in times.items():
        if value is not None and not math.isfinite(value):
            raise ConfigurationError(f'{name} must be a Unix time [s], got {value}')
    after, before = times.get('after'), times.get('before')
    if after is not None and before is not None and after > before:
        raise ConfigurationError(
            f'after {after} s must not exceed before {before} s; swap the two')


def check_labels(labels: tuple[str, ...]) -> None:
    """Raise ConfigurationError where it is no tuple of words, or they are many or long."""
    if isinstance(labels, str) or not all(isinstance(label, str) and label for label in labels):
        raise ConfigurationError('labels must be a tuple of words, none empty, got '
                                 f'{reprlib.repr(labels)}')
    if len(labels) > MAX_LABELS:
        raise ConfigurationError(f'at most {MAX_LABELS} labels can be given, got {len(labels)}')
    for label in labels:
        check_names(label=label)


def check_names(**names: str | None) -> None:
    """Raise ConfigurationError for a name that is too long; the keyword says what it is of."""
    for field_name, name in names.items():
        if name is not None and len(name) > MAX_NAME_LENGTH:
            raise ConfigurationError(f'{field_name} has {len(name)} characters, the longest has '
                                     f'{MAX_NAME_LENGTH}; shorten it')


def _check_ids(ids: tuple[str, ...]) -> None:
    if len(ids) > MAX_IDS:
        raise ConfigurationError(f'at most {MAX_IDS} ids can be given at once, got {len(ids)}; '
                                 'select them in parts, or by session, time or place')
    for each in ids:
        check_names(id=each)


@dataclass(frozen=True)
class MemorySelection:
    """
    Which stored memories are meant: those that satisfy every field that is given.

    ids: memory ids.  session, robot, map_id: exactly this one.  labels: all of these.
    after, before: time window, both ends included, Unix time [s].
    center, radius_m: within this 3-D distance [m].  box: region of the map.
    everything: all memories; needed where no other field is given, so that an empty selection
    cannot forget a whole life by accident. Raises ConfigurationError.
    """

    ids: tuple[str, ...] = ()
    session: str | None = None
    robot: str | None = None
    map_id: str | None = None
    labels: tuple[str, ...] = ()
    after: float | None = None
    before: float | None = None
    center: Position | None = None
    radius_m: float | None = None
    box: Box | None = None
    everything: bool = False

    def __post_init__(self) -> None:
        _check_times(after=self.after, before=self.before)
        check_labels(self.labels)
        check_names(session=self.session, robot=self.robot, map_id=self.map_id)
        _check_ids(self.ids)
        if (self.center is None) != (self.radius_m is None):
            raise ConfigurationError('center and radius_m must be given together, got '
                                     f'center {self.center}, radius_m {self.radius_m}')
        if self.radius_m is not None and not 0.0 < self.radius_m <= MAX_COORDINATE_M:
            raise ConfigurationError(
                f'radius_m must lie in (0, {MAX_COORDINATE_M:g}] m, got {self.radius_m}')
        if self.center is not None and not all(map(math.isfinite, self.center)):
            raise ConfigurationError(f'center must be finite [m], got {tuple(self.center)}')
        if not self.everything and not self.ids and not self.labels and all(
                value is None for value in (self.session, self.robot, self.map_id, self.after,
                                            self.before, self.center, self.box)):
            raise ConfigurationError('nothing is selected; give ids, a session, a time window, '
                                     'a region …, or everything=True')


@dataclass(frozen=True, eq=False)
class Hit:
    """
    A memory that was found.

    distance: in the unit of the query's rank_by; smaller is nearer.
    separation_m: 3-D distance from the query's pose [m]; NaN where the query had none.
    seq: its number in the memory file; 0 where that is not told.
    """

    memory: Memory
    distance: float
    separation_m: float
    seq: int = 0
