from __future__ import annotations

from collections.abc import Iterator
import math
from pathlib import Path
import sqlite3

from spatial_rag_core.errors import (
    ConfigurationError,
    JournalUnavailableError,
    LatentError,
    ModelMismatchError,
)
from spatial_rag_core.memory import writer as writer_module
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.journal_schema import JournalSpec
from spatial_rag_core.memory.writer import LatentSample, MemoryWriter, WriterConfig
from spatial_rag_core.records import as_action, as_latent, Memory, Pose, Position, Quaternion
from spatial_rag_core.spatial.h3_cells import H3Grid
from spatial_rag_core.spatial.local_frame import LocalFrame
from spatial_rag_core.streams.action_track import ActionTrack
from spatial_rag_core.streams.pose_buffer import PoseBuffer
from spatial_rag_core.streams.stamp_order import Step

import numpy as np
import pytest

SPEC = JournalSpec(z_dim=2, action_dim=2)
START = 1_760_000_000_000_000_000
MS = 1_000_000


class Clock:
    def __init__(self) -> None:
        self.now_ns = 10 ** 12

    def monotonic_ns(self) -> int:
        return self.now_ns


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(writer_module, 'time', clock)
    return clock


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal.open_writer(tmp_path / 'memory.db', SPEC) as journal:
        yield journal


@pytest.fixture
def writer(journal: Journal, clock: Clock) -> MemoryWriter:
    return new_writer(journal)


def new_writer(journal: Journal, config: WriterConfig | None = None) -> MemoryWriter:
    return MemoryWriter(journal, PoseBuffer(), lambda _: None, config or WriterConfig())


def truth(ms: float) -> Pose:
    """A climbing curve: 2 m/s along x, 0.5 m/s up, turning at 1 rad/s."""
    t = ms / 1e3
    return Pose(Position(2 * t, 1.0, 0.5 * t), Quaternion(0, 0, math.sin(t / 2), math.cos(t / 2)))


def sample(ms: float, model_id: str = 'model-a') -> LatentSample:
    return LatentSample(START + round(ms * MS), as_latent([ms, 1.0]), model_id, b'jpeg')


def add_poses(writer: MemoryWriter, *moments_ms: int) -> list[Step]:
    return [writer.add_pose(START + ms * MS, truth(ms)) for ms in moments_ms]


def stored(journal: Journal) -> list[Memory]:
    found = journal.get(journal.index_rows_after(0).seqs.tolist())
    return [found[seq] for seq in sorted(found)]


def moments(journal: Journal) -> list[float]:
    """Which latents are stored, in their order; each latent's first number is its moment [ms]."""
    return [float(memory.vector[0]) for memory in stored(journal)]


def test_a_memory_lies_where_the_robot_truly_was(writer: MemoryWriter, journal: Journal) -> None:
    grid = H3Grid(LocalFrame(SPEC.datum), SPEC.h3_resolution)
    for ms in range(0, 1000, 33):
        writer.add_latent(sample(ms))
    add_poses(writer, *range(0, 1001, 50))
    assert writer.commit() == []
    assert moments(journal) == list(range(0, 1000, 33))
    for memory in stored(journal):
        true = truth(float(memory.vector[0]))
        assert math.dist(memory.position, true.position) < 1e-9
        assert math.dist(memory.orientation, true.orientation) < 1e-9
        assert memory.h3_cell == grid.cell(memory.position)
        assert memory.timestamp == pytest.approx(START / 1e9 + memory.vector[0] / 1e3, abs=1e-6)
        assert (memory.model_id, memory.thumbnail) == ('model-a', b'jpeg')


def test_a_memory_tells_robot_map_and_session(journal: Journal, clock: Clock) -> None:
    writer = new_writer(journal, WriterConfig(robot='r2', map_id='kitchen', session='morning'))
    add_poses(writer, 0)
    writer.add_latent(sample(0))
    writer.commit()
    [memory] = stored(journal)
    assert (memory.robot, memory.map_id, memory.session) == ('r2', 'kitchen', 'morning')
    assert len(memory.id) == 26
    assert memory.action.shape == (0,)


