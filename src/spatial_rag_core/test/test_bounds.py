"""What comes from outside has a size that is refused, or a number that is kept: see SECURITY."""

from __future__ import annotations

from collections.abc import Callable

from spatial_rag_core.errors import ConfigurationError, LatentError
from spatial_rag_core.memory.writer import LatentSample
from spatial_rag_core.records import MemoryQuery, MemorySelection, Pose, Position
from spatial_rag_core.streams.action_track import ActionTrack
from spatial_rag_core.streams.pose_buffer import PoseBuffer

import numpy as np
import pytest

Z = np.zeros(4, np.float32)
LONG = 'x' * 256


def test_a_thumbnail_and_a_model_id_have_a_size() -> None:
    LatentSample(0, Z, 'a' * 64, b'j' * (1 << 20))
    with pytest.raises(LatentError, match=r'thumbnail has 1048577 bytes.*lower thumbnail_quality'):
        LatentSample(0, Z, 'a', b'j' * ((1 << 20) + 1))
    with pytest.raises(LatentError, match='model_id has 65 characters'):
        LatentSample(0, Z, 'a' * 65)


@pytest.mark.parametrize('name', ['session', 'robot', 'map_id', 'model_id'])
def test_a_query_s_names_have_a_length(name: str) -> None:
    MemoryQuery(vector=Z, **{name: LONG[:-1]})  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match=rf'{name} has 256 characters.*255; shorten it'):
        MemoryQuery(vector=Z, **{name: LONG})  # type: ignore[arg-type]


@pytest.mark.parametrize('name', ['session', 'robot', 'map_id'])
def test_a_selection_s_names_have_a_length(name: str) -> None:
    with pytest.raises(ConfigurationError, match=f'{name} has 256 characters'):
        MemorySelection(**{name: LONG})  # type: ignore[arg-type]


def test_ids_have_a_number_and_a_length() -> None:
    MemorySelection(ids=('id',) * 10_000)
    with pytest.raises(ConfigurationError, match=r'at most 10000 ids .* got 10001; select them'):
        MemorySelection(ids=('id',) * 10_001)
    with pytest.raises(ConfigurationError, match='id has 256 characters'):
        MemorySelection(ids=(LONG,))


@pytest.mark.parametrize('ask', [
    lambda labels: MemoryQuery(vector=Z, labels=labels),
    lambda labels: MemorySelection(labels=labels)], ids=['query', 'selection'])
def test_labels_have_a_number_and_a_length(ask: Callable[[tuple[str, ...]], object]) -> None:
    ask(('door',) * 64)
    with pytest.raises(ConfigurationError, match='at most 64 labels can be given, got 65'):
        ask(('door',) * 65)
    with pytest.raises(ConfigurationError, match='label has 256 characters'):
        ask((LONG,))


def test_a_refusal_does_not_repeat_what_was_too_much() -> None:
    with pytest.raises(ConfigurationError) as refusal:
        MemoryQuery(vector=Z, labels=('', *['y' * 1000] * 1000))
    assert len(str(refusal.value)) < 300


def test_a_flood_of_poses_fills_no_memory_and_the_newest_are_kept() -> None:
    poses = PoseBuffer()
    for stamp_ns in range(1, 50_001):
        poses.insert(stamp_ns, Pose(Position(float(stamp_ns), 0.0)))
    assert poses.oldest_ns is not None
    assert poses.newest_ns == 50_000
    assert 30_000 <= poses.oldest_ns <= 32_001
    assert poses.at(49_000).position.x == 49_000.0


def test_a_flood_of_actions_fills_no_memory() -> None:
    actions = ActionTrack()
    for stamp_ns in range(2000):
        actions.add(Z, stamp_ns)
    assert len(actions._dated) == 1000
