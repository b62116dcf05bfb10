"""Does memory make predictions better, and with how few examples? Trained and measured."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import as_completed, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
import contextlib
from dataclasses import dataclass
import multiprocessing
import os
from pathlib import Path

from spatial_rag_core.data.worker_process import behave
from spatial_rag_core.errors import TrainingError
from spatial_rag_core.evaluation.gain_adaptation import HORIZON, measure_adaptation
from spatial_rag_core.evaluation.gain_baselines import best_memory, nearest_memory
from spatial_rag_core.evaluation.gain_config import (
    COMPARED,
    CONTROLS_OF,
    GainConfig,
    LONGER,
    UNTRAINED,
)
from spatial_rag_core.evaluation.gain_models import GainTrial
from spatial_rag_core.evaluation.gain_pictures import draw_examples
from spatial_rag_core.evaluation.open_loop import BankOf, compare, open_loop, OpenLoop
from spatial_rag_core.evaluation.other_memories import (
    no_memory,
    other_maps_memory,
    random_memory,
    shuffled_memory,
)
from spatial_rag_core.evaluation.results import calibration_pairs, CellResult
from spatial_rag_core.training.train_dynamics import TrainedDynamics
from spatial_rag_core.training.windows import WindowSet

import numpy as np
import torch


@dataclass(frozen=True)
class Job:
    """One seed at one size."""

    config: GainConfig
    folder: Path
    maps: int
    seed: int


def run_experiment(folder: Path, config: GainConfig, workers: int,
                   tell: Callable[[str], None]) -> None:
    """
    Train and measure what is not there yet; small sizes first.

    folder: holds episodes.h5 already, and gets results as evaluation/results.py lays them out.
    An interrupted experiment goes on where it was when it is called again.
    """
    jobs = [Job(config, folder, maps, seed) for maps in config.sizes for seed in config.seeds]
    with _workers(workers) as pool:
        waiting = {pool.submit(run_job, job): job for job in jobs}
        for count, future in enumerate(as_completed(waiting), start=1):
            future.result()
            job = waiting[future]
            tell(f'{count} of {len(jobs)}: {job.maps} maps, seed {job.seed}')


@contextlib.contextmanager
def _workers(count: int) -> Iterator[ProcessPoolExecutor]:
    """Processes that end with the block at once: what they leave is whole or not there."""
    pool = ProcessPoolExecutor(count, multiprocessing.get_context('spawn'), behave)
    before = multiprocessing.active_children()
    try:
        yield pool
    except BrokenProcessPool as error:
        raise TrainingError('a worker process died, of too little memory maybe; run the command '
                            'again with fewer --workers, it goes on where it was') from error
    finally:
        for process in multiprocessing.active_children():
            if process not in before:
                process.kill()  # a training would hear SIGTERM and go on
        pool.shutdown(cancel_futures=True)


def run_job(job: Job) -> None:
    """Train and measure all variants of one seed at one size that are not there yet."""
    torch.set_num_threads(1)
    trial = GainTrial(job.config, job.folder, job.maps, job.seed)
    _measure_variants(job, trial, COMPARED)
    if job.maps == job.config.sizes[-1]:
        if not (job.folder / 'adaptation' / f'{job.seed}.json').exists():
            measure_adaptation(trial).save(job.folder)
        if job.seed == job.config.seeds[0]:
            draw_examples(trial, job.folder)
    _measure_variants(job, trial, job.config.ablated)


def _measure_variants(job: Job, trial: GainTrial, variants: Iterable[str]) -> None:
    for variant in variants:
        if job.maps in job.config.sizes_of[variant] and not _is_done(job, variant):
            for cell in _cells(job, trial, variant):
                cell.save(job.folder)


def _is_done(job: Job, variant: str) -> bool:
    """Whether its cell is there, and those of what is measured with it."""
    needed = [variant, *CONTROLS_OF.get(variant, ()), *(UNTRAINED if variant == 'memory' else ())]
    return all(CellResult.path(job.folder, name, job.maps, job.seed).exists()
               for name in needed if job.maps in job.config.sizes_of[name])


def _cells(job: Job, trial: GainTrial, variant: str) -> Iterator[CellResult]:
    """Measure a variant, and what rests on it."""
    trained = trial.trained(variant)
    windows = trial.test_windows(job.config.dynamics(variant).history)
    yield from _controls(job, trial, variant, trained, windows)
    found = open_loop(trained.network, windows, job.config.horizons)
    column = job.config.horizons.index(HORIZON) if HORIZON in job.config.horizons else -1
    yield _cell(job, trial, variant, found, windows, seconds=trained.figures.seconds,
                training_steps=trained.figures.steps,
                saturated=_is_saturated(job, trial) if variant == 'none' else None,
                parameters=sum(part.numel() for part in trained.network.parameters()),
                sigma=_calibration(trial, variant, found, column))


def _calibration(trial: GainTrial, variant: str, found: OpenLoop,
                 column: int) -> tuple[tuple[float, float], ...]:
    """Of models that say how wrong they expect to be."""
    if not trial.config.transition(variant).uncertainty:
        return ()
    return calibration_pairs(found.sigma[:, column], np.sqrt(found.error[:, column]))


def _is_saturated(job: Job, trial: GainTrial) -> bool | None:
    """Whether the last doubling of the training brings less than a hundredth; None: not tried."""
    if any(job.maps not in job.config.sizes_of[name] for name in LONGER):
        return None
    twice, four = (trial.trained(name).figures.best for name in ('none_twice', 'none_four'))
    return four > 0.99 * twice


def _controls(job: Job, trial: GainTrial, variant: str, trained: TrainedDynamics,
              windows: WindowSet) -> Iterator[CellResult]:
    """Measure a model with other memories, and what needs no training of its own."""
    banks: dict[str, BankOf] = {
        'empty': no_memory, 'wrong_map': other_maps_memory(job.seed),
        'shuffled': shuffled_memory(job.seed), 'random': random_memory(job.seed)}
    for name in CONTROLS_OF.get(variant, ()):
        found = open_loop(trained.network, windows, job.config.horizons,
                          banks[name.removeprefix(f'{variant}_')])
        yield _cell(job, trial, name, found, windows)
    if variant == 'memory' and job.maps == job.config.sizes[-1]:
        predictors = {'knn': nearest_memory(trained.network), 'oracle': best_memory}
        for name in UNTRAINED:
            yield _cell(job, trial, name, compare(predictors[name], windows,
                                                  job.config.horizons), windows)


def _cell(job: Job, trial: GainTrial, variant: str, found: OpenLoop, windows: WindowSet,
          **facts: object) -> CellResult:
    return CellResult(
        variant, job.maps, job.seed, found.by_map([track.map_id for track in windows.tracks]),
        training_frames=sum(map(len, trial.train_episodes)), **facts)  # type: ignore[arg-type]


def default_workers() -> int:
    """As many as there are cores: each training keeps to one."""
    return os.cpu_count() or 1