def test_a_latent_waits_for_the_pose_after_it(writer: MemoryWriter, journal: Journal) -> None:
    add_poses(writer, 0, 50)
    writer.add_latent(sample(60))
    writer.add_latent(sample(110))
    assert writer.commit() == []
    assert moments(journal) == []
    add_poses(writer, 100)
    writer.commit()
    assert moments(journal) == [60]
    add_poses(writer, 150)
    writer.commit()
    assert moments(journal) == [60, 110]
    assert writer.stored == 2


def test_a_late_pose_does_not_hurry_a_latent_that_waits(
        writer: MemoryWriter, journal: Journal) -> None:
    add_poses(writer, 0, 50)
    writer.add_latent(sample(75))
    assert add_poses(writer, 30) == [Step.LATE]
    writer.commit()
    assert moments(journal) == []
    add_poses(writer, 100)
    writer.commit()
    assert math.dist(stored(journal)[0].position, truth(75).position) < 1e-9


def test_a_latent_that_has_waited_takes_the_nearest_pose(
        writer: MemoryWriter, journal: Journal, clock: Clock) -> None:
    add_poses(writer, 0, 50)
    writer.add_latent(sample(110))
    clock.now_ns += 199 * MS
    writer.commit()
    assert moments(journal) == []
    clock.now_ns += 1 * MS
    assert writer.commit() == []
    assert stored(journal)[0].position == pytest.approx(truth(50).position)


def test_a_latent_without_a_pose_is_told_once_and_not_stored(
        writer: MemoryWriter, journal: Journal, clock: Clock) -> None:
    add_poses(writer, 0, 50)
    writer.add_latent(sample(40))
    writer.add_latent(sample(151))
    clock.now_ns += 200 * MS
    [error] = writer.commit()
    assert 'the nearest pose is 0.101 s away, more than pose_tolerance_sec 0.1' in str(error)
    assert writer.commit() == []
    assert moments(journal) == [40]


def test_finish_stores_what_still_waits(writer: MemoryWriter, journal: Journal) -> None:
    add_poses(writer, 0, 50)
    writer.add_latent(sample(60))
    writer.add_latent(sample(900))
    [error] = writer.finish()
    assert 'nearest pose is 0.850 s away' in str(error)
    assert moments(journal) == [60]


def test_repeated_and_late_latents_are_left_out(writer: MemoryWriter, journal: Journal) -> None:
    add_poses(writer, *range(0, 301, 50))
    steps = [writer.add_latent(sample(ms)) for ms in (0, 50, 50, 30, 100)]
    assert steps == [Step.FORWARD, Step.FORWARD, Step.REPEATED, Step.LATE, Step.FORWARD]
    writer.commit()
    assert moments(journal) == [0, 50, 100]


def test_while_the_file_is_locked_memories_wait_and_are_then_stored_in_order(
        writer: MemoryWriter, journal: Journal) -> None:
    other = sqlite3.connect(journal.path, isolation_level=None)
    other.execute('BEGIN EXCLUSIVE')
    add_poses(writer, *range(0, 501, 50))
    for ms in range(0, 300, 50):
        writer.add_latent(sample(ms))  # also the very first latent of a new file
        with pytest.raises(JournalUnavailableError, match='locked'):
            writer.commit()
    assert writer.backlog == 6
    assert writer.stored == 0
    other.close()
    writer.add_latent(sample(300))
    writer.commit()
    assert moments(journal) == list(range(0, 301, 50))
    assert (writer.backlog, writer.stored, writer.lost) == (0, 7, 0)


