"""What nobody should send to the nodes; benchmarks/fuzz_nodes.py sends more of it."""

from collections.abc import Callable
import json
from pathlib import Path
import random
import sys
from typing import Any

import pytest

pytestmark = [pytest.mark.ros, pytest.mark.stack]

BENCHMARKS = Path(__file__).parents[3] / 'benchmarks'
ALWAYS = {'/proprio', '/spatial_rag/latent', '/spatial_rag/latent_next',
          '/spatial_rag/retrieved', '/spatial_rag/query_memory', '/spatial_rag/forget_memories',
          '/spatial_rag/rollout', '/encoder/set_parameters', '/memory_writer/change_state'}
"""Some of what the graph must have told, and all topics of each set of sources."""
INPUTS = {'usual': {'/camera/image_raw', '/camera/depth/image_raw', '/pose', '/actions'},
          'other': {'/camera/image_raw/compressed', '/camera/depth/image_raw/compressed',
                    '/camera/depth/image_raw/compressedDepth', '/odom', '/cmd_vel', '/tf',
                    '/tf_static'}}
COUNT, LEAK_KB = 3000, 30.0
"""In a short run much is still taken for the first time; a long one is allowed 2."""


@pytest.mark.timeout(400)
@pytest.mark.parametrize('sources', INPUTS)
def test_malformed_messages_crash_no_node_and_are_refused_in_words(
        start_process: Callable[..., Any], sources: str) -> None:
    process = start_process(sys.executable, BENCHMARKS / 'fuzz_nodes.py', '--sources', sources,
                            '--count', COUNT, '--leak-kb', LEAK_KB)
    code = process.wait(380.0)
    told = json.loads(process.output.splitlines()[-1])
    assert all(told['holds'].values()), process.output
    assert code == 0
    assert told['sent'] >= COUNT
    assert told['least_sent_to_one'] >= 10
    for name in ALWAYS | INPUTS[sources]:
        assert f' {name} (' in process.output, name


@pytest.fixture
def malformed(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module that draws them."""
    pytest.importorskip('rclpy', reason='rclpy is absent: no ROS and no wheels of it')
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import malformed
    return malformed


def test_a_seed_repeats_the_same_malformed_messages_and_spares_the_sample(malformed: Any) -> None:
    from spatial_rag_msgs.msg import LatentStamped
    sample = LatentStamped(model_id='model', z=[1.0] * 32)

    def some(seed: int) -> list[str]:
        malformer = malformed.Malformer(random.Random(seed))
        return [repr(malformer.message_of(sample)) for _ in range(200)]
    assert some(1) == some(1) != some(2)
    assert len(set(some(1))) > 100
    assert sample == LatentStamped(model_id='model', z=[1.0] * 32)


def test_all_fields_are_spoilt_sooner_or_later(malformed: Any) -> None:
    from spatial_rag_msgs.msg import RetrievedMemories, RetrievedMemory
    good = RetrievedMemories(memories=[RetrievedMemory()])
    malformer = malformed.Malformer(random.Random(0))
    drawn = [malformer.message_of(good) for _ in range(300)]
    for name in good.get_fields_and_field_types():
        assert any(getattr(message, name) != getattr(good, name) for message in drawn), name
    hits = [hit for message in drawn for hit in message.memories]
    assert any(len(hit.memory.vector) for hit in hits)
    assert any(hit.memory.pose.position.x != hit.memory.pose.position.x for hit in hits)  # NaN
