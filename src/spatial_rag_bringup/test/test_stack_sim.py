"""The whole stack on the simulated robot: two runs on one memory file, watched from outside."""

from collections.abc import Callable
from dataclasses import dataclass
import json
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.ros, pytest.mark.stack]

MIN_AGE_SEC = 5.0
MANAGED = ('encoder', 'memory_writer', 'retriever', 'transition_predictor')
LISTENED = {'/latent': 'Float32MultiArray', '/latent_next': 'Float32MultiArray',
            '/spatial_rag/latent': 'LatentStamped', '/spatial_rag/latent_next': 'LatentStamped',
            '/spatial_rag/retrieved': 'RetrievedMemories'}


@dataclass
class Run:
    """One run that has ended, and what was heard of it, by topic."""

    stack: Any
    exit_code: int
    heard: dict[str, list[Any]]
    topics: set[str]

    @property
    def summary(self) -> dict[str, Any]:
        return dict(self.stack.summary)


@pytest.fixture(scope='module')
def memory_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp('memory') / 'memory.db'


@pytest.fixture(scope='module')
def watch(module_lab: Any, start_module_stack: Callable[..., Any]) -> Callable[..., Run]:
    """Run the stack to its end and listen to it."""
    from spatial_rag_msgs.msg import LatentStamped, RetrievedMemories

    from std_msgs.msg import Float32MultiArray
    kinds = {kind.__name__: kind for kind in (LatentStamped, RetrievedMemories,
                                              Float32MultiArray)}
    probe = module_lab.probe
    ears = {topic: probe.listen(kinds[name], topic, 1000) for topic, name in LISTENED.items()}

    def run(*words: object) -> Run:
        for messages in ears.values():
            messages.clear()
        stack, topics = start_module_stack(*words), set()

        def is_over() -> bool:
            if len(ears['/spatial_rag/retrieved']) > 10 and not topics:
                topics.update(name for name, _ in probe.node.get_topic_names_and_types())
            return not stack.process.is_running()
        probe.until(is_over, 90.0, lambda: stack.output)
        return Run(stack, stack.end(), {name: list(got) for name, got in ears.items()}, topics)
    return run


@pytest.fixture(scope='module')
def first(watch: Callable[..., Run], memory_path: Path) -> Run:
    """Four processes, a new memory file."""
    return watch('--robot', 'sim', '--duration', 8, '--memory', memory_path)


@pytest.fixture(scope='module')
def second(first: Run, watch: Callable[..., Run], memory_path: Path) -> Run:
    """One process, the memory file of the first run."""
    assert first.exit_code == 0
    return watch('--robot', 'sim', '--duration', 6, '--memory', memory_path,
                 '--composition', 'true')


@pytest.fixture(params=['first', 'second'])
def run(request: pytest.FixtureRequest) -> Run:
    return request.getfixturevalue(request.param)


def stamp_ns(message: Any) -> int:
    return message.header.stamp.sec * 10**9 + message.header.stamp.nanosec


def test_the_stack_runs_at_20_hz_without_a_loss(run: Run) -> None:
    assert run.exit_code == 0, run.stack.output
    summary = run.summary
    camera_hz = (summary['frames_in'] - 1) / summary['duration_s']
    assert 18.0 < camera_hz < 20.2  # the robot itself stalls where the machine does
    assert summary['latent_hz'] == pytest.approx(camera_hz, abs=0.5)
    assert summary['latent_next_hz'] == pytest.approx(camera_hz, abs=0.5)
    # A stall of a loaded machine drops a frame or two; benchmarks/bench_stack.py holds it to 0.
    assert summary['frames_dropped'] <= 0.02 * summary['frames_in']
    assert summary['errors'] == 0
    accounted = summary['latents'] + summary['frames_over_rate'] + summary['frames_dropped']
    assert accounted == summary['frames_in']
    assert 0 <= summary['latents'] - summary['latents_next'] <= 2
    assert summary['memories_stored'] > 0.3 * summary['latents']
    remembered_or_not = summary['memories_stored'] + summary['memories_not_admitted']
    assert remembered_or_not == summary['latents']
    for key in ('image_to_latent_ms', 'image_to_latent_next_ms', 'retrieval_ms'):
        assert 0 < summary[key]['p50'] <= summary[key]['p99']


def test_duration_is_kept(first: Run, second: Run) -> None:
    assert 8.0 <= first.summary['duration_s'] + 0.1 < 10.0
    assert 6.0 <= second.summary['duration_s'] + 0.1 < 8.0