def test_while_the_disk_is_full_memories_wait(writer: MemoryWriter, journal: Journal) -> None:
    add_poses(writer, *range(0, 2001, 50))
    writer.add_latent(sample(0))
    writer.commit()
    journal._connection.execute('PRAGMA max_page_count = 1')  # SQLite takes what there is
    count = 0
    while not writer.backlog:
        count += 1
        writer.add_latent(LatentSample(START + count * MS, as_latent([count, 0]), 'model-a',
                                       bytes(3000)))
        try:
            writer.commit()
        except JournalUnavailableError as error:
            assert 'full' in str(error)  # noqa: PT017
    journal._connection.execute('PRAGMA max_page_count = 1000000')
    writer.commit()
    assert moments(journal) == list(range(count + 1))


def test_errors_of_poses_are_told_once_the_file_is_there_again(
        writer: MemoryWriter, journal: Journal, clock: Clock) -> None:
    other = sqlite3.connect(journal.path, isolation_level=None)
    other.execute('BEGIN EXCLUSIVE')
    add_poses(writer, 0)
    writer.add_latent(sample(0))
    writer.add_latent(sample(5000))
    clock.now_ns += 200 * MS
    with pytest.raises(JournalUnavailableError):
        writer.commit()
    other.close()
    assert len(writer.commit()) == 1


def test_a_full_backlog_loses_the_oldest_and_counts_them(journal: Journal, clock: Clock) -> None:
    writer = new_writer(journal, WriterConfig(max_backlog=3))
    other = sqlite3.connect(journal.path, isolation_level=None)
    other.execute('BEGIN EXCLUSIVE')
    add_poses(writer, *range(0, 501, 50))
    for ms in range(0, 250, 50):
        writer.add_latent(sample(ms))
    with pytest.raises(JournalUnavailableError):
        writer.commit()
    assert (writer.backlog, writer.lost) == (3, 2)
    other.close()
    writer.commit()
    assert moments(journal) == [100, 150, 200]


def sessions(journal: Journal) -> list[list[float]]:
    """Moments of the memories of each session, in the order of their making."""
    by_name: dict[str, list[float]] = {}
    for memory in stored(journal):
        by_name.setdefault(memory.session, []).append(float(memory.vector[0]))
    return list(by_name.values())


LAST = 9950


@pytest.mark.parametrize('events', [
    'latent 9900, pose 9950, latent 9950, pose 0, latent 0, pose 50, latent 50, pose 100',
    'pose 9950, latent 9900, pose 0, latent 9950, pose 50, latent 0, latent 50, pose 100',
    'latent 9900, pose 9950, latent 9950, latent 0, pose 0, latent 50, pose 50, pose 100',
    'latent 9900, latent 9950, latent 0, pose 9950, pose 0, latent 50, pose 50, pose 100',
    'pose 9950, pose 0, pose 50, latent 9900, latent 9950, latent 0, latent 50, pose 100',
], ids=['in order', 'the last latent comes late', 'latents jump first', 'poses are behind',
        'poses are ahead'])
def test_where_time_is_turned_back_a_new_session_begins_and_no_latent_is_lost(
        writer: MemoryWriter, journal: Journal, events: str) -> None:
    add_poses(writer, *range(0, LAST, 50))
    errors = []
    for event in events.split(', '):
        kind, _, ms = event.partition(' ')
        if kind == 'pose':
            add_poses(writer, int(ms))
        else:
            writer.add_latent(sample(int(ms)))
        errors += writer.commit()
    errors += writer.finish()
    assert errors == []
    assert sessions(journal) == [[9900, 9950], [0, 50]]
    for memory in stored(journal):
        # Where the pose of this moment never came, the one before it, 0.1 m away, will do.
        assert math.dist(memory.position, truth(float(memory.vector[0])).position) < 0.11


