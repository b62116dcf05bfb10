from __future__ import annotations

from collections.abc import Callable, Iterator
import contextlib
from dataclasses import replace
from pathlib import Path
import random
import shutil
import threading
import time
from typing import Any

from spatial_rag_core.errors import ConfigurationError, IndexUnavailableError, SpatialRagError
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.qdrant.shipper import QdrantShipper, ShippingFigures

import pytest

from ..memory_files import make, memory, SPEC
from .sockets import bad_line_to, free_port, hang, rude_server, stand_in, StandIn
from .test_server import config_of

COLLECTION = 'spatial_rag'
RECORD = 'UPDATE memories SET record = ? WHERE seq = ?'


class Clock:
    """Stands still until it is told to go on."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return make(tmp_path / 'memory.db', 30)


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    with Journal.open_existing_writer(path) as journal:
        yield journal


@pytest.fixture
def server() -> Iterator[StandIn]:
    with stand_in() as server:
        yield server


@pytest.fixture
def clock() -> Clock:
    return Clock()


MakeShipper = Callable[..., QdrantShipper]


@pytest.fixture
def shipper_to(path: Path, clock: Clock) -> Iterator[MakeShipper]:
    """Make shippers that are stepped by hand, and close them afterwards."""
    with contextlib.ExitStack() as made:
        def make_shipper(server: StandIn | int, memory_path: Path = path,
                         **fields: Any) -> QdrantShipper:
            shipper = QdrantShipper(memory_path, config_of(server, batch_size=8, **fields),
                                    clock=clock)
            made.callback(shipper.close)
            return shipper

        yield make_shipper


def run(shipper: QdrantShipper) -> ShippingFigures:
    """Step until there is nothing more to do, or it fails; as its thread does."""
    for _ in range(1000):
        try:
            if not shipper.step():
                return shipper.figures()
        except SpatialRagError as error:
            shipper.failed(error)
            return shipper.figures()
    raise AssertionError('it never came to an end')


def run_until_level(shipper: QdrantShipper) -> ShippingFigures:
    for _ in range(5):
        figures = run(shipper)
        if figures.state == 'level':
            return figures
    raise AssertionError(figures)


def held_by(server: StandIn, collection: str = COLLECTION) -> dict[int, dict[str, Any]]:
    """Payloads of the server's points by sequence number."""
    points, _ = server.local.scroll(collection, limit=10_000)
    return {payload['seq']: payload for point in points
            if (payload := point.payload) is not None}


def require_level(server: StandIn, journal: Journal) -> None:
    """The server holds what the journal holds, and says the same of it."""
    held = held_by(server)
    memories = journal.get(journal.records_after(0, 10_000)['seq'].tolist())
    assert sorted(held) == sorted(memories)
    for seq, each in memories.items():
        payload = held[seq]
        assert payload['id'] == each.id
        assert payload['journal'] == f'{journal.generation:016x}'
        assert (payload['robot'], payload['session'], payload['labels']) == (
            each.robot, each.session, list(each.labels))
        assert (payload['x'], payload['y'], payload['z']) == each.position
        assert payload['timestamp'] == each.timestamp
        assert payload['action'] == each.action.tolist()


def test_everything_is_shipped_in_batches_and_then_it_is_level(
        journal: Journal, server: StandIn, shipper_to: MakeShipper) -> None:
    figures = run(shipper_to(server))
    require_level(server, journal)
    batches = [len(body['points']) for method, path, body in server.requests
               if (method, path) == ('PUT', f'/collections/{COLLECTION}/points')]
    assert batches == [8, 8, 8, 6]
    assert (figures.state, figures.backlog, figures.shipped) == ('level', 0, 30)
    assert (figures.failures, figures.last_error) == (0, '')


def test_what_comes_later_is_shipped_then(journal: Journal, server: StandIn,
                                          shipper_to: MakeShipper) -> None:
    shipper = shipper_to(server)
    run(shipper)
    before = server.put_points
    journal.append([memory(n) for n in range(30, 33)])
    figures = run(shipper)
    require_level(server, journal)
    assert figures.shipped == 33
    assert server.put_points == before + 3 + 1  # and a checkpoint


def test_what_is_forgotten_and_relabelled_is_so_on_the_server(
        journal: Journal, server: StandIn, shipper_to: MakeShipper) -> None:
    shipper = shipper_to(server)
    run(shipper)
    journal.forget([1, 2, 30])
    journal.relabel([5, 6, 7], add=['seen'], remove=['door'])
    journal.append([memory(40)])
    journal.forget([31])  # before it was shipped
    run(shipper)
    require_level(server, journal)