def test_a_status_line_a_second_is_shown(run: Run) -> None:
    lines = [line for line in run.stack.output.splitlines() if ' s | latent ' in line]
    assert len(lines) >= 5
    for word in ('next', 'retrieval', 'hits', 'stored', 'dropped', 'errors'):
        assert word in lines[-1]


def test_a_second_run_finds_the_first_runs_memories_from_its_first_second_on(
        first: Run, second: Run) -> None:
    before, stored = first.summary['memories_total'], second.summary['memories_stored']
    assert second.summary['memories_total'] == before + stored
    assert second.summary['retrieved_mean'] > 0
    begin_ns = stamp_ns(second.heard['/spatial_rag/latent'][0])
    early = [hit for message in second.heard['/spatial_rag/retrieved'][:20]
             for hit in message.memories]
    assert early
    assert all(stamp_ns(hit.memory) < begin_ns for hit in early)


def test_no_hit_is_younger_than_the_minimum_age(run: Run) -> None:
    gaps = [abs(stamp_ns(message) - stamp_ns(hit.memory)) / 1e9
            for message in run.heard['/spatial_rag/retrieved'] for hit in message.memories]
    assert gaps
    assert min(gaps) >= MIN_AGE_SEC - 1e-6


def test_without_older_memories_the_first_hits_come_after_the_minimum_age(first: Run) -> None:
    answers = first.heard['/spatial_rag/retrieved']
    begin_ns = stamp_ns(answers[0])
    ages = [(stamp_ns(answer) - begin_ns) / 1e9 for answer in answers if answer.memories]
    assert MIN_AGE_SEC <= ages[0] + 1e-6 < MIN_AGE_SEC + 1.0
    assert answers[-1].pose_valid
    assert len(answers[-1].memories) == 8


def test_hits_are_within_the_radius_and_nearest_first(run: Run) -> None:
    for answer in run.heard['/spatial_rag/retrieved']:
        assert answer.header.frame_id == 'map'
        distances = [hit.distance for hit in answer.memories]
        assert distances == sorted(distances)
        assert all(0 <= hit.separation_m <= 5.0 for hit in answer.memories)


@pytest.mark.parametrize('topic', ['/latent', '/latent_next'])
def test_the_layout_of_a_latent_is_the_contracts(run: Run, topic: str) -> None:
    messages = run.heard[topic]
    assert len(messages) > 50
    for message in messages:
        (dim,) = message.layout.dim
        assert (dim.label, dim.size, dim.stride) == ('z', 32, 32)
        assert message.layout.data_offset == 0
        assert len(message.data) == 32


def test_every_latent_is_looked_up_and_predicted_from(run: Run) -> None:
    stamps = [stamp_ns(message) for message in run.heard['/spatial_rag/latent']]
    assert stamps == sorted(set(stamps))
    assert [stamp_ns(m) for m in run.heard['/spatial_rag/retrieved']] == stamps
    predicted = [stamp_ns(message) for message in run.heard['/spatial_rag/latent_next']]
    assert predicted == stamps[len(stamps) - len(predicted):]  # the first may lack an action
    assert len(stamps) - len(predicted) <= 2


def test_the_plain_and_the_stamped_topic_carry_the_same_numbers(run: Run) -> None:
    for name in ('latent', 'latent_next'):
        plain = [list(message.data) for message in run.heard[f'/{name}']]
        stamped = [list(message.z) for message in run.heard[f'/spatial_rag/{name}']]
        assert plain == stamped


def test_all_latents_name_one_author(run: Run) -> None:
    authors = {message.model_id for topic in ('latent', 'latent_next')
               for message in run.heard[f'/spatial_rag/{topic}']}
    assert authors == {run.summary['model_id']}
    assert run.summary['model_id'] in run.stack.output
    assert run.summary['trained'] is False


def test_the_topics_are_the_contracts(run: Run) -> None:
    assert run.topics == {
        '/actions', '/camera/image_raw', '/camera/depth/image_raw', '/pose', '/proprio',
        '/latent', '/latent_next', '/spatial_rag/latent', '/spatial_rag/latent_next',
        '/spatial_rag/retrieved', '/spatial_rag/surprise', '/diagnostics', '/rosout',
        '/parameter_events',
        *(f'/{node}/transition_event' for node in MANAGED)}


def test_the_summary_can_be_read_by_a_strict_parser(run: Run) -> None:
    assert json.dumps(run.summary, allow_nan=False)
