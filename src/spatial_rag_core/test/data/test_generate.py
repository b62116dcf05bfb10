from __future__ import annotations

from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path

from spatial_rag_core.data import generate as generate_module
from spatial_rag_core.data.episodes.episode_check import check
from spatial_rag_core.data.episodes.episode_file import EpisodeReader
from spatial_rag_core.data.generate import generate, simulate
from spatial_rag_core.data.generate_plan import GenerateConfig, plan
from spatial_rag_core.data.rooms.rooms2d import Rooms2D
from spatial_rag_core.errors import ConfigurationError, EpisodeError

import numpy as np
import pytest

SMALL = GenerateConfig(maps=2, valid_maps=1, test_maps=1, episodes_per_map=2, steps=12,
                       image_size_px=8)


@pytest.fixture(scope='module')
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp('generate') / 'rooms.h5'
    assert generate(path, SMALL) == 8
    return path


def test_the_file_is_the_same_for_any_number_of_workers(made: Path, tmp_path: Path) -> None:
    other = tmp_path / 'other.h5'
    generate(other, SMALL, workers=3)
    assert other.read_bytes() == made.read_bytes()


def test_every_episode_is_whole_and_no_map_is_in_two_splits(made: Path) -> None:
    assert check(made).is_clean
    with EpisodeReader(made) as reader:
        maps = {split: {facts.map_id for facts in reader.all_facts(split)}
                for split in ('train', 'valid', 'test')}
        assert {split: len(names) for split, names in maps.items()} == {
            'train': 2, 'valid': 1, 'test': 1}
        assert len(set.union(*maps.values())) == 4


def test_the_episodes_of_a_map_follow_one_another_and_start_elsewhere(made: Path) -> None:
    with EpisodeReader(made) as reader:
        first, second = list(reader.read_all('test'))
    assert (first.map_id, first.map_seed) == (second.map_id, second.map_seed)
    assert first.stamps[-1] < second.stamps[0]
    assert first.session != second.session
    assert not np.array_equal(first.poses[0], second.poses[0])


def test_an_action_leads_from_its_moment_to_the_next(made: Path) -> None:
    with EpisodeReader(made) as reader:
        one = reader.read('demo_1')
    assert one.map_seed is not None
    assert one.depth_m is not None
    world = Rooms2D(SMALL.world(one.map_seed))
    seen = world.reset(1)
    for moment in range(len(one)):
        assert np.array_equal(seen.rgb, one.rgb[moment])
        assert np.allclose(seen.depth_m, one.depth_m[moment], atol=0.0006)
        assert np.allclose((*seen.pose.position, *seen.pose.orientation), one.poses[moment])
        seen = world.step(one.actions[moment])


def test_what_was_interrupted_goes_on_where_it_was(made: Path, tmp_path: Path) -> None:
    class StoppedError(Exception):
        pass

    def stop(done: int, total: int) -> None:
        if done == 3:
            raise StoppedError

    path = tmp_path / 'rooms.h5'
    with pytest.raises(StoppedError):
        generate(path, SMALL, 2, stop)
    told: list[tuple[int, int]] = []
    assert generate(path, SMALL, 1, lambda *figures: told.append(figures)) == 5
    assert told == [(n, 8) for n in range(3, 9)]
    assert generate(path, SMALL) == 0
    with EpisodeReader(path) as one, EpisodeReader(made) as other:
        assert one.names() == other.names()
        for a, b in zip(one.read_all(), other.read_all(), strict=True):
            assert np.array_equal(a.rgb, b.rgb)


def test_other_arguments_do_not_continue_a_file(made: Path) -> None:
    for changed in (replace(SMALL, maps=3), replace(SMALL, seed=1), replace(SMALL, steps=13)):
        with pytest.raises(EpisodeError, match=r'was made otherwise: (maps|seed|steps) '):
            generate(made, changed)


def test_more_training_maps_leave_tests_and_first_maps_as_they_are() -> None:
    def drives(config: GenerateConfig) -> list[tuple[str, int, int, str]]:
        return [(one.split, one.map_seed, one.turn, one.policy) for one in plan(config)]
    few, many = drives(SMALL), drives(replace(SMALL, maps=20))
    assert many[:len(few)] == few


def test_another_seed_shares_no_map() -> None:
    one, other = ({planned.map_seed for planned in plan(config)}
                  for config in (SMALL, replace(SMALL, seed=1)))
    assert not one & other


def test_mixed_takes_the_policies_in_turn_and_one_policy_is_kept() -> None:
    assert len({one.policy for one in plan(replace(SMALL, maps=4, episodes_per_map=1))}) == 4
    assert {one.policy for one in plan(replace(SMALL, policy='patrol'))} == {'patrol'}


def test_depth_may_be_left_out() -> None:
    config = replace(SMALL, with_depth=False)
    assert simulate(config, next(plan(config))).depth_m is None


def test_a_worker_that_dies_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Pool:
        def __init__(self, *_: object) -> None:
            pass

        def submit(self, *_: object) -> Pool:
            return self

        def result(self) -> bytes:
            raise BrokenProcessPool

        def shutdown(self, cancel_futures: bool) -> None:
            pass

    monkeypatch.setattr(generate_module, 'ProcessPoolExecutor', Pool)
    with pytest.raises(EpisodeError, match=r'a worker process died.*run the command again'):
        generate(tmp_path / 'rooms.h5', SMALL, 2)


@pytest.mark.parametrize(('changes', 'message'), [
    ({'maps': -1}, 'maps for train must lie between 0 and 800000, got -1'),
    ({'test_maps': 100_001}, 'maps for test must lie'),
    ({'maps': 0, 'valid_maps': 0, 'test_maps': 0}, 'no maps are asked for'),
    ({'steps': 0}, 'steps must lie between 1'), ({'episodes_per_map': 0}, 'episodes_per_map must'),
    ({'policy': 'teleport'}, "policy must be one of loops, .*mixed, got 'teleport'"),
    ({'seed': -1}, 'seed must lie between'), ({'rate_hz': 0.0}, 'rate_hz must lie between'),
    ({'image_size_px': 4}, 'image_size_px must lie between')])
def test_a_value_out_of_range_is_named(changes: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        replace(SMALL, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize('workers', [0, 257])
def test_a_number_of_workers_that_is_none_is_named(workers: int, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=f'between 1 and 256, got {workers}'):
        generate(tmp_path / 'rooms.h5', SMALL, workers)
    assert list(tmp_path.iterdir()) == []
