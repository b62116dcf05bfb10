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
RATE_HZ = 20.0
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
                           memory_path=memory, min_travel_m=0.0, min_turn_deg=0.0)
    lab.diagnostics.wait_ready(*NODES)
    latents = probe.listen(LatentStamped, '/spatial_rag/latent', 1000)
    diagnostics = probe.listen(DiagnosticArray, '/diagnostics', 1000)
    player = lab.start_node('bag_replay_node', path=bag, loop=True, clock_hz=100.0, rate=0.5,
                            subscriptions_expected=5)

    def stamps() -> list[int]:
        return [stamp_ns(message.header.stamp) for message in latents]
    probe.until(lambda: len(rounds(stamps())) >= 4, 90.0,
                lambda: f'{len(rounds(stamps()))} rounds; {stack.output}')
    for process in (player, stack):
        process.signal(2)
        assert process.wait() == 0
    return Replay(stamps(), diagnostics, memory, stack.output)


def stamp_ns(stamp: Any) -> int:
    return int(stamp.sec * 10**9 + stamp.nanosec)


def rounds(stamps: list[int]) -> list[list[int]]:
    """The stamps between which time was not turned back."""
    turned = [at for at, (before, after) in enumerate(pairwise(stamps), 1) if after < before]
    return [stamps[begin:end] for begin, end in pairwise([0, *turned, len(stamps)])]


def frame_of(sec: float) -> int:
    """Number of the frame that was taken so many seconds after the beginning."""
    return round(sec * RATE_HZ)


def test_every_round_brings_latents_of_the_recordings_time_and_none_twice(
        replay: Replay) -> None:
    end_ns = START_NS + round(SECONDS * 1e9)
    assert all(START_NS <= stamp < end_ns for stamp in replay.latents)
    assert all(len(set(stamps)) == len(stamps) for stamps in rounds(replay.latents))


def test_the_nodes_tell_the_recordings_time(replay: Replay) -> None:
    told = [stamp_ns(message.header.stamp) for message in replay.diagnostics
            if message.status[0].name.removeprefix('spatial_rag: ') in NODES]
    during = [stamp for stamp in told if stamp]  # 0: before the first /clock
    assert len(during) > 8
    assert all(START_NS <= stamp <= START_NS + SECONDS * 1e9 for stamp in during)


def test_each_round_is_a_session_of_its_own_and_no_latent_of_it_is_lost(replay: Replay) -> None:
    reader = Journal.open_reader(replay.memory)
    assert reader is not None
    with reader:
        memories = reader.get(reader.index_rows_after(0).seqs.tolist()).values()
    sessions: dict[str, list[int]] = {}
    for memory in memories:
        frame = frame_of(memory.timestamp - START_NS / 1e9)
        assert memory.position.x == pytest.approx(frame / RATE_HZ, abs=0.1)  # pose_tolerance_sec
        sessions.setdefault(memory.session, []).append(frame)
    heard = [[frame_of((stamp - START_NS) / 1e9) for stamp in stamps]
             for stamps in rounds(replay.latents)]
    assert len(sessions) >= 3
    # The first may have missed its beginning, the last was cut off.
    assert list(sessions.values())[1:-1] == heard[1:-1]


def test_a_jump_of_time_is_told_as_a_warning_and_nothing_worse(replay: Replay) -> None:
    assert 'time ran backwards' in replay.output
    for ugly in ('Traceback', 'internal error', '[ERROR]', '[FATAL]'):
        assert ugly not in replay.output, replay.output
