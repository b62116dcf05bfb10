"""Figures as people write them: times, sizes, tables; all of it ASCII but for names."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
import math
import re

_UNITS = ('B', 'kB', 'MB', 'GB', 'TB')


def unix_time(text: str) -> float:
    """Read a Unix time [s], or an ISO 8601 date or time; without an offset it is UTC."""
    if re.fullmatch(r'(19|20)\d\d((0[1-9]|1[0-2])\d\d)?', text):
        raise argparse.ArgumentTypeError(
            f'{text} may be a date or seconds; write 2026-11-22, or {text}.0 for seconds')
    try:
        return _finite(float(text))
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text[:-1] + '+00:00' if text[-1:] in 'zZ' else text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f'{text!r} is no time; write 2026-11-22, 2026-11-22T17:05:35Z or Unix seconds'
        ) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f'{value} is no time; it must be finite')
    return value


def time_of(unix_sec: float | None) -> str:
    """UTC to the second, 2026-11-22 17:05:35; `-` where there is none."""
    if unix_sec is None:
        return '-'
    try:
        return datetime.fromtimestamp(unix_sec, timezone.utc).strftime('%Y-%m-%d %H:%M:%S')
    except (OverflowError, ValueError, OSError):
        return f'{unix_sec:g} s'


def span_of(seconds: float) -> str:
    """A duration, `0.5 s` or `1 day, 2:03:04`."""
    try:
        return f'{seconds:.1f} s' if seconds < 60 else str(timedelta(seconds=round(seconds)))
    except OverflowError:
        return f'{seconds:g} s'


def size_of(size_bytes: float) -> str:
    """`512 B`, `1.6 MB`; powers of 1000."""
    power = 0
    while abs(size_bytes) >= 999.5 and power < len(_UNITS) - 1:
        size_bytes, power = size_bytes / 1000, power + 1
    return f'{size_bytes:.3g} {_UNITS[power]}'


def clean(name: str, width: int | None = None) -> str:
    """One printable line of at most `width` columns; `-` for an empty name."""
    line = ''.join(sign if sign.isprintable() else '?' for sign in name) or '-'
    if width is None or len(line) <= width:
        return line
    return line[:width - 2] + '..'


def table(header: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = (),
          indent: int = 0) -> str:
    """Columns as wide as they need, two blanks between them; `right`: columns of numbers."""
    lines = [header, *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    return '\n'.join(' ' * indent + '  '.join(
        cell.rjust(width) if i in right else cell.ljust(width)
        for i, (cell, width) in enumerate(zip(line, widths, strict=True))).rstrip()
        for line in lines)
