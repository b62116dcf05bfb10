"""
Memories as rows of the journal's tables, and back; each row is checked when it is read.

`record` is one BLOB: seq, place, latent, context and, in its last four bytes, its CRC-32. One
column comes out of SQLite in half the time of five, and a million records are checked in 0.2 s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
import struct
from typing import Any
from zlib import crc32

from spatial_rag_core.errors import InputError
from spatial_rag_core.memory.file.translated_errors import damaged
from spatial_rag_core.memory.index import Context, IndexRows
from spatial_rag_core.records import Memory, Pose, Position, Quaternion, Vector

import numpy as np
from numpy.typing import NDArray

Row = tuple[Any, ...]
Records = NDArray[np.void]
"""Structured, see record_type: one element for each memory, ascending by seq."""

_SOUND = 0x2144DF1C  # CRC-32 of any text that is followed by its own CRC-32, little-endian
_SEQ = struct.Struct('<q')

INSERT = ('INSERT INTO memories (seq, id, record, action, picture_crc, crc) '
          'VALUES (?, ?, ?, ?, ?, ?)')
COLUMNS = 'seq, id, record, action, picture_crc, memories.crc'


@lru_cache(maxsize=16)
def record_type(z_dim: int) -> np.dtype[np.void]:
    """Layout of a record: little-endian, packed; map frame [m], Unix time [s]."""
    return np.dtype([('seq', '<i8'), ('timestamp', '<f8'), ('position', '<f8', (3,)),
                     ('orientation', '<f8', (4,)), ('cell', '<u8'), ('vector', '<f4', (z_dim,)),
                     ('context', '<i4'), ('crc', '<u4')])


def records_of(memories: Sequence[Memory], seqs: Sequence[int], contexts: Sequence[int],
               vectors: Vector) -> Records:
    """Make the records of memories; vectors: float32 [N, z_dim]. Raises InputError for a cell."""
    records = np.empty(len(memories), record_type(vectors.shape[1]))
    records['seq'] = seqs
    records['timestamp'] = [memory.timestamp for memory in memories]
    records['position'] = [memory.pose.position for memory in memories]
    records['orientation'] = [memory.pose.orientation for memory in memories]
    records['cell'] = [cell_number(memory.h3_cell) for memory in memories]
    records['vector'] = vectors
    records['context'] = contexts
    return records


def packed(records: Records) -> list[bytes]:
    """Return the BLOB of each record, its check sum renewed."""
    records['crc'] = [crc32(blob[:-4]) for blob in _blobs(records)]
    return _blobs(records)


def _blobs(records: Records) -> list[bytes]:
    size, whole = records.dtype.itemsize, records.tobytes()
    return [whole[at:at + size] for at in range(0, len(whole), size)]


def values_of(memories: Sequence[Memory], records: Records) -> list[Row]:
    """Values for INSERT."""
    return [
        (seq, memory.id, blob, action, picture, row_crc(seq, memory.id, action, picture))
        for memory, seq, blob, action, picture in (
            (memory, seq, blob, memory.action.astype('<f4').tobytes(),
             picture_crc(seq, memory.thumbnail))
            for memory, seq, blob in zip(memories, records['seq'].tolist(), packed(records),
                                         strict=True))]


def row_crc(seq: int, memory_id: str, action: bytes, picture: int | None) -> int:
    """Check sum over what of a memory is not in its record."""
    picture_part = b'' if picture is None else _SEQ.pack(picture)
    return crc32(picture_part, crc32(action, crc32(memory_id.encode(), crc32(_SEQ.pack(seq)))))


def picture_crc(seq: int, jpeg: bytes) -> int | None:
    """Check sum of a thumbnail; None: there is none."""
    return crc32(jpeg, crc32(_SEQ.pack(seq))) if jpeg else None


def cell_number(h3_cell: str) -> int:
    """Return the H3 index as a number, 0 for ''; raises InputError."""
    try:
        number = int(h3_cell or '0', 16)
    except ValueError:
        number = -1
    if not 0 <= number < 1 << 64:
        raise InputError(f'h3_cell {h3_cell!r} is no H3 index; give 15 hexadecimal digits')
    return number


def unpacked(rows: Sequence[Row], z_dim: int, path: Path, after: int = -1) -> Records:
    """
    Verify rows (seq, record) and return their records.

    after: a number that all must exceed. Raises JournalDamagedError that names the memory.
    """
    blobs = [row[1] for row in rows]
    try:
        if set(map(crc32, blobs)) <= {_SOUND}:
            records = np.frombuffer(b''.join(blobs), record_type(z_dim))
            seqs = np.array([after, *(row[0] for row in rows)])
            if np.array_equal(records['seq'], seqs[1:]) and (np.diff(seqs) > 0).all():
                return records
    except (TypeError, ValueError):
        pass  # told below
    raise damaged(path, _first_damaged(rows, z_dim))


def _first_damaged(rows: Sequence[Row], z_dim: int) -> str:
    for seq, blob in rows:
        if not is_sound(seq, blob, z_dim):
            return f'memory {seq} is not what was written'
    return f'the order of the memories {rows[0][0]} to {rows[-1][0]} is broken'


def is_sound(seq: object, blob: object, z_dim: int) -> bool:
    """Whether a record is what was written for this memory."""
    return (isinstance(blob, bytes) and len(blob) == record_type(z_dim).itemsize
            and crc32(blob) == _SOUND and _SEQ.unpack_from(blob)[0] == seq)


def index_rows(records: Records, context_table: Mapping[int, Context]) -> IndexRows:
    """From records, all of whose contexts the table holds."""
    return IndexRows(
        seqs=np.ascontiguousarray(records['seq'], np.int64),
        cells=np.ascontiguousarray(records['cell'], np.uint64),
        vectors=np.ascontiguousarray(records['vector'], np.float32),
        positions=np.ascontiguousarray(records['position'], np.float64),
        orientations=records['orientation'].astype(np.float32),
        timestamps=np.ascontiguousarray(records['timestamp'], np.float64),
        contexts=np.ascontiguousarray(records['context'], np.int32),
        context_table=context_table)


def verified_details(row: Row, path: Path) -> None:
    """Check a row of COLUMNS except its record; raises JournalDamagedError."""
    seq, memory_id, _, action, picture, crc = row[:6]
    try:
        is_whole = crc == row_crc(seq, memory_id, action, picture)
    except (AttributeError, TypeError, ValueError, struct.error):
        is_whole = False
    if not is_whole:
        raise damaged(path, f'memory {seq} is not what was written')


def verified_picture(row: Row, path: Path) -> bytes:
    """Return the JPEG of a row of COLUMNS and jpeg; raises JournalDamagedError."""
    seq, expected, jpeg = row[0], row[4], row[6]
    if not isinstance(jpeg, bytes | None) or picture_crc(seq, jpeg or b'') != expected:
        raise damaged(path, f'the picture of memory {seq} is not what was written')
    return jpeg or b''


def memory_from_record(record: np.void, memory_id: str, action: bytes, context: Context,
                       model_id: str, jpeg: bytes) -> Memory:
    """Put a memory together again."""
    cell = int(record['cell'])
    return Memory(
        id=memory_id, vector=record['vector'].astype(np.float32),
        pose=Pose(Position(*record['position'].tolist()),
                  Quaternion(*record['orientation'].tolist())),
        h3_cell=f'{cell:x}' if cell else '', timestamp=float(record['timestamp']),
        model_id=model_id, action=np.frombuffer(action, '<f4').astype(np.float32),
        session=context.session, robot=context.robot, map_id=context.map_id,
        labels=context.labels, thumbnail=jpeg)
