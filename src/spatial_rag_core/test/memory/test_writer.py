from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
import math
from pathlib import Path

from spatial_rag_core.errors import ConfigurationError, LatentError, ModelMismatchError
from spatial_rag_core.memory import writer as writer_module
from spatial_rag_core.memory.admission import Admission, AdmissionConfig, EVERYTHING
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.storing.committer import Committer
from spatial_rag_core.memory.tables.schema import JournalSpec
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
def committer(tmp_path: Path) -> Iterator[Committer]:
    with closing(Committer(lambda: Journal.open_writer(tmp_path / 'memory.db', SPEC))) as one:
        yield one


@pytest.fixture
def writer(committer: Committer, clock: Clock) -> MemoryWriter:
    return new_writer(committer)


def new_writer(committer: Committer, config: WriterConfig | None = None,
               admission: AdmissionConfig = EVERYTHING) -> MemoryWriter:
    return MemoryWriter(committer, PoseBuffer(), lambda _: None, config or WriterConfig(),
                        Admission(admission))


def truth(ms: float) -> Pose:
    """A climbing curve: 2 m/s along x, 0.5 m/s up, turning at 1 rad/s."""
    t = ms / 1e3
    return Pose(Position(2 * t, 1.0, 0.5 * t), Quaternion(0, 0, math.sin(t / 2), math.cos(t / 2)))


def sample(ms: float, model_id: str = 'model-a') -> LatentSample:
    return LatentSample(START + round(ms * MS), as_latent([ms, 1.0]), model_id, b'jpeg')


def add_poses(writer: MemoryWriter, *moments_ms: int) -> list[Step]:
    return [writer.add_pose(START + ms * MS, truth(ms)) for ms in moments_ms]


def stored(committer: Committer) -> list[Memory]:
    assert committer.flush(20.0)
    journal = Journal.open_reader(committer.path)
    assert journal is not None
    with journal:
        found = journal.get(journal.index_rows_after(0).seqs.tolist())
    return [found[seq] for seq in sorted(found)]


def moments(committer: Committer) -> list[float]:
    """Which latents are stored, in their order; each latent's first number is its moment [ms]."""
    return [float(memory.vector[0]) for memory in stored(committer)]


def test_a_memory_lies_where_the_robot_truly_was(
        writer: MemoryWriter, committer: Committer) -> None:
    grid = H3Grid(LocalFrame(SPEC.datum), SPEC.h3_resolution)
    for ms in range(0, 1000, 33):
        writer.add_latent(sample(ms))
    add_poses(writer, *range(0, 1001, 50))
    assert writer.advance() == []
    assert moments(committer) == list(range(0, 1000, 33))
    for memory in stored(committer):
        true = truth(float(memory.vector[0]))
        assert math.dist(memory.position, true.position) < 1e-9
        assert math.dist(memory.orientation, true.orientation) < 1e-9
        assert memory.h3_cell == grid.cell(memory.position)
        assert memory.timestamp == pytest.approx(START / 1e9 + memory.vector[0] / 1e3, abs=1e-6)
        assert (memory.model_id, memory.thumbnail) == ('model-a', b'jpeg')


def test_a_memory_tells_robot_map_session_and_labels(committer: Committer, clock: Clock) -> None:
    writer = new_writer(committer, WriterConfig('r2', 'kitchen', 'morning', ('dock', 'Tür')))
    add_poses(writer, 0)
    writer.add_latent(sample(0))
    writer.advance()
    [memory] = stored(committer)
    assert (memory.robot, memory.map_id, memory.session) == ('r2', 'kitchen', 'morning')
    assert memory.labels == ('dock', 'Tür')
    assert len(memory.id) == 26
    assert memory.action.shape == (0,)


