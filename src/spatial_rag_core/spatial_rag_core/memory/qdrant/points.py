"""How a memory lies in Qdrant: its vectors, its payload, and the fields that are indexed."""

from __future__ import annotations

import base64
from collections.abc import Sequence
import math
from typing import Any, NamedTuple

from spatial_rag_core.memory.index import Context, IndexRows
from spatial_rag_core.records import Pose, Vector
from spatial_rag_core.spatial.local_frame import LocalFrame

from h3.api import basic_int
import numpy as np
from numpy.typing import NDArray

LATENT, DIRECTION, POSE = 'latent', 'direction', 'pose'
"""Names of a point's vectors: Euclid, Cosine (Qdrant keeps it at length 1), Euclid."""
POSE_DIM = 12
RESOLUTIONS = (5, 7, 9, 11, 13, 15)
"""H3 resolutions whose cells are in the payload, beside that of the memory file."""
WORDS = ('session', 'robot', 'map_id', 'labels')
NUMBERS = ('timestamp', 'z')

PLACE = np.dtype([('timestamp', '<f8'), ('position', '<f8', 3), ('orientation', '<f4', 4)])
"""What the payload's `place` holds in base64; 48 bytes make 64 characters."""
Places = NDArray[np.void]
Payload = dict[str, Any]


class Points(NamedTuple):
    """
    N points to store.

    seqs: sequence numbers [N].  vectors: for each point its vectors by name.
    payloads: for each point what it carries.
    """

    seqs: list[int]
    vectors: list[dict[str, list[float]]]
    payloads: list[Payload]


def cell_field(resolution: int) -> str:
    """Payload field with the H3 cell of this resolution, a whole number."""
    return f'h3_{resolution}'


def cell_resolutions(own: int) -> list[int]:
    """Resolutions in the payload of a memory file of resolution `own`."""
    return sorted({*RESOLUTIONS, own})


def points_of(rows: IndexRows, frame: LocalFrame, resolution: int) -> Points:
    """Make points of memories; resolution: that of rows.cells."""
    places = places_of(rows)
    poses = pose_vectors(rows.positions, rows.orientations).tolist()
    cells = _cells(rows.positions, rows.cells, frame, resolution)
    words = {key: context_payload(context) for key, context in rows.context_table.items()}
    return Points(
        rows.seqs.tolist(),
        [{LATENT: latent, DIRECTION: latent, POSE: pose}
         for latent, pose in zip(rows.vectors.tolist(), poses, strict=True)],
        [{**_place_payload(place), **located, **words[key]}
         for place, located, key in zip(places, cells, rows.contexts.tolist(), strict=True)])


def rows_among(rows: IndexRows, chosen: NDArray[np.bool_]) -> IndexRows:
    """Return the chosen ones of N memories, bool [N]."""
    return IndexRows(rows.seqs[chosen], rows.cells[chosen], rows.vectors[chosen],
                     rows.positions[chosen], rows.orientations[chosen], rows.timestamps[chosen],
                     rows.contexts[chosen], rows.context_table)


def places_of(rows: IndexRows) -> Places:
    """When and where, PLACE [N]."""
    places = np.empty(len(rows.seqs), PLACE)
    places['timestamp'], places['position'] = rows.timestamps, rows.positions
    places['orientation'] = rows.orientations
    return places


def context_payload(context: Context) -> Payload:
    """Return the words of a context as payload."""
    return {**context._asdict(), 'labels': list(context.labels)}


def _place_payload(place: np.void) -> Payload:
    """
    Return the numbers to filter by, and the same and the orientation to the last bit.

    Qdrant reads one number in seven of its JSON a last bit off, so none is taken from there.
    """
    x, y, z = place['position'].tolist()
    return {'timestamp': float(place['timestamp']), 'x': x, 'y': y, 'z': z,
            'place': base64.b64encode(place.tobytes()).decode()}


def read_places(texts: Sequence[str]) -> Places:
    """Places of payloads, PLACE [N]."""
    return np.frombuffer(base64.b64decode(''.join(texts)), PLACE)


def _cells(positions: NDArray[np.float64], own: NDArray[np.uint64], frame: LocalFrame,
           resolution: int) -> list[Payload]:
    """
    Cells of each place and its `location` on the globe [deg].

    Each cell is that in which the place lies: a parent does not quite contain its children.
    """
    fields = {other: cell_field(other) for other in RESOLUTIONS if other != resolution}
    located = []
    for (x, y, _), cell in zip(positions.tolist(), own.tolist(), strict=True):
        lat, lon = frame.to_geodetic(x, y)
        payload: Payload = {field: basic_int.latlng_to_cell(lat, lon, other)
                            for other, field in fields.items()}
        payload[cell_field(resolution)] = cell
        payload['location'] = {'lon': lon, 'lat': lat}
        located.append(payload)
    return located


def pose_vectors(positions: NDArray[np.float64], orientations: NDArray[np.float32]) -> Vector:
    """
    Points whose squared distance is that of poses, |Δp|² + 3·(1 − cos Δθ): float32 [N, 12].

    For rotation matrices R and S is |R − S|² = 4·(1 − cos Δθ), so the rest of a point is R,
    scaled. Exact ranking by pose is then a search for nearest vectors.
    """
    x, y, z, w = np.asarray(orientations, np.float64).T
    rotation = np.stack([
        1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w),
        2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w),
        2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)], axis=1)
    return np.hstack([positions, math.sqrt(0.75) * rotation]).astype(np.float32)


def pose_vector(pose: Pose) -> Vector:
    """One pose as a point, float32 [12]: see pose_vectors."""
    turn = np.array([pose.orientation], np.float32)
    return np.asarray(pose_vectors(np.array([pose.position]), turn)[0], np.float32)
