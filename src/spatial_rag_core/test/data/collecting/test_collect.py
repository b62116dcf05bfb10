"""`spatial-rag data collect`: many recordings into one file, whatever befalls one of them."""

from __future__ import annotations

from dataclasses import replace
import json
from multiprocessing.context import SpawnProcess
from pathlib import Path
import time
from typing import Any

from spatial_rag_core.cli import main
from spatial_rag_core.data.collecting.collect import BagReport, collect
from spatial_rag_core.data.collecting.collect_config import CollectConfig
from spatial_rag_core.data.collecting.collect_worker import Ending, read_all, Task
from spatial_rag_core.data.episodes.episode import Episode
from spatial_rag_core.data.episodes.episode_file import EpisodeReader
from spatial_rag_core.data.episodes.episode_writer import EpisodeWriter
from spatial_rag_core.errors import ConfigurationError, EpisodeError

import pytest

from ..drives import damaged, Drive, T0_NS

CONFIG = CollectConfig(image_size=8)
DAY_NS = 86_400_000_000_000


def drive(folder: Path, name: str, day: int = 0, plugin: str = 'mcap') -> Path:
    return Drive(start_ns=T0_NS + day * DAY_NS).write(folder / name, plugin)


def episodes_in(path: Path) -> list[Episode]:
    with EpisodeReader(path) as reader:
        return list(reader.read_all())


def statuses(reports: list[BagReport]) -> list[str]:
    return [report.status for report in reports]


@pytest.mark.parametrize('workers', [1, 3])
def test_recordings_of_all_kinds_are_collected_and_passed_over_the_next_time(
        workers: int, tmp_path: Path) -> None:
    out = tmp_path / 'out.h5'
    bags = [drive(tmp_path, 'a'), drive(tmp_path, 'b', 1, 'sqlite3'),
            drive(tmp_path, 'c', 2, 'ros1')]
    reports = collect(out, bags, CONFIG, workers=workers)
    assert [(one.status, one.episodes, one.frames) for one in reports] == [
        ('collected', 1, 60)] * 3
    assert sorted(one.source for one in episodes_in(out)) == ['a', 'b', 'c']
    again = collect(out, [*bags, drive(tmp_path, 'd', 3)], CONFIG, workers=workers)
    assert statuses(again) == ['passed over'] * 3 + ['collected']
    assert len(episodes_in(out)) == 4


def test_maps_are_split_and_keep_their_split(tmp_path: Path) -> None:
    out = tmp_path / 'out.h5'
    collect(out, [drive(tmp_path, name, day) for day, name in enumerate('abc')], CONFIG)
    with EpisodeReader(out) as reader:
        first = {one.map_id: one.splits for one in reader.all_facts()}
    assert sorted(splits for (splits,) in first.values()) == ['test', 'train', 'valid']
    collect(out, [drive(tmp_path, name, day) for day, name in enumerate('defgh', 3)], CONFIG)
    with EpisodeReader(out) as reader:
        assert {one.map_id: one.splits for one in reader.all_facts()}.items() >= first.items()
    asked = 'train' if first['a'] != ('train',) else 'test'
    with pytest.raises(EpisodeError, match=f'map a is in .* already, {asked} is asked for'):
        collect(out, [tmp_path / 'a'], CONFIG, split=asked)


@pytest.mark.parametrize('workers', [1, 2])
def test_one_damaged_recording_does_not_stop_the_others(workers: int, tmp_path: Path) -> None:
    out = tmp_path / 'out.h5'
    (tmp_path / 'notes.txt').write_text('no recording')
    cut = damaged(drive(tmp_path, 'cut', 0, 'sqlite3'), 150)
    bags = [tmp_path / 'notes.txt', cut, drive(tmp_path, 'good', 1)]
    reports = collect(out, bags, CONFIG, split='train', workers=workers)
    assert statuses(reports) == ['failed', 'failed', 'collected']
    assert 'no recording' in reports[0].reason
    assert 'reading stopped after 150 messages' in reports[1].reason
    assert (reports[1].episodes, reports[2].episodes) == (1, 1)  # what lay before it is kept
    again = collect(out, bags, CONFIG, split='train', workers=workers)
    assert statuses(again) == ['failed', 'failed', 'passed over']
    assert len(episodes_in(out)) == 2