def test_a_latent_waits_for_the_pose_after_it(writer: MemoryWriter, committer: Committer) -> None:
    add_poses(writer, 0, 50)
    writer.add_latent(sample(60))
    writer.add_latent(sample(110))
    assert writer.advance() == []
    assert moments(committer) == []
    add_poses(writer, 100)
    writer.advance()
    assert moments(committer) == [60]
    add_poses(writer, 150)
    writer.advance()
    assert moments(committer) == [60, 110]
    assert committer.stored == 2


def test_a_late_pose_does_not_hurry_a_latent_that_waits(
        writer: MemoryWriter, committer: Committer) -> None:
    add_poses(writer, 0, 50)
    writer.add_latent(sample(75))
    assert add_poses(writer, 30) == [Step.LATE]
    writer.advance()
    assert moments(committer) == []
    add_poses(writer, 100)
    writer.advance()
    assert math.dist(stored(committer)[0].position, truth(75).position) < 1e-9


def test_a_latent_that_has_waited_takes_the_nearest_pose(
        writer: MemoryWriter, committer: Committer, clock: Clock) -> None:
    add_poses(writer, 0, 50)
    writer.add_latent(sample(110))
    clock.now_ns += 199 * MS
    writer.advance()
    assert moments(committer) == []
    clock.now_ns += 1 * MS
    assert writer.advance() == []
    assert stored(committer)[0].position == pytest.approx(truth(50).position)


def test_a_latent_without_a_pose_is_told_once_and_not_stored(
        writer: MemoryWriter, committer: Committer, clock: Clock) -> None:
    add_poses(writer, 0, 50)
    writer.add_latent(sample(40))
    writer.add_latent(sample(151))
    clock.now_ns += 200 * MS
    [error] = writer.advance()
    assert 'the nearest pose is 0.101 s away, more than pose_tolerance_sec 0.1' in str(error)
    assert writer.advance() == []
    assert moments(committer) == [40]


def test_finish_stores_what_still_waits(writer: MemoryWriter, committer: Committer) -> None:
    add_poses(writer, 0, 50)
    writer.add_latent(sample(60))
    writer.add_latent(sample(900))
    [error] = writer.finish()
    assert 'nearest pose is 0.850 s away' in str(error)
    assert moments(committer) == [60]


def test_repeated_and_late_latents_are_left_out(
        writer: MemoryWriter, committer: Committer) -> None:
    add_poses(writer, *range(0, 301, 50))
    steps = [writer.add_latent(sample(ms)) for ms in (0, 50, 50, 30, 100)]
    assert steps == [Step.FORWARD, Step.FORWARD, Step.REPEATED, Step.LATE, Step.FORWARD]
    writer.advance()
    assert moments(committer) == [0, 50, 100]


def test_what_is_not_worth_remembering_is_counted_and_not_stored(
        committer: Committer, clock: Clock) -> None:
    writer = new_writer(committer, admission=AdmissionConfig(min_travel_m=0.5, min_turn_deg=0.0))
    add_poses(writer, *range(0, 2001, 50))  # 0.1 m and more from one to the next
    for ms in range(0, 2000, 50):
        writer.add_latent(sample(ms))
    assert writer.advance() == []
    kept = stored(committer)
    assert len(kept) + writer.admission.not_admitted['unchanged'] == 40
    for before, after in pairwise(kept):
        assert 0.5 <= math.dist(before.position, after.position) < 0.7


def test_the_first_moment_of_each_session_is_remembered(
        committer: Committer, clock: Clock) -> None:
    writer = new_writer(committer, admission=AdmissionConfig(min_travel_m=1000.0))
    add_poses(writer, *range(0, 301, 50))
    for ms in (0, 50):
        writer.add_latent(sample(ms))
    writer.recording.begin('afternoon')
    for ms in (100, 150):
        writer.add_latent(sample(ms))
    writer.advance()
    assert sessions(committer) == [[0], [100]]
    assert stored(committer)[1].session == 'afternoon'


