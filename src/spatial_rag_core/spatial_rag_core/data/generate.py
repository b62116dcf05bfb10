"""Episodes of Rooms2D: many maps, several ways to explore, in parallel, to be continued."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
import multiprocessing
from pathlib import Path

from spatial_rag_core.data.episodes.episode import Episode
from spatial_rag_core.data.episodes.episode_writer import EpisodeWriter, packed
from spatial_rag_core.data.exploring.policies import make_policy
from spatial_rag_core.data.generate_plan import (
    env_args_of,
    GenerateConfig,
    plan,
    PlannedEpisode,
    recipe_of,
)
from spatial_rag_core.data.rooms.rooms2d import Observation, Rooms2D
from spatial_rag_core.data.worker_process import behave
from spatial_rag_core.errors import ConfigurationError, EpisodeError

import numpy as np

_FIRST_STAMP_SEC = 1767225600.0  # 2026-01-01 00:00 UTC
_PAUSE_SEC = 60.0  # between the episodes of a data set
_POLICY_SEED = 7919  # so that a policy does not draw what its map drew
_AHEAD_OF_THE_WRITER = 2  # episodes a worker

OnProgress = Callable[[int, int], None]


def generate(path: Path, config: GenerateConfig, workers: int = 1,
             on_progress: OnProgress | None = None) -> int:
    """
    Write a data set, or what is missing of it, and return how many episodes were added.

    The episodes are the same for any number of workers, and come in the same order. Raises
    EpisodeError where the file holds something else, or cannot be written.
    """
    if not 1 <= workers <= 256:
        raise ConfigurationError(f'workers must lie between 1 and 256, got {workers}')
    with EpisodeWriter(path, recipe_of(config), env_args_of(config)) as writer:
        before = writer.count
        missing = list(islice(plan(config), before, None))
        for planned, content in _made(config, missing, min(workers, max(len(missing), 1))):
            if on_progress is not None:
                on_progress(writer.count, config.episode_count)
            writer.append_packed(content, planned.map_id, planned.split)
        if on_progress is not None:
            on_progress(writer.count, config.episode_count)
        return writer.count - before


def simulate(config: GenerateConfig, planned: PlannedEpisode) -> Episode:
    """Simulate one episode."""
    start_sec = _FIRST_STAMP_SEC + planned.index * (config.steps / config.rate_hz + _PAUSE_SEC)
    return drive(Rooms2D(config.world(planned.map_seed)), planned.policy, planned.turn,
                 config.steps, start_sec, planned.map_id, with_depth=config.with_depth)


def drive(world: Rooms2D, policy_name: str, turn: int, steps: int, start_sec: float,
          map_id: str, *, with_depth: bool) -> Episode:
    """
    Drive through a world, `steps` moments from start_sec on [Unix s].

    turn: draws where it begins and what the policy draws.
    """
    rate_hz = world.config.rate_hz
    policy = make_policy(policy_name, world.room_map, _POLICY_SEED + turn, step_sec=1.0 / rate_hz)
    seen, actions = [world.reset(turn)], []
    while len(seen) < steps:
        actions.append(policy.act(seen[-1].pose))
        seen.append(world.step(actions[-1]))
    actions.append(policy.act(seen[-1].pose))
    return Episode(
        '', np.stack([one.rgb for one in seen]), np.stack(actions),
        np.array([_pose_row(one) for one in seen]),
        start_sec + np.array([one.time_sec for one in seen]), rate_hz, map_id,
        world.config.seed, np.stack([one.depth_m for one in seen]) if with_depth else None,
        np.stack([one.proprio for one in seen]), f'{map_id}-{turn}', 'rooms2d', policy_name)


def _pose_row(seen: Observation) -> tuple[float, ...]:
    return (*seen.pose.position, *seen.pose.orientation)


def _made(config: GenerateConfig, missing: Iterable[PlannedEpisode],
          workers: int) -> Iterator[tuple[PlannedEpisode, bytes]]:
    """Make episodes in their order, some ahead of who takes them, but never all."""
    if workers == 1:
        yield from ((planned, _packed_episode(config, planned)) for planned in missing)
        return
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context('spawn'), behave)
    waiting: deque[tuple[PlannedEpisode, Future[bytes]]] = deque()
    try:
        for planned in missing:
            waiting.append((planned, pool.submit(_packed_episode, config, planned)))
            if len(waiting) >= workers * _AHEAD_OF_THE_WRITER:
                yield _next(waiting)
        while waiting:
            yield _next(waiting)
    finally:
        pool.shutdown(cancel_futures=True)


def _next(waiting: deque[tuple[PlannedEpisode, Future[bytes]]]) -> tuple[PlannedEpisode, bytes]:
    planned, future = waiting.popleft()
    try:
        return planned, future.result()
    except BrokenProcessPool as error:
        raise EpisodeError('a worker process died, of too little memory maybe; run the command '
                           'again with fewer workers, it goes on where it was') from error


def _packed_episode(config: GenerateConfig, planned: PlannedEpisode) -> bytes:
    return packed(simulate(config, planned))