def test_a_new_process_ships_only_the_rest(journal: Journal, server: StandIn,
                                           shipper_to: MakeShipper) -> None:
    run(shipper_to(server))
    journal.append([memory(n) for n in range(30, 40)])
    journal.forget([3])
    before = server.put_points
    figures = run(shipper_to(server))
    require_level(server, journal)
    assert figures.shipped == 10
    assert server.put_points - before < 10 + 5


def test_a_server_that_is_away_costs_only_time(journal: Journal, server: StandIn,
                                               shipper_to: MakeShipper) -> None:
    shipper = shipper_to(server)
    shipper.step()
    server.stop()
    journal.append([memory(n) for n in range(30, 50)])
    figures = run(shipper)
    assert (figures.state, figures.backlog, figures.failures) == ('waiting', 50 - 8, 1)
    assert f'127.0.0.1:{server.port} cannot be reached' in figures.last_error
    server.start()
    figures = run(shipper)
    require_level(server, journal)
    assert (figures.state, figures.backlog, figures.failures) == ('level', 0, 0)


def test_a_server_that_is_away_from_the_start_is_waited_for(
        journal: Journal, server: StandIn, shipper_to: MakeShipper) -> None:
    server.stop()
    shipper = shipper_to(server)
    assert run(shipper).backlog == 30
    server.start()
    assert run(shipper).state == 'level'
    require_level(server, journal)


def test_a_line_that_breaks_again_and_again_loses_nothing(
        journal: Journal, server: StandIn, shipper_to: MakeShipper) -> None:
    chance = random.Random(0)
    with bad_line_to(server.port, lambda: chance.choice([0.0, 0.5, 0.9, 2.0, 2.0, 2.0])) as port:
        shipper, failures = shipper_to(port), 0
        for n in range(30, 45):
            journal.append([memory(n)])
            journal.forget([n - 20])
            figures = run(shipper)
            failures += figures.failures > 0
        while figures.state != 'level':
            figures = run(shipper)
    require_level(server, journal)
    assert failures > 3


def test_pauses_grow_twofold_to_a_limit_and_differ_from_robot_to_robot(
        path: Path, server: StandIn) -> None:
    shipper = QdrantShipper(path, config_of(server), first_pause_sec=1.0, longest_pause_sec=60.0)
    pauses = [shipper.failed(IndexUnavailableError('away')) for _ in range(12)]
    for pause, longest in zip(pauses, [1, 2, 4, 8, 16, 32, *6 * [60]], strict=True):
        assert longest / 2 <= pause <= longest
    assert len(set(pauses)) == 12
    assert shipper.figures().retry_sec == pauses[-1]
    assert shipper.figures().failures == 12
    run(shipper)
    assert shipper.figures().failures == 0
    shipper.close()


def test_a_server_that_came_back_empty_is_filled_again(journal: Journal, server: StandIn,
                                                       shipper_to: MakeShipper) -> None:
    shipper = shipper_to(server)
    run(shipper)
    server.empty()
    journal.append([memory(30)])
    run_until_level(shipper)
    require_level(server, journal)


def test_a_server_that_came_back_empty_is_noticed_when_nothing_new_is_shipped(
        journal: Journal, server: StandIn, shipper_to: MakeShipper, clock: Clock) -> None:
    shipper = shipper_to(server)
    run(shipper)
    server.empty()
    assert run(shipper).state == 'level'  # it asks now and then
    clock.now += 61.0
    run_until_level(shipper)
    require_level(server, journal)


@pytest.mark.parametrize('is_restarted', [False, True])
def test_what_a_server_lost_is_noticed_by_the_count_and_nothing_else_is_sent(
        journal: Journal, server: StandIn, shipper_to: MakeShipper, clock: Clock,
        is_restarted: bool) -> None:
    shipper = shipper_to(server)
    run(shipper)
    lost = [3, 4, 5, 17, 29]
    drop(server, lost)
    before = server.put_points
    if is_restarted:
        shipper = shipper_to(server)
    else:
        clock.now += 61.0
    figures = run_until_level(shipper)
    require_level(server, journal)
    assert server.put_points - before == len(lost)
    assert figures.lost == len(lost)


def drop(server: StandIn, seqs: list[int]) -> None:
    points, _ = server.local.scroll(COLLECTION, limit=1000)
    server.local.delete(COLLECTION, [point.id for point in points
                                     if (point.payload or {})['seq'] in seqs])


