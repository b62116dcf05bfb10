"""What the services of the retriever answer."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import math
from pathlib import Path
from typing import Any

from spatial_rag_core.memory.retriever import Retriever
from spatial_rag_msgs.srv import (
    BackupMemory,
    EncodeImage,
    GetMemory,
    MemoryStats,
    QueryMemoryByImage,
    Relocalize,
)
from spatial_rag_nodes.conversions import time_from_ns

from geometry_msgs.msg import Point
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
import pytest
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.task import Future

from .retriever_rig import (
    at,
    latent,
    make_memory_file,
    numbers,
    retriever_rig,  # noqa: F401  the fixture `rig`
    Rig,
    set_parameter,
    T0_NS,
)

pytestmark = pytest.mark.ros


@pytest.mark.parametrize(('fields', 'expected'), [
    ({'latent': latent(10.2), 'k': 3}, [10, 11, 9]),
    ({'latent': latent(10.2), 'pose': at(20.0), 'radius_m': 1.5}, [19, 20, 21]),
    ({'latent': latent(0.0), 'use_box': True, 'box_min': Point(x=29.5, y=-1.0, z=-1.0),
      'box_max': Point(x=31.5, y=1.0, z=1.0)}, [30, 31]),
    ({'rank_by': 1, 'pose': at(40.3), 'k': 2}, [40, 41]),
    ({'latent': latent(0.0), 'after': time_from_ns(T0_NS + 60 * 10**9),
      'before': time_from_ns(T0_NS + 62 * 10**9)}, [60, 61, 62]),
    ({'latent': latent(70.0), 'pose': at(70.0, 70.0), 'radius_m': 3.2, 'min_age_sec': 2.0},
     [68, 72, 67, 73]),
    ({'latent': latent(0.0), 'session': 'nobody'}, []),
    ({'latent': latent(0.0), 'robot': 'nobody'}, []),
    ({'latent': latent(0.0), 'map_id': 'cellar', 'robot': 'carl', 'k': 2}, [90, 91]),
    ({'latent': latent(0.0), 'labels': ['door']}, [40, 80]),
    ({'latent': latent(5.0), 'metric': 1, 'k': 3}, [1, 2, 3]),
    ({'latent': latent(10.2), 'k': 3, 'diversity': 1.0}, [10, 16, 5]),
    ({'latent': latent(0.0), 'pose': at(20.0), 'radius_m': 1.5, 'use_max_dz': True},
     [19, 20, 21]),
])
def test_the_service_answers_by_latent_place_box_time_and_words(
        rig: Rig, fields: dict[str, Any], expected: list[int]) -> None:
    answer = rig.query(**fields)
    assert (answer.code, answer.message) == (answer.OK, '')
    assert numbers(answer) == expected


def test_thumbnails_come_where_they_are_asked_for(rig: Rig) -> None:
    answer = rig.query(latent=latent(3.0), k=1, with_thumbnails=True)
    assert bytes(answer.memories[0].memory.thumbnail) == b'jpeg'


@pytest.mark.parametrize(('fields', 'code', 'reason'), [
    ({}, 'INVALID_REQUEST', 'needs a vector'),
    ({'rank_by': 1}, 'INVALID_REQUEST', 'needs a pose'),
    ({'rank_by': 7, 'latent': latent(0.0)}, 'INVALID_REQUEST', 'rank_by'),
    ({'latent': [0.0] * 16}, 'INVALID_REQUEST', '[16]'),
    ({'latent': latent(math.nan)}, 'INVALID_REQUEST', 'not finite'),
    ({'latent': latent(0.0), 'radius_m': 2.0}, 'INVALID_REQUEST', 'radius_m'),
    ({'latent': latent(0.0), 'pose': at(0.0), 'radius_m': math.nan}, 'INVALID_REQUEST',
     'radius_m'),
    ({'latent': latent(0.0), 'pose': at(0.0), 'radius_m': -1.0}, 'INVALID_REQUEST', 'radius_m'),
    ({'latent': latent(0.0), 'pose': at(0.0, frame='odom')}, 'INVALID_REQUEST', "'odom'"),
    ({'latent': latent(0.0), 'k': 4_000_000_000}, 'INVALID_REQUEST', 'k must lie'),
    ({'latent': latent(0.0), 'use_box': True, 'box_min': Point(x=1.0)}, 'INVALID_REQUEST',
     'low corner'),
    ({'latent': latent(0.0), 'min_age_sec': math.inf}, 'INVALID_REQUEST', 'min_age_sec'),
    ({'latent': latent(0.0), 'model_id': 'other'}, 'WRONG_MODEL', 'model other'),
    ({'latent': latent(0.0), 'metric': 9}, 'INVALID_REQUEST', 'metric'),
    ({'latent': latent(0.0), 'diversity': 1.1}, 'INVALID_REQUEST', 'diversity'),
    ({'latent': latent(0.0), 'use_max_dz': True}, 'INVALID_REQUEST', 'max_dz_m'),
])
def test_a_bad_request_is_answered_with_its_code_and_the_reason(
        rig: Rig, fields: dict[str, Any], code: str, reason: str) -> None:
    answer = rig.query(**fields)
    assert answer.code == getattr(answer, code)
    assert reason in answer.message
    assert len(answer.memories) == 0


def test_one_memory_is_had_whole_by_its_id(rig: Rig) -> None:
    hit = rig.query(latent=latent(42.0), k=1).memories[0].memory
    answer = rig.probe.call(GetMemory, '/spatial_rag/get_memory', GetMemory.Request(id=hit.id))
    assert (answer.code, answer.message) == (answer.OK, '')
    assert bytes(answer.memory.thumbnail) == b'jpeg'
    answer.memory.thumbnail = hit.thumbnail
    assert answer.memory == hit
    answer = rig.probe.call(GetMemory, '/spatial_rag/get_memory', GetMemory.Request(id='gone'))
    assert answer.code == answer.NOT_FOUND
    assert "'gone'" in answer.message


def back_up(rig: Rig, path: object = '') -> BackupMemory.Response:
    return rig.probe.call(BackupMemory, '/spatial_rag/backup_memory',
                          BackupMemory.Request(path=str(path)))


def test_a_backup_is_a_memory_file_of_its_own(rig: Rig, tmp_path: Path) -> None:
    for answer in (back_up(rig), back_up(rig, tmp_path / 'new' / 'copy.db')):
        assert (answer.code, answer.message) == (answer.OK, '')
        assert answer.size_bytes == Path(answer.path).stat().st_size
        with contextlib.closing(Retriever(answer.path)) as copy:
            assert copy.refresh() == answer.count >= 100
    assert Path(answer.path) == tmp_path / 'new' / 'copy.db'
    assert [path.name for path in rig.lab.folder.glob('memory-2*-*.db')]


@pytest.mark.parametrize(('path', 'reason'), [
    ('relative.db', "must begin with / or ~, got 'relative.db'"),
    ('/proc/nothing/copy.db', '/proc/nothing/copy.db cannot be written'),
    (Path(__file__), 'exists already')])
def test_a_backup_that_cannot_be_written_is_refused(
        rig: Rig, path: object, reason: str) -> None:
    answer = back_up(rig, path)
    assert answer.code == answer.INVALID_REQUEST
    assert reason in answer.message


def query_by_image(rig: Rig, **fields: Any) -> QueryMemoryByImage.Response:
    return rig.probe.call(QueryMemoryByImage, '/spatial_rag/query_memory_by_image',
                          QueryMemoryByImage.Request(**fields))


def test_a_query_by_image_without_an_encoder_is_told_at_once(rig: Rig) -> None:
    answer = query_by_image(rig)
    assert answer.code == answer.ENCODER_UNAVAILABLE
    assert 'there is no service /spatial_rag/encode_image' in answer.message


@pytest.fixture
def encoder(rig: Rig) -> Iterator[EncodeImage.Response]:
    """What the encoder, which the test plays, answers; with code 999 it never answers."""
    answer = EncodeImage.Response(latent=latent(12.2), model_id='author')

    async def serve(_: EncodeImage.Request, __: EncodeImage.Response) -> EncodeImage.Response:
        if answer.code == 999:
            await Future()
        return answer
    service = rig.probe.node.create_service(EncodeImage, '/spatial_rag/encode_image', serve,
                                            callback_group=ReentrantCallbackGroup())
    rig.probe.until(lambda: 'encode_image' not in query_by_image(rig).message)
    yield answer
    rig.probe.node.destroy_service(service)


@pytest.mark.parametrize(('fields', 'expected'), [
    ({'k': 3}, [12, 13, 11]),
    ({'k': 2, 'pose': at(30.0), 'radius_m': 1.5}, [29, 30]),
    ({'k': 2, 'radius_m': 1.5}, [12, 13]),
    ({'k': 2, 'map_id': 'cellar'}, [90, 91]),
    ({'session': 'nobody'}, []),
    ({'k': 3, 'diversity': 1.0}, [12, 18, 7]),
])
def test_a_query_by_image_finds_what_looks_like_it(
        rig: Rig, encoder: EncodeImage.Response, fields: dict[str, Any],
        expected: list[int]) -> None:
    answer = query_by_image(rig, **fields)
    assert (answer.code, answer.message) == (answer.OK, '')
    assert numbers(answer) == expected
    assert (list(answer.latent), answer.model_id) == (list(encoder.latent), 'author')
    assert answer.encode_time_ms > 0.0


@pytest.mark.parametrize(('changes', 'fields', 'code', 'reason'), [
    ({'code': 400, 'message': 'no picture'}, {}, 'INVALID_REQUEST', 'no picture'),
    ({'code': 401, 'message': 'not alone'}, {}, 'INVALID_REQUEST', 'not alone'),
    ({'code': 402, 'message': 'ask again'}, {}, 'ENCODER_UNAVAILABLE', 'ask again'),
    ({'model_id': 'other'}, {}, 'WRONG_MODEL', 'model other'),
    ({'latent': [1.0]}, {}, 'INVALID_REQUEST', '[32]'),
    ({}, {'k': 20_000}, 'INVALID_REQUEST', 'k must lie'),
    ({}, {'pose': at(0.0, frame='odom')}, 'INVALID_REQUEST', "'odom'"),
])
def test_a_query_by_image_that_cannot_be_answered_says_why(
        rig: Rig, encoder: EncodeImage.Response, changes: dict[str, Any],
        fields: dict[str, Any], code: str, reason: str) -> None:
    for name, value in changes.items():
        setattr(encoder, name, value)
    answer = query_by_image(rig, **fields)
    assert answer.code == getattr(answer, code)
    assert reason in answer.message


def test_the_stream_goes_on_while_an_encoder_does_not_answer(
        rig: Rig, encoder: EncodeImage.Response) -> None:
    assert set_parameter(rig, 'encoder_timeout_sec', type=3, double_value=0.5).successful
    encoder.code = 999
    client = rig.probe.node.create_client(QueryMemoryByImage,
                                          '/spatial_rag/query_memory_by_image')
    rig.probe.until(client.service_is_ready)
    asked, count = client.call_async(QueryMemoryByImage.Request()), 0
    while not asked.done():
        rig.ask(8000.0 + count, x=50.0, z0=50.0)
        count += 1
    assert asked.result().code == QueryMemoryByImage.Response.ENCODER_UNAVAILABLE
    assert count >= 3, 'the stream waited for the encoder'


def relocalize(rig: Rig, **fields: Any) -> Relocalize.Response:
    return rig.probe.call(Relocalize, '/spatial_rag/relocalize', Relocalize.Request(**fields))


def places(answer: Any) -> list[int]:
    return [round(place.pose.pose.position.x) for place in answer.hypotheses]


def test_a_picture_tells_where_it_may_have_been_taken(
        rig: Rig, encoder: EncodeImage.Response) -> None:
    answer = relocalize(rig, k=4)
    assert (answer.code, answer.message) == (answer.OK, '')
    assert places(answer) == [12, 13, 11, 14]
    best = answer.hypotheses[0]
    assert (best.header.frame_id, best.map_id) == ('map', 'hall')
    assert 0.5 < best.score <= sum(place.score for place in answer.hypotheses) <= 1.0 + 1e-6
    assert best.distance == pytest.approx(0.2, abs=1e-5)
    [memory_id] = best.memory_ids
    assert memory_id == rig.query(latent=latent(12.0), k=1).memories[0].memory.id
    assert best.pose.covariance[0] > 0.0
    assert list(answer.latent) == list(encoder.latent)
    assert answer.encode_time_ms > 0.0


@pytest.mark.parametrize(('fields', 'expected'), [
    ({'max_hypotheses': 2}, [70, 71]), ({'k': 1}, [70]),
    ({'pose': at(30.0), 'radius_m': 1.5}, [31, 30, 29]), ({'map_id': 'cellar', 'k': 2}, [90, 91]),
    ({'labels': ['door']}, [80, 40]), ({'session': 'nobody'}, []), ({'robot': 'nobody'}, []),
    ({'before': time_from_ns(T0_NS + 50 * 10**9), 'k': 2}, [50, 49])])
def test_a_latent_will_do_and_the_question_may_be_narrowed(
        rig: Rig, fields: dict[str, Any], expected: list[int]) -> None:
    answer = relocalize(rig, latent=latent(70.2), **fields)
    assert (answer.code, answer.message) == (answer.OK, '')
    assert places(answer)[:len(expected) or None] == expected


@pytest.mark.parametrize(('fields', 'code', 'reason'), [
    ({'latent': latent(math.nan)}, 'INVALID_REQUEST', 'not finite'),
    ({'latent': [1.0]}, 'INVALID_REQUEST', '[32]'),
    ({'latent': latent(0.0), 'k': 20_000}, 'INVALID_REQUEST', 'k must lie'),
    ({'latent': latent(0.0), 'max_hypotheses': 101}, 'INVALID_REQUEST', 'max_hypotheses'),
    ({'latent': latent(0.0), 'pose': at(0.0, frame='odom')}, 'INVALID_REQUEST', "'odom'"),
    ({'latent': latent(0.0), 'model_id': 'other'}, 'WRONG_MODEL', 'model other'),
    ({}, 'ENCODER_UNAVAILABLE', 'is the encoder running?')])
def test_a_question_where_that_cannot_be_answered_says_why(
        rig: Rig, fields: dict[str, Any], code: str, reason: str) -> None:
    answer = relocalize(rig, **fields)
    assert answer.code == getattr(answer, code)
    assert reason in answer.message
    assert not answer.hypotheses


def test_an_inactive_encoder_is_told_and_no_picture_blamed(
        lab: Any, bundle_path: Path, tmp_path: Path) -> None:
    make_memory_file(tmp_path / 'memory.db', 3)
    rig = Rig(lab, tmp_path / 'memory.db')
    lab.start_node('encoder_node', model_path=bundle_path, autostart=False)
    request = ChangeState.Request(transition=Transition(label='configure'))
    assert lab.probe.call(ChangeState, '/encoder/change_state', request, 60.0).success
    lab.probe.until(lambda: 'there is no service' not in relocalize(rig).message)
    for answer in (relocalize(rig), query_by_image(rig)):
        assert answer.code == answer.ENCODER_UNAVAILABLE
        assert answer.message == '/encoder is inactive; only an active node answers'


def test_stats_tell_how_much_is_remembered(lab: Any, tmp_path: Path) -> None:
    path = tmp_path / 'memory.db'
    lab.start_node('retriever_node', memory_path=path)

    def ask() -> MemoryStats.Response:
        return lab.probe.call(MemoryStats, '/spatial_rag/memory_stats', MemoryStats.Request())
    empty = ask()
    assert (empty.code, empty.journal_count, empty.index_count) == (empty.OK, 0, 0)
    make_memory_file(path, 30)
    stats = ask()
    assert (stats.journal_count, stats.index_count) == (30, 30)
    assert (stats.journal_last_seq, stats.index_last_seq) == (30, 30)
    assert (stats.session_count, stats.h3_resolution) == (1, 13)
    assert (stats.oldest.sec, stats.newest.sec) == (1_700_000_000, 1_700_000_029)
    assert 0 < stats.cell_count < 30
    assert (stats.memory_path, stats.model_id) == (str(path), 'author')
    assert stats.file_size_bytes > 4096
