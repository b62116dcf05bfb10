"""Lists of any length as the parameters of SQL statements, a part at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

_AT_ONCE = 5000
"""Values in one statement; SQLite may be built for no more than 32 766."""

Value = TypeVar('Value', int, str)


def parts(values: Sequence[Value]) -> Iterator[list[Value]]:
    """Yield the values in parts that one statement can take."""
    for start in range(0, len(values), _AT_ONCE):
        yield list(values[start:start + _AT_ONCE])


def marks(values: Sequence[object]) -> str:
    """As many question marks as there are values."""
    return ', '.join('?' * len(values))
