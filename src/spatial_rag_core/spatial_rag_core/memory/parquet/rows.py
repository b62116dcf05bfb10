"""Rows of a Parquet file as memories, checked one by one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from spatial_rag_core.memory.index import Context
from spatial_rag_core.memory.parquet.columns import (
    numbers,
    optional_vectors,
    pictures,
    RowRange,
    vectors,
    word_lists,
    words,
)
from spatial_rag_core.memory.parquet.layout import POSE_COLUMNS
from spatial_rag_core.memory.tables.bulk_append import MemoryColumns
from spatial_rag_core.memory.tables.cell_numbers import cell_numbers, misplaced
from spatial_rag_core.memory.tables.rows import record_type, Records
from spatial_rag_core.memory.tables.schema import JournalSpec
from spatial_rag_core.records import MAX_COORDINATE_M

import numpy as np
from numpy.typing import NDArray
import pyarrow as pa

_ROUNDING = 1e-12
"""An orientation whose length is this near to 1 is left as it is, to the bit."""


def memories_of(batch: pa.RecordBatch, spec: JournalSpec, path: Path,
                first_row: int) -> MemoryColumns:
    """Check the rows of a batch; raises InputError that names the row or the column."""
    where, size = RowRange(path, first_row), len(batch)
    given = dict(zip(batch.schema.names, batch.columns, strict=True))
    names = [words(given[name], name, where) if name in given else size * ['']
             for name in ('session', 'robot', 'map_id')]
    labels = word_lists(given['labels'], 'labels', where) if 'labels' in given else size * [()]
    return MemoryColumns(
        _records(given, size, spec, where), _ids(given['id'], where),
        optional_vectors(given['action'], 'action', spec.action_dim, where)
        if 'action' in given else size * [b''],
        [Context(*row) for row in zip(*names, labels, strict=True)],
        pictures(given['thumbnail'], 'thumbnail', where) if 'thumbnail' in given
        else size * [b''])


def _ids(column: pa.Array, where: RowRange) -> list[str]:
    found = words(column, 'id', where)
    if '' in found:
        raise where.problem(found.index(''), 'id is empty', 'give each memory an id of its own')
    return found


def _records(given: dict[str, Any], size: int, spec: JournalSpec, where: RowRange) -> Records:
    records = np.zeros(size, record_type(spec.z_dim))
    pose = np.stack([numbers(given[name], name, where) for name in POSE_COLUMNS], axis=1)
    records['timestamp'] = numbers(given['timestamp'], 'timestamp', where)
    records['position'] = _on_the_map(pose[:, :3], where)
    records['orientation'] = _rotations(pose[:, 3:], where)
    records['vector'] = vectors(given['vector'], 'vector', spec.z_dim, where)
    records['cell'] = cell_numbers(spec, pose[:, :2]) if 'h3_cell' not in given else (
        _cells(words(given['h3_cell'], 'h3_cell', where), spec, pose[:, :2], where))
    return records


def _on_the_map(positions: NDArray[np.float64], where: RowRange) -> NDArray[np.float64]:
    far = (np.abs(positions) > MAX_COORDINATE_M).any(axis=1)
    if far.any():
        bad = int(np.argmax(far))
        raise where.problem(bad, f'position {tuple(positions[bad].tolist())} m is more than '
                            f'{MAX_COORDINATE_M:g} m from the map origin', 'correct it')
    return positions


def _rotations(quaternions: NDArray[np.float64], where: RowRange) -> NDArray[np.float64]:
    with np.errstate(over='ignore'):  # infinite then, which is no rotation
        lengths = np.linalg.norm(quaternions, axis=1)
    wrong = ~((lengths >= 0.9) & (lengths <= 1.1))
    if wrong.any():
        bad = int(np.argmax(wrong))
        raise where.problem(bad, f'orientation {tuple(quaternions[bad].tolist())} has length '
                            f'{lengths[bad]:.3g}, a rotation has length 1',
                            'set qw to 1 where there is none')
    is_exact = np.abs(lengths - 1.0) <= _ROUNDING
    return quaternions / np.where(is_exact, 1.0, lengths)[:, None]


def _cells(texts: list[str], spec: JournalSpec, xy_m: NDArray[np.float64],
           where: RowRange) -> NDArray[np.uint64]:
    """Cells as they are told, where they are the right ones; those not told are made."""
    told = np.array(list(map(_cell, texts)), np.uint64)
    if '' in texts:
        untold = np.array([not text for text in texts])
        told[untold] = cell_numbers(spec, xy_m[untold])
    if len(wrong := misplaced(spec, xy_m, told)):
        bad = int(wrong[0])
        raise where.problem(bad, f'h3_cell {texts[bad]!r} is not that of its position at '
                            f'resolution {spec.h3_resolution}',
                            'leave the column out, and it is made anew')
    return told


def _cell(text: str) -> int:
    """A number that is no cell where the text tells none."""
    try:
        number = int(text, 16)
    except ValueError:
        return 0
    return number if 0 <= number < 1 << 64 else 0
