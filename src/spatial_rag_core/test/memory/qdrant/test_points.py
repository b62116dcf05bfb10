from __future__ import annotations

import uuid

from spatial_rag_core.memory.qdrant.collection import point_id
from spatial_rag_core.memory.qdrant.points import (
    cell_field,
    places_of,
    points_of,
    pose_vector,
    pose_vectors,
    read_places,
    RESOLUTIONS,
    rows_among,
)
from spatial_rag_core.memory.qdrant.ranking import distances_of
from spatial_rag_core.records import MemoryQuery, Pose, Position, Quaternion

import h3
import numpy as np

from ..index_contract import GRID, scattered_rows

ROWS = scattered_rows(200)


def test_the_nearest_pose_is_the_nearest_vector() -> None:
    pose = Pose(Position(3.0, -2.0, 1.0), Quaternion(0.1, 0.3, -0.5, 0.8))
    vectors = pose_vectors(ROWS.positions, ROWS.orientations).astype(np.float64)
    squared = ((vectors - pose_vector(pose)) ** 2).sum(axis=1)
    query = MemoryQuery(rank_by='pose', pose=pose)
    np.testing.assert_allclose(
        squared, distances_of(query, places_of(ROWS), ROWS.vectors), rtol=1e-5)


def test_a_turn_and_its_negative_are_the_same_vector() -> None:
    turn = np.float32([[0.1, 0.3, -0.5, 0.8]])
    np.testing.assert_array_equal(pose_vectors(np.zeros((1, 3)), turn),
                                  pose_vectors(np.zeros((1, 3)), -turn))


def test_a_place_comes_back_to_the_last_bit() -> None:
    points = points_of(ROWS, GRID.frame, GRID.resolution)
    back = read_places([payload['place'] for payload in points.payloads])
    assert back.tobytes() == places_of(ROWS).tobytes()
    assert all(len(payload['place']) == 64 for payload in points.payloads)


def test_a_payload_holds_the_cell_of_each_resolution_and_the_place_on_the_globe() -> None:
    points = points_of(ROWS, GRID.frame, GRID.resolution)
    for cell, payload in zip(ROWS.cells.tolist(), points.payloads, strict=True):
        lat, lon = payload['location']['lat'], payload['location']['lon']
        assert GRID.frame.to_geodetic(payload['x'], payload['y']) == (lat, lon)
        assert payload[cell_field(GRID.resolution)] == cell
        for resolution in RESOLUTIONS:
            expected = h3.str_to_int(h3.latlng_to_cell(lat, lon, resolution))
            assert payload[cell_field(resolution)] == expected


def test_some_of_the_rows_are_the_same_as_in_all() -> None:
    chosen = np.arange(200) % 3 == 1
    some = points_of(rows_among(ROWS, chosen), GRID.frame, GRID.resolution)
    all_of_them = points_of(ROWS, GRID.frame, GRID.resolution)
    assert some.seqs == ROWS.seqs[chosen].tolist()
    assert some.payloads == [all_of_them.payloads[n] for n in np.flatnonzero(chosen)]


def test_a_point_has_an_id_of_its_own_that_says_which_memory_it_is() -> None:
    generations = [0, 1, 2**62 - 1, 0x123456789abcdef]
    seqs = [0, 1, 2, 10**9, 2**60 - 1]
    ids = [point_id(generation, seq) for generation in generations for seq in seqs]
    assert len(set(ids)) == len(ids)
    assert {(each.version, each.variant) for each in map(uuid.UUID, ids)} == {
        (8, uuid.RFC_4122)}
    assert [point_id(5, seq) for seq in seqs] == sorted(point_id(5, seq) for seq in seqs)
