"""Memories that were found: as a table, as JSON, as picture files."""

from __future__ import annotations

from collections.abc import Sequence
import math
from pathlib import Path
import re
from typing import Any

from spatial_rag_core.errors import InputError
from spatial_rag_core.memory.commands.text import clean, table, time_of
from spatial_rag_core.memory.file.connection import make_folders
from spatial_rag_core.memory.file.private_file import private_file
from spatial_rag_core.records import Hit


def text_of(hits: Sequence[Hit], folder: Path | None, files: Sequence[Path | None]) -> str:
    """Two lines a memory, so that ids and names stay whole within 80 columns."""
    if not hits:
        return 'nothing was found; widen the region or leave filters out'
    header = (('', 'id', 'time (UTC)', 'distance'), ('', 'session', 'x, y, z [m]', 'away [m]'))
    rows = [row for number, hit in enumerate(hits, start=1) for row in _lines(number, hit)]
    lines = table(header[0], [header[1], *rows], right=(0, 3))
    if folder is not None:
        lines += f'\n{sum(file is not None for file in files)} pictures are in {folder}'
    return lines


def _lines(number: int, hit: Hit) -> list[tuple[str, str, str, str]]:
    memory, away_m = hit.memory, hit.separation_m
    return [(str(number), clean(memory.id, 36), time_of(memory.timestamp),
             f'{hit.distance:.4f}'),
            ('', clean(memory.session, 36), ', '.join(f'{v:.2f}' for v in memory.position),
             '-' if math.isnan(away_m) else f'{away_m:.2f}')]


def hit_values(hit: Hit, file: Path | None) -> dict[str, Any]:
    """What JSON says of a hit."""
    memory = hit.memory
    return {
        'id': memory.id, 'timestamp_unix_sec': memory.timestamp, 'distance': hit.distance,
        'separation_m': hit.separation_m, 'position_m': memory.position._asdict(),
        'orientation': memory.orientation._asdict(), 'h3_cell': memory.h3_cell,
        'session': memory.session, 'robot': memory.robot, 'map_id': memory.map_id,
        'labels': list(memory.labels), 'model_id': memory.model_id,
        'latent': memory.vector.tolist(), 'action': memory.action.tolist(), 'thumbnail': file}


def save_thumbnails(hits: Sequence[Hit], folder: Path | None) -> list[Path | None]:
    """Write the pictures as RANK-ID.jpg; None for those that have none, or without a folder."""
    if folder is None:
        return [None] * len(hits)
    try:
        make_folders(folder)
        return [_save(hit, folder, rank) for rank, hit in enumerate(hits, start=1)]
    except OSError as error:
        raise InputError(f'{folder} cannot be written: {error.strerror}; name another folder'
                         ) from error


def _save(hit: Hit, folder: Path, rank: int) -> Path | None:
    if not hit.memory.thumbnail:
        return None
    name = re.sub(r'[^A-Za-z0-9_.-]', '_', hit.memory.id)[:100]  # an imported id may be any text
    file = folder / f'{rank:04d}-{name}.jpg'
    with private_file(file) as stream:
        stream.write(hit.memory.thumbnail)
    return file
