"""Folders of pictures in place of recordings, with lists of what matches and of where they are."""

from __future__ import annotations

import csv
from dataclasses import dataclass
import math
from pathlib import Path

from spatial_rag_core.errors import ImageError, InputError, SpatialRagError
from spatial_rag_core.models.model_input import resized_rgb
from spatial_rag_core.records import Pose, Position, Quaternion

import cv2
import numpy as np
from numpy.typing import NDArray

POSE_LIST = 'poses.csv'
POSE_COLUMNS = ('image', 'stamp', 'x', 'y', 'z', 'qx', 'qy', 'qz', 'qw')
MATCH_COLUMNS = ('query', 'map')

_PICTURES = ('.png', '.jpg', '.jpeg', '.bmp', '.ppm')
_RECORDINGS = ('.mcap', '.db3', '.bag')
_Row = tuple[int, list[str]]
"""Line number and cells."""


@dataclass(frozen=True, eq=False)
class PictureSet:
    """
    Pictures of a recording in order of time, or of a folder: by name, or by its list of stamps.

    rgb: uint8 [N, S, S, 3].  stamps: float64 [N] [s] and poses: float64 [N, 7] (x, y, z [m], qx,
    qy, qz, qw), or None where they are not known.  names: of files; none for a recording.
    """

    path: Path
    rgb: NDArray[np.uint8]
    stamps: NDArray[np.float64] | None = None
    poses: NDArray[np.float64] | None = None
    names: tuple[str, ...] = ()


def is_image_folder(path: Path) -> bool:
    """Whether a path is a folder of pictures, and not one of a recording."""
    if not path.is_dir():
        return False
    endings = {file.suffix.lower() for file in path.iterdir()}
    return bool(endings & set(_PICTURES)) and not endings & set(_RECORDINGS)


def read_image_folder(path: Path, side: int) -> PictureSet:
    """
    Read every picture, as the encoder sees it; poses.csv beside them says when and where.

    side: of the square that each is resized to [px].  Raises InputError that names file and
    remedy.
    """
    names = sorted(file.name for file in path.iterdir() if file.suffix.lower() in _PICTURES)
    if not names:
        raise InputError(f'{path} holds no pictures; name a folder of {", ".join(_PICTURES)}')
    stamps = poses = None
    if (path / POSE_LIST).exists():
        names, stamps, poses = _pose_list(path / POSE_LIST, set(names))
    rgb = np.stack([_picture(path / name, side) for name in names])
    return PictureSet(path, rgb, stamps, poses, tuple(names))


def read_matches(path: Path, queries: PictureSet, places: PictureSet) -> NDArray[np.bool_]:
    """
    Read a CSV list of query picture, map picture: right answers, bool [Q, M].

    A query may have several lines, or none.  Raises InputError that names line and remedy.
    """
    right = np.zeros((len(queries.names), len(places.names)), bool)
    row_of = {name: row for row, name in enumerate(queries.names)}
    column_of = {name: column for column, name in enumerate(places.names)}
    for line, cells in _rows(path, MATCH_COLUMNS):
        query, place = cells
        for name, known, folder in ((query, row_of, queries.path),
                                    (place, column_of, places.path)):
            if name not in known:
                raise InputError(f'{path} line {line} names {name!r}, which is not in {folder}; '
                                 'write the file name with its ending, one pair a line')
        right[row_of[query], column_of[place]] = True
    return right


def _pose_list(path: Path, there: set[str]) -> tuple[
        list[str], NDArray[np.float64], NDArray[np.float64]]:
    """Names, stamps and poses in order of time."""
    found: list[tuple[float, str, list[float]]] = []
    for line, (name, *cells) in _rows(path, POSE_COLUMNS):
        if name not in there:
            raise InputError(f'{path} line {line} names {name!r}, which is not in {path.parent}; '
                             'take the line out, or put the picture back')
        stamp, *pose = _numbers(path, line, cells)
        found.append((stamp, name, _checked_pose(path, line, pose)))
    found.sort()
    names = [name for _, name, _ in found]
    if missing := sorted(there - set(names)):
        raise InputError(f'{path} says nothing about {missing[0]!r}; give each picture a line')
    stamps = np.array([stamp for stamp, _, _ in found])
    if len(names) > len(there) or not (np.diff(stamps) > 0).all():
        raise InputError(f'{path} has a picture or a stamp twice; give each picture one line with '
                         'its own time [s]')
    return names, stamps, np.array([pose for _, _, pose in found])


def _checked_pose(path: Path, line: int, numbers: list[float]) -> list[float]:
    try:
        pose = Pose(Position(*numbers[:3]), Quaternion(*numbers[3:]))
    except SpatialRagError as error:
        raise InputError(f'{path} line {line}: {error}') from error
    return [*pose.position, *pose.orientation]


def _numbers(path: Path, line: int, cells: list[str]) -> list[float]:
    try:
        numbers = [float(cell) for cell in cells]
    except ValueError as error:
        raise InputError(f'{path} line {line}: {error}; the columns are '
                         + ','.join(POSE_COLUMNS)) from error
    if not all(map(math.isfinite, numbers)):
        raise InputError(f'{path} line {line} has a number that is not finite; take it out')
    return numbers


def _rows(path: Path, columns: tuple[str, ...]) -> list[_Row]:
    """Lines of a CSV file; the first may be a heading, blank lines and # lines are none."""
    try:
        with path.open(newline='', encoding='utf-8-sig') as file:
            rows = [(reader.line_num, [cell.strip() for cell in cells])
                    for reader in [csv.reader(file)] for cells in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f'{path} cannot be read ({error}); give a CSV file with the columns '
                         + ','.join(columns)) from error
    rows = [(line, cells) for line, cells in rows
            if any(cells) and not cells[0].startswith('#') and cells != list(columns)]
    for line, cells in rows:
        if len(cells) != len(columns):
            raise InputError(f'{path} line {line} has {len(cells)} cells, expected '
                             + ','.join(columns))
    if not rows:
        raise InputError(f'{path} is empty; its columns are {",".join(columns)}')
    return rows


def _picture(path: Path, side: int) -> NDArray[np.uint8]:
    try:
        encoded = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise ImageError(f'{path} cannot be read: {error.strerror}; check the file') from error
    bgr = cv2.imdecode(encoded, cv2.IMREAD_COLOR) if len(encoded) else None
    if bgr is None:
        raise ImageError(f'{path} is no picture, or damaged; copy it again')
    return resized_rgb(np.ascontiguousarray(np.asarray(bgr, np.uint8)[..., ::-1]), side)