def test_a_latent_belongs_to_the_session_in_which_it_came(
        writer: MemoryWriter, committer: Committer) -> None:
    add_poses(writer, 0, 50)
    writer.add_latent(sample(60))
    writer.recording.begin()
    writer.add_latent(sample(70))
    add_poses(writer, 100)
    writer.advance()
    assert sessions(committer) == [[60], [70]]
    assert writer.recording.session == stored(committer)[1].session


def test_what_comes_in_a_pause_is_not_remembered_and_what_came_before_is(
        writer: MemoryWriter, committer: Committer) -> None:
    writer.add_latent(sample(10))  # its pose has not come yet
    writer.recording.pause()
    for ms in (60, 110):
        writer.add_latent(sample(ms))
    assert writer.recording.resume() == 2
    writer.add_latent(sample(160))
    add_poses(writer, *range(0, 201, 50))
    writer.advance()
    assert moments(committer) == [10, 160]
    assert len(sessions(committer)) == 1


def test_after_its_end_a_session_gets_nothing_more(
        writer: MemoryWriter, committer: Committer) -> None:
    add_poses(writer, *range(0, 201, 50))
    writer.add_latent(sample(10))
    writer.add_latent(sample(60))
    writer.finish()
    assert writer.recording.made == 2
    writer.recording.end()
    writer.add_latent(sample(110))
    writer.recording.begin('noon')
    writer.add_latent(sample(160))
    writer.finish()
    assert sessions(committer) == [[10, 60], [160]]
    assert writer.recording.made == 1


def test_a_memory_carries_the_words_in_force_when_its_latent_came(
        writer: MemoryWriter, committer: Committer) -> None:
    writer.recording.set_labels(('kitchen',))
    writer.add_latent(sample(10))
    writer.recording.set_labels(())
    writer.add_latent(sample(60))
    add_poses(writer, *range(0, 201, 50))
    writer.advance()
    assert [memory.labels for memory in stored(committer)] == [('kitchen',), ()]


def sessions(committer: Committer) -> list[list[float]]:
    """Moments of the memories of each session, in the order of their making."""
    by_name: dict[str, list[float]] = {}
    for memory in stored(committer):
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
        writer: MemoryWriter, committer: Committer, events: str) -> None:
    add_poses(writer, *range(0, LAST, 50))
    errors = []
    for event in events.split(', '):
        kind, _, ms = event.partition(' ')
        if kind == 'pose':
            add_poses(writer, int(ms))
        else:
            writer.add_latent(sample(int(ms)))
        errors += writer.advance()
    errors += writer.finish()
    assert errors == []
    assert sessions(committer) == [[9900, 9950], [0, 50]]
    for memory in stored(committer):
        # Where the pose of this moment never came, the one before it, 0.1 m away, will do.
        assert math.dist(memory.position, truth(float(memory.vector[0])).position) < 0.11


def test_a_small_step_back_takes_no_pose_from_before_it(
        writer: MemoryWriter, committer: Committer) -> None:
    add_poses(writer, *range(0, 5001, 50))
    writer.add_latent(sample(5000))
    assert writer.add_latent(sample(3000)) is Step.JUMPED_BACK
    writer.advance()
    assert moments(committer) == [5000]
    elsewhere = Pose(Position(77.0, 0.0))
    for ms in (2980, 3020):
        writer.add_pose(START + ms * MS, elsewhere)
    writer.advance()
    assert sessions(committer) == [[5000], [3000]]
    assert stored(committer)[1].position == elsewhere.position


def test_a_named_session_keeps_its_name_as_a_head(committer: Committer, clock: Clock) -> None:
    writer = new_writer(committer, WriterConfig(session='morning'))
    writer.add_latent(sample(1000))
    writer.add_latent(sample(0))
    assert writer.recording.session.startswith('morning-')


