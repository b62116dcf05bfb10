"""What the topics of a running stack tell."""

import json
import math

import pytest

figures_module = pytest.importorskip('spatial_rag_bringup.stack_figures')
Counters, Stage = figures_module.Counters, figures_module.Stage
StackFigures, Stream = figures_module.StackFigures, figures_module.Stream
MS, SEC = 1_000_000, 1_000_000_000

ISSUE_KEYS = {'duration_s', 'latent_hz', 'latent_next_hz', 'image_to_latent_ms',
              'image_to_latent_next_ms', 'frames_in', 'frames_dropped', 'memories_stored',
              'retrieval_ms', 'retrieved_mean', 'errors'}
EXTRA_KEYS = {'frames_over_rate', 'latents', 'latents_next', 'memories_not_admitted',
              'memories_total', 'model_id', 'trained'}


@pytest.mark.ros
@pytest.mark.parametrize('stamp', [(0, 0), (1_795_000_000, 999_999_999), (-5, 7)])
def test_the_stamp_of_a_serialized_message_is_read_from_its_bytes(stamp: tuple[int, int]) -> None:
    pytest.importorskip('rclpy', reason='rclpy is absent: no ROS and no wheels of it')
    from spatial_rag_msgs.msg import LatentStamped, RetrievedMemories

    from rclpy.serialization import serialize_message
    from sensor_msgs.msg import CompressedImage, Image
    for kind in (Image, CompressedImage, LatentStamped, RetrievedMemories):
        message = kind()
        message.header.frame_id = 'camera_optical'
        message.header.stamp.sec, message.header.stamp.nanosec = stamp
        read = figures_module.stamp_of_serialized(serialize_message(message))
        assert read == stamp[0] * SEC + stamp[1]


def test_the_stamp_of_a_big_endian_message_is_read_too() -> None:
    assert figures_module.stamp_of_serialized(bytes.fromhex('00000000 00000002 00000003')) == (
        2 * SEC + 3)


def test_a_stage_measures_each_message_once_by_its_stamp() -> None:
    stage = Stage()
    stage.begin(1, 0)
    stage.begin(2, 10 * MS)
    stage.end(2, 15 * MS)
    stage.end(1, 20 * MS)
    stage.end(1, 99 * MS)
    stage.end(3, 99 * MS)
    assert list(stage.durations_ms) == [5.0, 20.0]


def test_a_stage_forgets_frames_that_never_arrive() -> None:
    stage = Stage()
    for stamp in range(10_000):
        stage.begin(stamp, 0)
    assert len(stage._open) < 10_000
    stage.end(9_999, MS)
    assert list(stage.durations_ms) == [1.0]


def test_a_stage_takes_the_two_messages_in_either_order() -> None:
    stage = Stage()
    stage.end(1, 25 * MS)
    stage.begin(1, 20 * MS)
    stage.begin(1, 20 * MS)
    assert list(stage.durations_ms) == [5.0]


def test_an_end_of_the_last_round_of_a_loop_is_not_taken_for_one_of_this() -> None:
    stage = Stage()
    stage.end(1, 25 * MS)
    stage.begin(1, 1000 * MS)
    stage.end(1, 1004 * MS)
    assert list(stage.durations_ms) == [4.0]


def test_a_stage_forgets_ends_whose_begin_never_comes() -> None:
    stage = Stage()
    for stamp in range(10_000):
        stage.end(stamp, MS)
    assert len(stage._early_ends) < 10_000
    stage.begin(0, 0)
    stage.begin(9_999, 0)
    assert list(stage.durations_ms) == [1.0]


def test_counts_of_a_node_that_starts_anew_are_added_up() -> None:
    counters = Counters()
    for value in (0, 3, 5, 0, 2):
        counters.update('encoder', 'errors', value)
    counters.update('retriever', 'errors', 1)
    counters.update('encoder', 'frames_dropped', 7)
    assert counters.total('errors') == 5 + 2 + 1
    assert counters.total('frames_dropped') == 7
    assert counters.total('other') == 0


def test_the_mean_rate_is_taken_from_the_first_message_to_the_last() -> None:
    stream = Stream()
    assert stream.mean_hz() is None
    stream.tick(5 * SEC)
    assert stream.mean_hz() is None
    for index in range(1, 21):
        stream.tick(5 * SEC + index * 50 * MS)
    assert stream.mean_hz() == 20.0


def _stream(figures: StackFigures, frames: int, latents: int) -> None:
    for index in range(frames):
        figures.frames.tick(SEC + index * 50 * MS)
    for index in range(latents):
        figures.latent.tick(SEC + index * 50 * MS)


@pytest.mark.parametrize(('latents', 'over_rate', 'stale', 'dropped'), [
    (100, 0, 0, 0), (97, 0, 0, 3), (97, 2, 0, 1), (97, 2, 1, 0), (97, 9, 9, 0)])
def test_dropped_is_what_has_no_latent_and_no_reason(
        latents: int, over_rate: int, stale: int, dropped: int) -> None:
    figures = StackFigures()
    _stream(figures, 100, latents)
    figures.counters.update('encoder', 'frames_over_rate', over_rate)
    figures.counters.update('encoder', 'frames_stale', stale)
    assert figures.frames_dropped == dropped
    assert figures.summary()['frames_dropped'] == dropped


def test_errors_are_problems_reported_and_nodes_that_died() -> None:
    figures = StackFigures()
    figures.counters.update('encoder', 'errors', 2)
    figures.deaths = 1
    assert figures.errors == 3


def test_memories_stored_are_those_of_this_run() -> None:
    figures = StackFigures()
    assert figures.memories_stored is None
    figures.memories_before, figures.memories_now = 160, 240
    assert (figures.summary()['memories_stored'], figures.summary()['memories_total']) == (80, 240)


def test_the_summary_has_the_keys_that_were_promised() -> None:
    summary = StackFigures().summary()
    assert summary.keys() == ISSUE_KEYS | EXTRA_KEYS
    for key in ('image_to_latent_ms', 'image_to_latent_next_ms', 'retrieval_ms'):
        assert summary[key].keys() == {'p50', 'p99'}


def test_what_was_not_measured_is_null_and_never_nan() -> None:
    figures = StackFigures()
    for full in (False, True):
        if full:
            _stream(figures, 3, 2)
            figures.retrieval.begin(1, 0)
            figures.retrieval.end(1, 2 * MS)
            figures.hits += [0, 3]
        text = json.dumps(figures.summary(), allow_nan=False)
        assert json.loads(text)['latent_next_hz'] is None
    assert json.loads(text)['retrieval_ms'] == {'p50': 2.0, 'p99': 2.0}
    assert json.loads(text)['retrieved_mean'] == 1.5


def test_the_status_line_can_always_be_read() -> None:
    figures = StackFigures()
    assert 'latent -, next -' in figures.status_line(SEC)
    _stream(figures, 2, 1)
    line = figures.status_line(2 * SEC)
    assert 'stored -' in line
    assert 'nan' not in line
    assert '\n' not in line
    assert math.isclose(figures.seconds_since_first_frame(2 * SEC), 1.0)
