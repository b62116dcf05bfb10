"""The whole stack on the real recording."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from spatial_rag_core.data.bags.bag_source import BagSource
from spatial_rag_core.memory.journal import Journal

import numpy as np
import pytest

pytestmark = [pytest.mark.ros, pytest.mark.stack]

RECORDING = Path(__file__).parents[4] / 'shared' / 'data' / 'redkitchen_a'


@pytest.fixture(scope='module')
def run(start_module_stack: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory,
        ) -> tuple[Any, Path]:
    """The run that the README promises, and its memory file."""
    if not RECORDING.exists():
        pytest.skip(f'the real recording is absent: no ../shared/data/{RECORDING.name}')
    memory_path = tmp_path_factory.mktemp('memory') / 'memory.db'
    stack = start_module_stack('--bag', RECORDING, '--duration', 16, '--memory', memory_path)
    assert stack.end(120.0) == 0, stack.output
    return stack, memory_path


@pytest.fixture
def journal(run: tuple[Any, Path]) -> Iterator[Journal]:
    journal = Journal.open_reader(run[1])
    assert journal is not None
    with journal:
        yield journal


def test_every_frame_arrives_and_none_is_lost(run: tuple[Any, Path]) -> None:
    summary = run[0].summary
    assert summary['frames_in'] == 500
    # A stall of a loaded machine drops a frame or two; benchmarks/bench_stack.py holds it to 0.
    assert summary['frames_dropped'] <= 0.02 * summary['frames_in']
    assert summary['errors'] <= 1  # the first latent may overtake the first pose: two topics
    accounted = summary['latents'] + summary['frames_over_rate'] + summary['frames_dropped']
    assert accounted == 500
    assert summary['latent_hz'] == pytest.approx(20.0, abs=0.5)


def test_memories_are_stored_and_found_and_predictions_follow(run: tuple[Any, Path]) -> None:
    summary = run[0].summary
    assert summary['memories_stored'] == summary['memories_total'] > 50
    remembered_or_not = summary['memories_stored'] + summary['memories_not_admitted']
    assert remembered_or_not == summary['latents']
    assert summary['retrieved_mean'] > 4
    # The first frames have no motion of a whole step (0.2 s) before them.
    assert 0 <= summary['latents'] - summary['latents_next'] <= 5


def test_every_memory_lies_where_the_recording_says_the_camera_was(
        journal: Journal, recording: Path) -> None:
    with BagSource(recording) as bag:
        poses = [bag.decode(message) for message in bag.messages(['/pose'])]
    stamps = [pose.header.stamp.sec + pose.header.stamp.nanosec / 1e9 for pose in poses]
    points = np.array([[getattr(pose.pose.position, axis) for axis in 'xyz'] for pose in poses])
    rows = journal.index_rows_after(0)
    assert len(rows.seqs) > 50
    assert stamps[0] <= rows.timestamps.min() <= rows.timestamps.max() <= stamps[-1]
    expected = np.stack([np.interp(rows.timestamps, stamps, axis) for axis in points.T], axis=1)
    np.testing.assert_allclose(rows.positions, expected, rtol=0, atol=1e-6)


def test_actions_derived_from_the_motion_are_stored_with_all_but_the_first(
        journal: Journal) -> None:
    memories = list(journal.get(range(1, journal.last_seq + 1)).values())
    without = [index for index, memory in enumerate(memories) if not len(memory.action)]
    assert without == list(range(len(without)))
    assert len(without) <= 3
    actions = np.array([memory.action for memory in memories[len(without):]])
    assert actions.shape[1] == 2
    assert np.isfinite(actions).all()
    assert np.abs(actions).max() > 0.01


def test_each_memory_keeps_a_picture_and_one_session(journal: Journal) -> None:
    memories = journal.get(range(1, journal.last_seq + 1)).values()
    assert all(memory.thumbnail.startswith(b'\xff\xd8') for memory in memories)
    assert len({memory.session for memory in memories}) == 1
