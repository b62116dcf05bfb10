"""Errors in words for people."""

from __future__ import annotations

from spatial_rag_core.errors import SpatialRagError

MOST_CHARACTERS = 1000


def told(error: Exception) -> str:
    """Its message; what was not foreseen also says where it came from."""
    if isinstance(error, SpatialRagError):
        return str(error)
    return (f'internal error in {origin(error)}: {type(error).__name__}: {error}; please '
            'report it')


def shortened(message: str) -> str:
    """Cut what repeats a field of any length, and escape what no terminal should get."""
    short = message if len(message) <= MOST_CHARACTERS else (
        f'{message[:MOST_CHARACTERS]}… ({len(message)} characters)')
    return short if short.isprintable() else ''.join(
        letter if letter.isprintable() else ascii(letter)[1:-1] for letter in short)


def origin(error: Exception) -> str:
    """File and line that raised it."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return 'unknown'
    return f'{trace.tb_frame.f_code.co_filename.rsplit("/", 1)[-1]}:{trace.tb_lineno}'
