"""
How often does one picture tell where the robot is?

The memory is one drive of `--moments N` pictures at 5 Hz through each of MAPS rooms that no
training saw; asked are pictures of another drive through the same rooms, those whose place is in
the memory: some memory lies within 0.5 m and 20 degrees. A hypothesis is right within the same
limits, and on the same map. The peer is the pose of the memory most alike. Asked within the map
the robot is in, and among all maps.
"""

from __future__ import annotations

import argparse
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
import tempfile
import time

from spatial_rag_bringup.defaults import shipped_model
from spatial_rag_core.data.generate import drive
from spatial_rag_core.data.generate_plan import GenerateConfig, plan
from spatial_rag_core.data.rooms.rooms2d import Rooms2D
from spatial_rag_core.evaluation.places import PlaceTolerance
from spatial_rag_core.memory.answering.relocalization import (
    DEFAULT_K,
    pose_hypotheses,
    PoseHypothesis,
)
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.retriever import Retriever
from spatial_rag_core.memory.storing.identifiers import new_memory_id
from spatial_rag_core.memory.tables.schema import JournalSpec
from spatial_rag_core.models.bundle import Bundle
from spatial_rag_core.records import Hit, Memory, MemoryQuery, Pose, Position, Quaternion
from spatial_rag_core.spatial.h3_cells import H3Grid
from spatial_rag_core.spatial.local_frame import LocalFrame
from spatial_rag_core.spatial.pose_arrays import pose_array

import numpy as np

MAPS, ASKED, EVERY = 16, 400, 4
TOLERANCE = PlaceTolerance(radius_m=0.5, angle_deg=20.0)
GRID = H3Grid(LocalFrame(), 13)


@dataclass
class Question:
    z: np.ndarray
    pose: np.ndarray
    map_id: str


def pose_of(row: np.ndarray) -> Pose:
    return Pose(Position(*row[:3]), Quaternion(*row[3:]))


def remembered(bundle: Bundle, moments: int, path: Path) -> list[Question]:
    """Fill a memory file; returns what is asked."""
    config = GenerateConfig(maps=1, test_maps=MAPS, with_depth=False)
    questions = []
    with Journal.open_writer(path, JournalSpec(bundle.metadata.z_dim)) as journal:
        for planned in plan(config):
            if planned.split != 'test':
                continue
            seen, asked = (
                drive(Rooms2D(config.world(planned.map_seed)), policy, turn, steps, start,
                      planned.map_id, with_depth=False)
                for policy, turn, steps, start in (('frontier', 100, moments, 1.7e9),
                                                   ('random_walk', 200, ASKED, 1.8e9)))
            journal.append([
                Memory(new_memory_id(), z, pose_of(row), GRID.cell(Position(*row[:3])), stamp,
                       bundle.model_id, map_id=planned.map_id)
                for z, row, stamp in zip(bundle.encode_images(seen.rgb), seen.poses, seen.stamps,
                                         strict=True)])
            has = TOLERANCE.right(asked.poses[::EVERY], seen.poses).any(axis=1)
            questions += [Question(z, row, planned.map_id) for z, row in zip(
                bundle.encode_images(asked.rgb[::EVERY][has]), asked.poses[::EVERY][has],
                strict=True)]
    return questions


def is_right(question: Question, map_id: str, pose: Pose) -> bool:
    return map_id == question.map_id and bool(
        TOLERANCE.right(question.pose[None], pose_array(pose)[None])[0, 0])


def tell(name: str, retriever: Retriever, questions: list[Question], within: bool) -> None:
    asked: list[tuple[Question, list[Hit], list[PoseHypothesis]]] = []
    times = []
    for question in questions:
        begun = time.perf_counter()
        hits = retriever.query(MemoryQuery(DEFAULT_K, vector=question.z,
                                           map_id=question.map_id if within else None))
        asked.append((question, hits, pose_hypotheses(hits)))
        times.append((time.perf_counter() - begun) * 1e3)
    nearest = [is_right(q, hits[0].memory.map_id, hits[0].memory.pose) for q, hits, _ in asked]
    right = [[is_right(q, place.map_id, place.pose) for place in places]
             for q, _, places in asked]
    best = np.array([row[0] for row in right])
    score = np.array([places[0].score for _, _, places in asked])
    p50, p99 = np.percentile(times, (50, 99))
    print(f'{name}: best hypothesis right {best.mean():.3f}, one of five '
          f'{np.mean([any(row) for row in right]):.3f}, memory most alike {np.mean(nearest):.3f}; '
          f'{p50:.2f} / {p99:.2f} ms')
    print('  score and share of right ones: ' + ', '.join(
        f'{low:.1f} to {low + 0.2:.1f}: {best[rows].mean():.2f} of {rows.sum()}'
        for low in (0.0, 0.2, 0.4, 0.6, 0.8)
        if (rows := (score >= low) & (score < low + 0.2 + 1e-6)).any()))
    apart = np.array([np.abs(pose_array(places[0].pose)[:2] - q.pose[:2])
                      for (q, _, places), ok in zip(asked, best, strict=True) if ok])
    print(f'  error of the right ones: {np.sqrt(np.square(apart).mean()):.2f} m in each axis')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--moments', type=int, default=1500, help='of the drive in each map')
    parser.add_argument('--model', type=Path, default=None, help='bundle; default: what ships')
    arguments = parser.parse_args()
    bundle = Bundle.load(arguments.model or shipped_model())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'memory.db'
        questions = remembered(bundle, arguments.moments, path)
        with closing(Retriever(path)) as retriever:
            retriever.refresh()
            print(f'{retriever.index_count} memories of {MAPS} maps, {len(questions)} pictures, '
                  f'model {bundle.model_id}')
            tell('within the map', retriever, questions, within=True)
            tell('among all maps', retriever, questions, within=False)


if __name__ == '__main__':
    main()
