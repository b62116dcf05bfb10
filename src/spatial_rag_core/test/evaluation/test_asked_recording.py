from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from spatial_rag_core.evaluation.asked_recording import AskedRecording, learned_facts

import numpy as np
import pytest

MONDAY, TUESDAY = (np.arange(day, day + 60.0) for day in (1_700_000_000.0, 1_700_086_400.0))


@pytest.fixture
def tour(tmp_path: Path) -> Path:
    """A rosbag2 folder of two files."""
    folder = tmp_path / 'tour'
    folder.mkdir()
    for name in ('metadata.yaml', 'tour_0.mcap', 'tour_1.mcap'):
        (folder / name).touch()
    return folder


def met(learned: dict[str, Any], path: Path, stamps: Any) -> list[float]:
    """What the asked recording meets in a card, which went through JSON."""
    return AskedRecording.of(path, stamps).starts_in(json.loads(json.dumps(learned)))


def test_a_file_of_a_recording_is_part_of_it_whichever_of_both_was_learned_from(
        tour: Path) -> None:
    whole = learned_facts([tour], [MONDAY])
    assert met(whole, tour / 'tour_0.mcap', MONDAY[:30]) == [MONDAY[0]]
    assert met(whole, tour / 'tour_1.mcap', MONDAY[30:]) == [MONDAY[0]]
    part = learned_facts([tour / 'tour_1.mcap'], [MONDAY[30:]])
    assert met(part, tour, MONDAY) == [MONDAY[30]]
    assert met(part, tour / 'tour_0.mcap', MONDAY[:30]) == []


def test_the_folder_one_stands_in_goes_by_its_name(
        tour: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tour)
    here = learned_facts([Path('.')], [MONDAY])
    assert here['recordings'] == ['tour']
    assert met(here, tour, MONDAY) == met(here, Path('.'), MONDAY) == [MONDAY[0]]


def test_another_days_recording_of_the_same_name_is_another(tmp_path: Path) -> None:
    monday = learned_facts([tmp_path / 'monday/run.mcap'], [MONDAY])
    assert met(monday, tmp_path / 'tuesday/run.mcap', TUESDAY) == []
    assert met(monday, tmp_path / 'copy/run.mcap', MONDAY) == [MONDAY[0]]
    both = learned_facts([tmp_path / 'monday/run.mcap', tmp_path / 'tuesday/run.mcap'],
                         [MONDAY, TUESDAY])
    assert met(both, tmp_path / 'run.mcap', TUESDAY) == [TUESDAY[0]]


def test_where_either_side_knows_no_stamps_the_name_alone_decides(tour: Path) -> None:
    for name in ('run', 'run.mcap'):  # older cards keep the ending
        (start,) = met({'recordings': [name]}, tour.parent / 'run.mcap', TUESDAY)
        assert math.isnan(start)
    assert met(learned_facts([tour], [MONDAY]), tour, None) == [MONDAY[0]]
    assert met({'recordings': ['other']}, tour, None) == []


def test_a_file_of_episodes_goes_by_its_file_name(tmp_path: Path) -> None:
    assert len(met({'file': 'all.h5'}, tmp_path / 'all.h5', MONDAY)) == 1
    assert met({'file': 'all.h5'}, tmp_path / 'all.mcap', MONDAY) == []
