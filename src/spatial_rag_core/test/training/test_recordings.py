"""Recordings as the data of a training: which are of one place, and what is left out."""

from __future__ import annotations

from pathlib import Path

from spatial_rag_core.errors import TrainingError
from spatial_rag_core.evaluation.time_split import TimeSplit
from spatial_rag_core.models.encoder import EncoderConfig, TinyEncoder
from spatial_rag_core.training.encoding import encode_episodes
from spatial_rag_core.training.frames import FrameSet
from spatial_rag_core.training.map_memory import FenceConfig, MapMemory
from spatial_rag_core.training.recordings import data_from_bags
from spatial_rag_core.training.training_config import TrainingConfig
from spatial_rag_core.training.training_data import TrainingData

import numpy as np
import pytest

from ..data.drives import Drive, T0_NS

CONFIG = TrainingConfig(encoder=EncoderConfig(image_size=32))
DAY_NS = 86_400_000_000_000


@pytest.fixture
def days(tmp_path: Path) -> list[Path]:
    return [Drive(start_ns=T0_NS + day * DAY_NS).write(tmp_path / name)
            for day, name in enumerate(('monday', 'tuesday'))]


def maps_of(data: TrainingData) -> list[set[str]]:
    return [{one.map_id for one in part} for part in (data.train, data.valid, data.remembered)]


def test_two_days_under_one_map_id_are_one_place(days: list[Path]) -> None:
    data = data_from_bags(days, CONFIG, None, map_id='home')
    assert maps_of(data) == [{'home'}] * 3
    assert set(FrameSet.from_episodes(data.shown).map_index) == {0}
    assert sum(map(len, data.valid)) / sum(map(len, data.shown)) == pytest.approx(0.25, abs=0.02)


def test_of_one_place_the_second_day_remembers_the_first(days: list[Path]) -> None:
    data = data_from_bags(days, CONFIG, None, map_id='home')
    encoder = TinyEncoder(CONFIG.encoder).eval()
    (track,) = encode_episodes(encoder, data.valid, CONFIG.step_sec, data.remembered)
    assert len(track) == sum(map(len, data.shown))
    assert int(track.is_asked.sum()) == sum(map(len, data.valid))
    second_day = int(np.flatnonzero(track.is_asked)[-1])
    known = MapMemory(track).known_at(second_day, FenceConfig(reach_m=20.0))
    assert (track.stamps[known] < track.stamps[second_day] - 80_000).any()


def test_without_a_map_id_each_recording_is_a_place_of_its_own(days: list[Path]) -> None:
    data = data_from_bags(days, CONFIG, None)
    assert maps_of(data) == [{'monday', 'tuesday'}] * 3


def test_recordings_of_one_place_at_one_time_are_refused_by_name(tmp_path: Path) -> None:
    bags = [Drive(start_ns=T0_NS + at * 1_000_000_000).write(tmp_path / name)
            for name, at in (('first', 0), ('second', 1))]
    assert len(data_from_bags(bags, CONFIG, None).train) == 2
    with pytest.raises(TrainingError, match='map home: first and second overlap in time; '
                                            r'.* leave one out'):
        data_from_bags(bags, CONFIG, None, map_id='home')


def test_each_recording_is_divided_from_its_own_start(tmp_path: Path) -> None:
    bags = [Drive(start_ns=T0_NS + at * 1_000_000_000).write(tmp_path / name)
            for name, at in (('here', 0), ('there', 1))]  # simulated time, two places
    split = TimeSplit(stretch_sec=1.0, guard_sec=0.1, period_sec=2.0)
    data = data_from_bags(bags, CONFIG, split)
    for name, start_sec in (('here', 0.0), ('there', 1.0)):
        shown = np.concatenate([one.stamps for one in data.shown if one.map_id == name])
        into = shown - T0_NS / 1e9 - start_sec
        assert len(shown)
        assert not split.asked(np.concatenate([[0.0], into]))[1:].any()
