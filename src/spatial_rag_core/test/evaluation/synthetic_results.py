"""An experiment with a known answer: errors that follow a law, with some noise."""

from __future__ import annotations

from collections.abc import Callable, Iterable
import math
from pathlib import Path

from spatial_rag_core.evaluation.results import (
    AdaptationResult,
    CellResult,
    ErrorMap,
    ExperimentPlan,
    FinetuneResult,
    GroupSums,
    MapResult,
    Strip,
)

import numpy as np

SIZES, SEEDS, STEPS = (1, 2, 4, 8, 16, 32, 64, 128), (0, 1, 2), (1, 5, 15, 50)
MAPS = 6
FALL = 0.04  # of error, for each doubling of the examples
FLOOR = 0.42  # of the model without memory at full data, 15 steps ahead

SHIFT = {'memory': -0.10, 'none': 0.0, 'none_long': -0.005, 'plain': -0.002}
CONTROLS = {'memory_empty': 0.004, 'memory_random': 0.01, 'memory_shuffled': 0.012,
            'memory_wrong_map': 0.015, 'knn': 0.5, 'pose_only': -0.03, 'latent_only': -0.02,
            'oracle': -0.2, 'none_four': 0.0, 'memory_four': -0.11, 'memory_four_empty': 0.004,
            'memory_four_wrong_map': 0.015}
GROUPS = {'all': 1.0, 'revisited': 1.4, 'novel': 0.0}


def law(shift: float, maps: int, step: int = 15) -> float:
    """Expected error relative to copy-last."""
    return FLOOR + 0.1 * (step == 1) + shift + FALL * math.log2(SIZES[-1] / maps)


def plan(sizes: Iterable[int] = SIZES, seeds: Iterable[int] = SEEDS) -> ExperimentPlan:
    return ExperimentPlan(
        'spatial-rag experiment retrieval-gain', tuple(sizes), tuple(seeds),
        (*SHIFT, *CONTROLS), STEPS, frames_per_map=400, date='2026-11-22', machine='2 cores',
        sizes_of=dict.fromkeys(CONTROLS, (SIZES[-1],)), software={'torch': '2.13.0'})


def cell(variant: str, maps: int, seed: int, noise: float = 0.02,
         wanted: Callable[[float, int, int], float] = law) -> CellResult:
    shift = {**SHIFT, **CONTROLS}[variant]
    dice = np.random.default_rng([seed, maps, sum(map(ord, variant))])
    results = []
    for number in range(MAPS):
        groups = {}
        for group, factor in GROUPS.items():
            errors = {step: wanted(shift * factor, maps, step) + noise * dice.normal()
                      for step in STEPS}
            scale = 5.0 + 2.0 * number + seed
            sums = {step: scale * error for step, error in errors.items()}
            copies = dict.fromkeys(STEPS, scale)
            groups[group] = GroupSums(40, sums, copies)
        results.append(MapResult(f'rooms2d-{number}', groups))
    sigma = tuple((0.05 * 2 ** k, 0.05 * 2 ** k * 1.1) for k in range(5))
    return CellResult(variant, maps, seed, tuple(results), 400 * maps, 90.0, 3000, 123456,
                      sigma if variant == 'memory' else ())


def adaptation(seed: int, finetuned: float = 0.465,
               memory_after: float = 0.38) -> AdaptationResult:
    values = {'before': 0.47, 'memory_after': memory_after, 'stale': 0.49, 'stale_and_new': 0.40,
              'finetune_best': finetuned}
    dice = np.random.default_rng(seed)
    maps = tuple(MapResult(f'changed-{number}', {
        name: GroupSums(20, {15: (value + 0.005 * dice.normal()) * 9.0}, {15: 9.0})
        for name, value in values.items()}) for number in range(MAPS))
    tried = tuple(FinetuneResult(steps, 1e-3, finetuned + 0.001 * k)
                  for k, steps in enumerate((100, 30, 10)))
    return AdaptationResult(seed, finetune=tried, maps=maps, **values)


def pictures(folder: Path) -> None:
    dice = np.random.default_rng(0)
    frames = np.cumsum(dice.integers(0, 12, (4, 64, 64, 3)), axis=2).clip(0, 255).astype(np.uint8)
    Strip('rooms2d-0-a', frames, frames // 2 + 60, 255 - frames, np.array(STEPS)).save(folder)
    x, y = dice.uniform(0, 8, 200), dice.uniform(0, 6, 200)
    ErrorMap('rooms2d-0', x, y, dice.gamma(2, 0.15, 200), dice.gamma(2, 0.2, 200),
             dice.integers(0, 255, (60, 80, 3)).astype(np.uint8), np.array([0.0, 8, 0, 6])).save(
                 folder)


def whole_experiment(folder: Path) -> Path:
    """Everything that the plan names."""
    plan().save(folder)
    for variant, maps, seed in plan().cells():
        cell(variant, maps, seed).save(folder)
    for seed in SEEDS:
        adaptation(seed).save(folder)
    pictures(folder)
    return folder