def test_what_a_killed_collection_left_is_completed_and_nothing_is_twice(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = CollectConfig(image_size=8, max_episode_sec=1.0)
    out, bag = tmp_path / 'out.h5', drive(tmp_path, 'a')
    append = EpisodeWriter.append_packed

    def append_once(writer: EpisodeWriter, content: bytes, map_id: str, split: Any) -> str:
        if writer.count == 1:
            raise KeyboardInterrupt
        return append(writer, content, map_id, split)
    monkeypatch.setattr(EpisodeWriter, 'append_packed', append_once)
    with pytest.raises(KeyboardInterrupt):
        collect(out, [bag], config)
    monkeypatch.undo()
    assert len(episodes_in(out)) == 1
    (report,) = collect(out, [bag], config)
    assert (report.status, report.episodes) == ('collected', 2)
    stamps = [episode.stamps[0] for episode in episodes_in(out)]
    assert stamps == sorted(set(stamps))
    assert len(stamps) == 3


def test_without_the_list_of_what_was_done_nothing_is_twice_either(tmp_path: Path) -> None:
    out, bag = tmp_path / 'out.h5', drive(tmp_path, 'a')
    collect(out, [bag], CONFIG)
    (tmp_path / 'out.h5.collected').unlink()
    (report,) = collect(out, [bag], CONFIG)
    assert (report.status, report.episodes) == ('collected', 0)
    assert len(episodes_in(out)) == 1
    assert statuses(collect(out, [bag], CONFIG)) == ['passed over']


def test_a_recording_named_twice_counts_once(tmp_path: Path) -> None:
    bag = drive(tmp_path, 'a')
    (file,) = bag.glob('*.mcap')
    named = [bag, tmp_path / '.' / 'a', file]
    assert file.stem == 'a'
    assert statuses(collect(tmp_path / 'out.h5', named, CONFIG)) == ['collected', 'passed over']


def test_a_file_made_otherwise_is_refused(tmp_path: Path) -> None:
    out, bag = tmp_path / 'out.h5', drive(tmp_path, 'a')
    collect(out, [bag], CONFIG)
    with pytest.raises(EpisodeError, match=r'rate_hz 20\.0 there, 10\.0 asked for'):
        collect(out, [bag], CollectConfig(image_size=8, rate_hz=10.0))
    with pytest.raises(ConfigurationError, match='workers must lie between 1 and 256, got 0'):
        collect(out, [bag], CONFIG, workers=0)


@pytest.mark.parametrize('source', ['auto', 'motion'])
def test_a_file_in_which_motion_was_the_motion_to_come_is_not_continued(
        source: Any, tmp_path: Path) -> None:
    out, bag = tmp_path / 'out.h5', drive(tmp_path, 'a')
    config = replace(CONFIG, action_source=source)
    collect(out, [bag], config)
    with EpisodeReader(out) as reader:
        recipe = dict(reader.recipe)
    assert recipe.pop('derived_actions') == 'past motion'
    EpisodeWriter(tmp_path / 'old.h5', recipe).close()
    with pytest.raises(EpisodeError, match='derived_actions not told there, past motion asked '
                                           r'for; .*make all of it anew in another file'):
        collect(tmp_path / 'old.h5', [bag], config)


def test_recorded_commands_mean_what_they_meant(tmp_path: Path) -> None:
    bag = Drive(actions=True).write(tmp_path / 'a')
    collect(tmp_path / 'out.h5', [bag], replace(CONFIG, action_source='topic'))
    with EpisodeReader(tmp_path / 'out.h5') as reader:
        assert 'derived_actions' not in reader.recipe


def test_a_process_that_dies_is_a_failure_of_its_recording_only(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start = SpawnProcess.start

    started: list[Any] = []

    def start_and_kill_the_first(process: Any) -> None:
        start(process)
        started.append(process)
        started[0].kill()
    monkeypatch.setattr(SpawnProcess, 'start', start_and_kill_the_first)
    tasks = [Task(drive(tmp_path, name, day), ()) for day, name in enumerate('ab')]
    ends = {task.path.name: news for task, news in read_all(tasks, CONFIG, 2, lambda *_: None)
            if isinstance(news, Ending)}
    assert 'ended with code -9' in ends['a'].failure
    assert (ends['b'].failure, ends['b'].seen) == ('', 1)


def test_the_command_tells_what_it_did_and_fails_for_damage(
        tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / 'out.h5')
    options = ['--image-size', '8', '--workers', '1', '--map-id', 'hall', '--split', 'valid']
    words = ['data', 'collect', out, str(drive(tmp_path, 'a'))]
    assert main([*words, *options, '--json']) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told['episodes'], told['frames'], told['recordings'][0]['split']) == (1, 60, 'valid')
    assert told['recorded_sec'] == pytest.approx(2.98, abs=0.05)
    assert told['times_real_time'] == pytest.approx(told['recorded_sec'] / told['wall_sec'])
    assert main([*words, str(tmp_path / 'nowhere'), *options]) == 1
    text = capsys.readouterr().out
    assert 'passed over' in text
    assert 'nowhere does not exist' in text


@pytest.mark.parametrize('words', [['--remap', 'camera'], ['--axes', 'up'], []])
def test_wrong_words_are_refused(words: list[str], tmp_path: Path) -> None:
    bags = ['bag'] if words else []
    with pytest.raises(SystemExit) as caught:
        main(['data', 'collect', str(tmp_path / 'out.h5'), *bags, *words])
    assert caught.value.code == 2


def test_the_real_recording_is_collected_faster_than_it_was_recorded(
        recording: Path, tmp_path: Path) -> None:
    begun = time.monotonic()
    (report,) = collect(tmp_path / 'out.h5', [recording],
                        CollectConfig(pose_axes='optical'))
    assert time.monotonic() - begun < report.duration_sec
    assert (report.status, report.frames, report.findings) == ('collected', 333, {})