def test_what_a_server_has_too_much_goes(journal: Journal, server: StandIn,
                                         shipper_to: MakeShipper, clock: Clock) -> None:
    shipper = shipper_to(server)
    run(shipper)
    with journal.transaction() as connection:  # forgotten, and the log does not say so
        connection.execute('DELETE FROM memories WHERE seq IN (4, 9)')
        connection.execute("UPDATE meta SET value = value + 2 WHERE key = 'forgotten_count'")
    clock.now += 61.0
    run_until_level(shipper)
    require_level(server, journal)


def test_a_lost_checkpoint_means_to_send_all_again(journal: Journal, server: StandIn,
                                                   shipper_to: MakeShipper) -> None:
    run(shipper_to(server))
    server.local.delete_collection(f'{COLLECTION}_checkpoints')
    journal.relabel([5], add=['seen'])
    run(shipper_to(server))
    require_level(server, journal)


def test_a_change_log_that_does_not_reach_back_means_to_send_all_again(
        journal: Journal, server: StandIn, shipper_to: MakeShipper) -> None:
    shipper = shipper_to(server)
    run(shipper)
    journal.relabel([5, 6], add=['seen'])
    journal.forget([7])
    with journal.transaction() as connection:
        connection.execute('DELETE FROM changes')
        connection.execute("UPDATE meta SET value = 3 WHERE key = 'changes_pruned_to'")
    run(shipper)
    require_level(server, journal)


def test_a_new_generation_replaces_the_old_one_on_the_server(
        journal: Journal, server: StandIn, shipper_to: MakeShipper) -> None:
    shipper = shipper_to(server)
    run(shipper)
    journal.renew_generation()
    run(shipper)
    require_level(server, journal)
    points, _ = server.local.scroll(f'{COLLECTION}_checkpoints')
    assert [(point.payload or {})['generation'] for point in points] == [journal.generation]


def test_a_generation_that_another_copy_of_the_file_ships_is_left_alone(
        path: Path, tmp_path: Path, server: StandIn, shipper_to: MakeShipper) -> None:
    (tmp_path / 'twin').mkdir()
    twin = tmp_path / 'twin' / 'memory.db'  # on a robot of the same name
    shutil.copy(path, twin)
    with Journal.open_existing_writer(twin) as journal:
        journal.renew_generation()
    for each in (path, twin, path, twin):
        run(shipper_to(server, each, source='robot:/memory.db'))
    assert len(every_payload(server)) == 60


def test_without_a_note_of_what_was_shipped_nothing_is_removed(
        path: Path, journal: Journal, server: StandIn, shipper_to: MakeShipper) -> None:
    shipper = shipper_to(server)
    run(shipper)
    Path(f'{path}.shipped').write_text('{"spoiled')
    journal.renew_generation()
    run(shipper)
    assert len(every_payload(server)) == 60
    journal.renew_generation()
    run(shipper)
    assert len(every_payload(server)) == 60  # what was noted since is known


def test_a_memory_file_that_was_replaced_is_followed(path: Path, server: StandIn,
                                                     shipper_to: MakeShipper) -> None:
    shipper = shipper_to(server)
    run(shipper)
    path.unlink()
    assert not shipper.step()  # no file yet
    make(path, 5)
    run(shipper)
    with Journal.open_existing_writer(path) as journal:
        require_level(server, journal)


def test_robots_share_a_collection_and_leave_each_others_memories_alone(
        journal: Journal, tmp_path: Path, server: StandIn, shipper_to: MakeShipper) -> None:
    make(tmp_path / 'other.db', 12, robot='other')
    ours, theirs = shipper_to(server), shipper_to(server, tmp_path / 'other.db')
    run(ours)
    run(theirs)
    journal.renew_generation()
    journal.forget([1])
    run(ours)
    robots = [payload['robot'] for payload in every_payload(server)]
    assert robots.count('other') == 12
    assert len(robots) == 29 + 12


def every_payload(server: StandIn) -> list[dict[str, Any]]:
    points, _ = server.local.scroll(COLLECTION, limit=10_000)
    return [point.payload or {} for point in points]


def test_memories_that_the_file_cannot_give_are_passed_over_and_counted(
        journal: Journal, server: StandIn, shipper_to: MakeShipper, clock: Clock) -> None:
    with journal.transaction() as connection:
        connection.execute(RECORD, (b'spoiled', 9))
        connection.execute("UPDATE memories SET action = 'x' WHERE seq = 21")
    shipper = shipper_to(server)
    for _ in range(2):
        figures = run(shipper)
        assert sorted(held_by(server)) == [n for n in range(1, 31) if n not in (9, 21)]
        assert (figures.state, figures.unreadable, figures.lost) == ('level', 2, 0)
        clock.now += 61.0


