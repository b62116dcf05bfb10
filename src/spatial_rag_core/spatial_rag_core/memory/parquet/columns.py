"""Columns of a Parquet file, from anywhere, as arrays; what does not fit is told by its row."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spatial_rag_core.errors import InputError
from spatial_rag_core.records import Vector

import numpy as np
from numpy.typing import NDArray
import pyarrow as pa
import pyarrow.compute as pc


@dataclass(frozen=True)
class RowRange:
    """Where in which file a batch lies; rows are counted from 0."""

    path: Path
    first_row: int

    def problem(self, index: int, what: str, remedy: str) -> InputError:
        """Tell what is wrong with one row of the batch."""
        return InputError(f'{self.path}: row {self.first_row + index} (counted from 0): {what}; '
                          f'{remedy}')


def numbers(column: pa.Array, name: str, where: RowRange) -> NDArray[np.float64]:
    """Finite numbers, float64 [N]."""
    if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
        raise wrong_type(where.path, name, column.type, 'numbers (double)')
    values: NDArray[np.float64] = column.cast(
        pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    if not (fine := np.isfinite(values)).all():
        bad = int(np.argmin(fine))
        raise where.problem(bad, f'{name} is {column[bad].as_py()}, expected a finite number',
                            'correct the row or leave it out')
    return values


def words(column: pa.Array, name: str, where: RowRange) -> list[str]:
    """Strings; none is empty text."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if not is_text(column.type):
        raise wrong_type(where.path, name, column.type, 'strings')
    return ['' if word is None else word for word in column.to_pylist()]


def word_lists(column: pa.Array, name: str, where: RowRange) -> list[tuple[str, ...]]:
    """Lists of strings; none is an empty one, as are empty words."""
    if not (is_list(column.type) and is_text(column.type.value_type)):
        raise wrong_type(where.path, name, column.type, 'lists of strings')
    return [tuple(word for word in row or () if word) for row in column.to_pylist()]


def vectors(column: pa.Array, name: str, length: int, where: RowRange) -> Vector:
    """Finite vectors, float32 [N, length]."""
    values, lengths = _flat(column, name, where)
    _require_lengths(lengths, name, (length,), where)
    together: Vector = values.reshape(len(column), length)
    _require_finite(together, name, where)
    return together


def optional_vectors(column: pa.Array, name: str, length: int, where: RowRange) -> list[bytes]:
    """Bytes of finite float32 vectors of this length; empty where there is none."""
    values, lengths = _flat(column, name, where)
    _require_lengths(lengths, name, (0, length), where)
    given = values.reshape(-1, length)
    present = np.flatnonzero(lengths)
    if not (fine := np.isfinite(given).all(axis=1)).all():
        bad = int(present[np.argmin(fine)])
        raise where.problem(bad, f'{name} is {column[bad].as_py()}, which is not finite',
                            'correct the row or leave it out')
    found = [b''] * len(column)
    content, size = given.astype('<f4').tobytes(), 4 * length
    for n, index in enumerate(present.tolist()):
        found[index] = content[n * size:(n + 1) * size]
    return found


def pictures(column: pa.Array, name: str, where: RowRange) -> list[bytes]:
    """Binary content; none is empty."""
    kind = column.type
    if not (pa.types.is_binary(kind) or pa.types.is_large_binary(kind)):
        raise wrong_type(where.path, name, kind, 'binary')
    return [content or b'' for content in column.to_pylist()]


def wrong_type(path: Path, name: str, found: pa.DataType, expected: str) -> InputError:
    """Tell that a whole column is of another type."""
    return InputError(f'{path}: column {name} is of type {found}, expected {expected}; cast it '
                      'before the import')


def is_text(kind: pa.DataType) -> bool:
    """Whether the column holds strings."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def is_list(kind: pa.DataType) -> bool:
    """Whether the column holds lists, of one length or of many."""
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind)
                or pa.types.is_fixed_size_list(kind))


def _flat(column: Any, name: str, where: RowRange) -> tuple[Vector, NDArray[np.int64]]:
    """All values one after the other, and how many each row has; none is an empty list."""
    if not (is_list(column.type) and pa.types.is_floating(column.type.value_type)):
        raise wrong_type(where.path, name, column.type, 'lists of numbers (float)')
    lengths = pc.list_value_length(column).fill_null(0).to_numpy(zero_copy_only=False)
    with np.errstate(over='ignore'):  # beyond float32 is infinite, which is told afterwards
        values = column.flatten().to_numpy(zero_copy_only=False).astype(np.float32)
    return values, lengths.astype(np.int64)


def _require_lengths(lengths: NDArray[np.int64], name: str, allowed: tuple[int, ...],
                     where: RowRange) -> None:
    if not (fine := np.isin(lengths, allowed)).all():
        bad = int(np.argmin(fine))
        raise where.problem(bad, f'{name} has {lengths[bad]} numbers, expected {allowed[-1]}',
                            'import it into a memory of its own dimensions')


def _require_finite(values: Vector, name: str, where: RowRange) -> None:
    if not (fine := np.isfinite(values).all(axis=1)).all():
        bad = int(np.argmin(fine))
        raise where.problem(bad, f'{name} is not finite', 'correct the row or leave it out')
