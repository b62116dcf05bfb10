"""A recording that begins again and again, through nodes that live on its time."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from spatial_rag_core.memory.journal import Journal

import pytest

from .bag_samples import write_drive

pytestmark = [pytest.mark.ros, pytest.mark.stack]

START_NS = 1_500_000_000_000_000_000
SECONDS = 3.0
FRAMES = 60
NODES = ('encoder', 'memory_writer', 'retriever', 'transition_predictor')


class Replay(NamedTuple):
    """What was heard of three rounds and more, and what they left behind."""

    latents: list[int]
    diagnostics: list[Any]
    memory: Path
    output: str


@pytest.fixture(scope='module')
def replay(module_lab: Any, bundle_path: Path) -> Replay:
    from spatial_rag_msgs.msg import LatentStamped

    from diagnostic_msgs.msg import DiagnosticArray
    lab, probe = module_lab, module_lab.probe
    bag, memory = write_drive(lab.folder / 'drive', START_NS, SECONDS), lab.folder / 'memory.db'
    stack = lab.start_node('composed', use_sim_time=True, model_path=bundle_path,
                           memory_path=memory)
    lab.diagnostics.wait_ready(*NODES)
    latents = probe.listen(LatentStamped, '/spatial_rag/latent', 1000)
    diagnostics = probe.listen(DiagnosticArray, '/diagnostics', 1000)
    player = lab.start_node('bag_replay_node', path=bag, loop=True, clock_hz=100.0,
                            subscriptions_expected=6)

    def stamps() -> list[int]:
        return [stamp_ns(message.header.stamp) for message in latents]
    probe.until(lambda: rounds(stamps()) >= 4, 60.0,
                lambda: f'{rounds(stamps())} rounds; {stack.output}')
    for process in (player, stack):
        process.signal(2)
        assert process.wait() == 0
    return Replay(stamps(), diagnostics, memory, stack.output)


def stamp_ns(stamp: Any) -> int:
    return int(stamp.sec * 10**9 + stamp.nanosec)


def rounds(stamps: list[int]) -> int:
    """How often time was turned back, and 1."""
    return 1 + sum(after < before for before, after in pairwise(stamps))


def test_every_round_brings_latents_of_the_recordings_time(replay: Replay) -> None:
    end_ns = START_NS + round(SECONDS * 1e9)
    assert all(START_NS <= stamp < end_ns for stamp in replay.latents)
    of_whole_rounds = FRAMES * (rounds(replay.latents) - 2)
    assert len(replay.latents) >= 0.9 * of_whole_rounds


def test_the_nodes_tell_the_recordings_time(replay: Replay) -> None:
    told = [stamp_ns(message.header.stamp) for message in replay.diagnostics
            if message.status[0].name.removeprefix('spatial_rag: ') in NODES]
    during = [stamp for stamp in told if stamp]  # 0: before the first /clock
    assert len(during) > 8
    assert all(START_NS <= stamp <= START_NS + SECONDS * 1e9 for stamp in during)


def test_each_round_is_a_session_of_its_own_and_none_of_it_is_lost(replay: Replay) -> None:
    reader = Journal.open_reader(replay.memory)
    assert reader is not None
    with reader:
        memories = reader.get(reader.index_rows_after(0).seqs.tolist()).values()
    sessions: dict[str, list[float]] = {}
    for memory in memories:
        sessions.setdefault(memory.session, []).append(memory.position.x)
    assert len(sessions) >= 3
    for places in list(sessions.values())[1:-1]:  # the first may have missed its beginning
        assert len(places) >= 0.8 * FRAMES
        assert max(places) - min(places) > 0.8 * SECONDS


def test_a_jump_of_time_is_told_as_a_warning_and_nothing_worse(replay: Replay) -> None:
    assert 'time ran backwards' in replay.output
    for ugly in ('Traceback', 'internal error', '[ERROR]', '[FATAL]'):
        assert ugly not in replay.output, replay.output