def test_pictures_are_shipped_where_that_is_asked_for(journal: Journal, server: StandIn,
                                                      shipper_to: MakeShipper) -> None:
    run(shipper_to(server))
    assert not any('thumbnail' in payload for payload in every_payload(server))
    run(shipper_to(server, collection='pictures', with_thumbnails=True))
    pictured = held_by(server, 'pictures')
    stored = journal.get(list(pictured))
    assert {seq for seq, payload in pictured.items() if 'thumbnail' in payload} == {
        seq for seq, each in stored.items() if each.thumbnail}


def test_a_collection_of_another_dimension_is_told_and_left_alone(
        server: StandIn, shipper_to: MakeShipper, tmp_path: Path) -> None:
    run(shipper_to(server))
    other = tmp_path / 'other.db'
    with Journal.open_writer(other, replace(SPEC, z_dim=5)) as journal:
        journal.append([memory(1, vector=[1, 2, 3, 4, 5])])
    shipper = shipper_to(server, other)
    with pytest.raises(ConfigurationError, match='name another collection'):
        shipper.step()
    assert server.local.count(COLLECTION).count == 30


def test_the_rate_is_that_of_the_time_it_worked(journal: Journal, server: StandIn,
                                                shipper_to: MakeShipper, clock: Clock,
                                                monkeypatch: pytest.MonkeyPatch) -> None:
    answer = server.answer

    def slow(method: str, path: str, body: Any, key: str) -> Any:
        clock.now += 0.5 * (path == f'/collections/{COLLECTION}/points')
        return answer(method, path, body, key)

    monkeypatch.setattr(server, 'answer', slow)
    shipper = shipper_to(server)
    run(shipper)
    clock.now += 3600.0
    assert run(shipper).per_sec == pytest.approx(30 / (4 * 0.5))


def test_its_thread_ships_what_comes_and_outlives_a_server_that_goes(
        path: Path, journal: Journal, server: StandIn) -> None:
    shipper = QdrantShipper(path, config_of(server), first_pause_sec=0.05,
                            longest_pause_sec=0.1).start()
    wait_for(lambda: shipper.figures().state == 'level')
    server.stop()
    journal.append([memory(30)])
    shipper.wake()
    wait_for(lambda: shipper.figures().state == 'waiting')
    server.start()
    wait_for(lambda: shipper.figures().state == 'level')
    require_level(server, journal)
    shipper.close()
    assert shipper.figures().state == 'closed'
    assert not [each for each in threading.enumerate() if each.name == 'qdrant-shipper']


def wait_for(condition: Callable[[], bool], timeout_sec: float = 20.0) -> None:
    end = time.monotonic() + timeout_sec
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_it_closes_at_once_while_a_request_hangs(path: Path) -> None:
    with rude_server(hang) as port:
        shipper = QdrantShipper(path, config_of(port), request_timeout_sec=30.0).start()
        wait_for(lambda: any(each.name == 'qdrant-shipper' for each in threading.enumerate()))
        start = time.monotonic()
        shipper.close()
        assert time.monotonic() - start < 3.0
        assert shipper.figures().state == 'closed'


def test_it_closes_at_once_while_it_waits_to_try_again(path: Path) -> None:
    shipper = QdrantShipper(path, config_of(free_port()), first_pause_sec=60.0).start()
    wait_for(lambda: shipper.figures().state == 'waiting')
    start = time.monotonic()
    shipper.close()
    assert time.monotonic() - start < 1.0


def test_a_fault_of_its_own_does_not_end_the_thread(path: Path, server: StandIn,
                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError('a fault')

    monkeypatch.setattr(QdrantShipper, 'step', broken)
    shipper = QdrantShipper(path, config_of(server), first_pause_sec=0.01,
                            longest_pause_sec=0.01).start()
    wait_for(lambda: shipper.figures().failures > 2)
    assert 'unexpected ZeroDivisionError: a fault' in shipper.figures().last_error
    monkeypatch.undo()
    wait_for(lambda: shipper.figures().state == 'level')
    shipper.close()


def test_no_file_yet_is_no_failure(tmp_path: Path, server: StandIn,
                                   shipper_to: MakeShipper) -> None:
    shipper = shipper_to(server, tmp_path / 'later.db')
    assert not shipper.step()
    assert shipper.figures().failures == 0
    assert server.requests == []