def test_a_small_step_back_takes_no_pose_from_before_it(
        writer: MemoryWriter, journal: Journal) -> None:
    add_poses(writer, *range(0, 5001, 50))
    writer.add_latent(sample(5000))
    assert writer.add_latent(sample(3000)) is Step.JUMPED_BACK
    writer.commit()
    assert moments(journal) == [5000]
    elsewhere = Pose(Position(77.0, 0.0))
    for ms in (2980, 3020):
        writer.add_pose(START + ms * MS, elsewhere)
    writer.commit()
    assert sessions(journal) == [[5000], [3000]]
    assert stored(journal)[1].position == elsewhere.position


def test_a_named_session_keeps_its_name_as_a_head(journal: Journal, clock: Clock) -> None:
    writer = new_writer(journal, WriterConfig(session='morning'))
    writer.add_latent(sample(1000))
    writer.add_latent(sample(0))
    assert writer.session.startswith('morning-')


def test_latents_of_another_model_are_refused_and_do_not_block_those_after(
        writer: MemoryWriter, journal: Journal) -> None:
    add_poses(writer, *range(0, 301, 50))
    writer.add_latent(sample(0))
    for ms in (50, 5000):
        with pytest.raises(ModelMismatchError, match='model-a, got one of model model-b'):
            writer.add_latent(sample(ms, 'model-b'))
    writer.add_latent(sample(100))
    writer.commit()
    assert moments(journal) == [0, 100]
    with pytest.raises(ModelMismatchError):
        new_writer(journal).add_latent(sample(200, 'model-b'))


def test_a_latent_that_was_never_placed_claims_no_file(
        writer: MemoryWriter, journal: Journal) -> None:
    writer.add_latent(sample(0))
    assert len(writer.finish()) == 1
    assert journal.model_id is None


@pytest.mark.parametrize(('bad', 'message'), [
    (LatentSample(START, as_latent([1.0]), 'model-a'), r'shape \[1\], expected \[2\] \(z_dim\)'),
    (LatentSample(START, np.float32([0, np.inf]), 'model-a'), 'not finite: element 1 is inf'),
    (LatentSample(START, as_latent([0, 0]), ''), 'carries no model_id, .*publish it with the id'),
])
def test_a_latent_that_is_none_is_refused(
        writer: MemoryWriter, journal: Journal, bad: LatentSample, message: str) -> None:
    add_poses(writer, 0, 100)
    with pytest.raises(LatentError, match=message):
        writer.add_latent(bad)
    assert writer.add_latent(sample(0)) is Step.FORWARD
    writer.commit()
    assert moments(journal) == [0]


def test_a_latent_may_be_written_over_after_it_was_handed_in(
        writer: MemoryWriter, journal: Journal) -> None:
    add_poses(writer, 0, 100)
    z = as_latent([5.0, 6.0])
    writer.add_latent(LatentSample(START, z, 'model-a'))
    z[:] = 0
    writer.commit()
    assert moments(journal) == [5.0]


def test_a_memory_holds_the_action_that_led_to_it(journal: Journal, clock: Clock) -> None:
    poses, actions = PoseBuffer(), ActionTrack()
    writer = MemoryWriter(journal, poses, actions.leading_to)
    for step in range(5):
        add_poses(writer, 50 * step)
        writer.add_latent(sample(50 * step))
        actions.add(as_action([step, -step]), poses.newest_ns)  # taken on seeing that frame
    writer.commit()
    assert [memory.action.tolist() for memory in stored(journal)] == [
        [], [0, 0], [1, -1], [2, -2], [3, -3]]


@pytest.mark.parametrize(('fields', 'message'), [
    ({'pose_wait_sec': -0.1}, 'pose_wait_sec must lie between 0 and 10 s, got -0.1'),
    ({'pose_wait_sec': math.nan}, 'pose_wait_sec must lie between 0 and 10 s, got nan'),
    ({'max_backlog': 0}, 'max_backlog must be >= 1, got 0'),
])
def test_a_configuration_out_of_range_is_refused(fields: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        WriterConfig(**fields)  # type: ignore[arg-type]