def test_latents_of_another_model_are_refused_and_do_not_block_those_after(
        writer: MemoryWriter, committer: Committer) -> None:
    add_poses(writer, *range(0, 301, 50))
    writer.add_latent(sample(0))
    for ms in (50, 5000):
        with pytest.raises(ModelMismatchError, match='model-a, got one of model model-b'):
            writer.add_latent(sample(ms, 'model-b'))
    writer.add_latent(sample(100))
    writer.advance()
    assert moments(committer) == [0, 100]
    with pytest.raises(ModelMismatchError):
        new_writer(committer).add_latent(sample(200, 'model-b'))


def test_a_new_file_takes_the_latents_of_another_model(
        writer: MemoryWriter, committer: Committer) -> None:
    add_poses(writer, *range(0, 301, 50))
    writer.add_latent(sample(0))
    writer.advance()
    assert moments(committer) == [0]
    committer.path.unlink()
    writer.add_latent(sample(50))
    writer.advance()  # finds the file gone, and begins another
    assert moments(committer) == [50]
    with pytest.raises(ModelMismatchError):
        writer.add_latent(sample(100, 'model-b'))
    for part in committer.path.parent.iterdir():
        part.unlink()
    assert committer.run(lambda journal: journal.count).result(20.0) == 0
    writer.add_latent(sample(150, 'model-b'))
    writer.advance()
    assert moments(committer) == [150]
    assert committer.model_id == 'model-b'


def test_a_latent_that_was_never_placed_claims_no_file(
        writer: MemoryWriter, committer: Committer) -> None:
    writer.add_latent(sample(0))
    assert len(writer.finish()) == 1
    assert committer.model_id is None


@pytest.mark.parametrize(('bad', 'message'), [
    (LatentSample(START, as_latent([1.0]), 'model-a'), r'shape \[1\], expected \[2\] \(z_dim\)'),
    (LatentSample(START, np.float32([0, np.inf]), 'model-a'), 'not finite: element 1 is inf'),
    (LatentSample(START, as_latent([0, 0]), ''), 'carries no model_id, .*publish it with the id'),
])
def test_a_latent_that_is_none_is_refused(
        writer: MemoryWriter, committer: Committer, bad: LatentSample, message: str) -> None:
    add_poses(writer, 0, 100)
    with pytest.raises(LatentError, match=message):
        writer.add_latent(bad)
    assert writer.add_latent(sample(0)) is Step.FORWARD
    writer.advance()
    assert moments(committer) == [0]


def test_a_latent_may_be_written_over_after_it_was_handed_in(
        writer: MemoryWriter, committer: Committer) -> None:
    add_poses(writer, 0, 100)
    z = as_latent([5.0, 6.0])
    writer.add_latent(LatentSample(START, z, 'model-a'))
    z[:] = 0
    writer.advance()
    assert moments(committer) == [5.0]


def test_a_memory_holds_the_action_that_led_to_it(committer: Committer, clock: Clock) -> None:
    poses, actions = PoseBuffer(), ActionTrack()
    writer = MemoryWriter(committer, poses, actions.leading_to, admission=Admission(EVERYTHING))
    for step in range(5):
        add_poses(writer, 50 * step)
        writer.add_latent(sample(50 * step))
        actions.add(as_action([step, -step]), poses.newest_ns)  # taken on seeing that frame
    writer.advance()
    assert [memory.action.tolist() for memory in stored(committer)] == [
        [], [0, 0], [1, -1], [2, -2], [3, -3]]


@pytest.mark.parametrize(('fields', 'message'), [
    ({'pose_wait_sec': -0.1}, 'pose_wait_sec must lie between 0 and 10 s, got -0.1'),
    ({'pose_wait_sec': math.nan}, 'pose_wait_sec must lie between 0 and 10 s, got nan'),
    ({'labels': 'door'}, "labels must be a tuple of words, none empty, got 'door'"),
    ({'labels': ('door', '')}, 'labels must be a tuple of words, none empty'),
])
def test_a_configuration_out_of_range_is_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        WriterConfig(**fields)  # type: ignore[arg-type]
