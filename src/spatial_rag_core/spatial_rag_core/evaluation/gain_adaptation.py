"""A map that has changed: what one new tour in memory gains, and what learning from it gains."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import copy
from dataclasses import replace

from spatial_rag_core.data.episodes.episode import Episode
from spatial_rag_core.evaluation.gain_data import changed_tours
from spatial_rag_core.evaluation.gain_models import GainTrial
from spatial_rag_core.evaluation.open_loop import open_loop, OpenLoop
from spatial_rag_core.evaluation.other_memories import no_memory
from spatial_rag_core.evaluation.results import AdaptationResult, FinetuneResult, MapResult
from spatial_rag_core.models.imagination import Imagination
from spatial_rag_core.training.window_batches import TrainingBatches
from spatial_rag_core.training.windows import WindowSet

import torch

HORIZON = 15
_FENCE_SEC = 300.0  # keeps out the drive that is asked about; the tours are older
_CLIP = 1.0


def measure_adaptation(trial: GainTrial) -> AdaptationResult:
    """Measure on changed test maps; the drives asked about come after the tours."""
    by_map: dict[str, list[Episode]] = {}
    for episode in trial.test_episodes:
        by_map.setdefault(episode.map_id, []).append(episode)
    old = list(by_map.values())[:trial.config.adaptation_maps]
    tours, asked = zip(*(changed_tours(trial.config, drives[-1]) for drives in old), strict=True)
    stale = [drive for drives in old for drive in drives]
    network = trial.trained('memory').network
    found = {
        'before': open_loop(network, _windows(trial, asked, tours), (HORIZON,), no_memory),
        'memory_after': open_loop(network, _windows(trial, asked, tours), (HORIZON,)),
        'stale': open_loop(network, _windows(trial, asked, stale), (HORIZON,)),
        'stale_and_new': open_loop(network, _windows(trial, asked, [*stale, *tours]),
                                   (HORIZON,))}
    found['finetune_before'] = open_loop(trial.trained('none').network,
                                         _windows(trial, asked, tours), (HORIZON,))
    tried, best = _finetuned(trial, tours, asked)
    names = [track.map_id for track in _windows(trial, asked, tours).tracks]
    return AdaptationResult(
        trial.seed, finetune=tried, finetune_best=min(one.error for one in tried),
        maps=_by_map(names, {**found, 'finetune_best': best}),
        **{name: errors.relative(HORIZON) for name, errors in found.items()})


def _windows(trial: GainTrial, asked: Sequence[Episode],
             remembered: Sequence[Episode]) -> WindowSet:
    return WindowSet(trial.tracks(asked, remembered),
                     replace(trial.config.test_fence, fence_sec=_FENCE_SEC), HORIZON,
                     trial.config.training.dynamics.history, trial.config.test_every)


def _by_map(names: Sequence[str], found: dict[str, OpenLoop]) -> tuple[MapResult, ...]:
    parts = {condition: {one.map_id: one.groups['all'] for one in errors.by_map(names)}
             for condition, errors in found.items()}
    return tuple(MapResult(name, {condition: groups[name]
                                  for condition, groups in parts.items()}) for name in names)


def _finetuned(trial: GainTrial, tours: Sequence[Episode], asked: Sequence[Episode],
               ) -> tuple[tuple[FinetuneResult, ...], OpenLoop]:
    """Every rate and number of steps on every map; the best of them over all maps together."""
    config, base = trial.config, trial.trained('none').network
    history, horizon = config.training.dynamics.history, config.training.dynamics.horizon
    tracks = list(zip(trial.tracks(tours), trial.tracks(asked), strict=True))
    results: dict[tuple[float, int], list[OpenLoop]] = {}
    for tour, drive in tracks:
        learned = WindowSet([tour], config.training.dynamics.fence, horizon, history)
        judged = WindowSet([drive], config.test_fence, HORIZON, history, config.test_every)
        for rate in config.finetune_rates:
            learner = _learning(trial, copy.deepcopy(base), learned, rate)
            for steps, network in enumerate(learner, start=1):
                if steps in config.finetune_steps:
                    results.setdefault((rate, steps), []).append(
                        open_loop(network, judged, (HORIZON,)))
                if steps == max(config.finetune_steps):
                    break
    joined = {key: OpenLoop.joined(parts) for key, parts in results.items()}
    tried = tuple(FinetuneResult(steps, rate, errors.relative(HORIZON))
                  for (rate, steps), errors in joined.items())
    return tried, min(joined.values(), key=lambda errors: errors.relative(HORIZON))


def _learning(trial: GainTrial, network: Imagination, windows: WindowSet,
              rate: float) -> Iterator[Imagination]:
    """Learn latents alone, at a steady rate, without end; the network after each step."""
    network.requires_grad_(True)
    optimizer = torch.optim.AdamW(network.parameters(), rate)
    for batch in TrainingBatches(windows, trial.config.training.dynamics, trial.seed):
        hidden = network.transition.warm_up(batch.history_z, batch.history_a)
        rollout = network(batch.z[:, 0], batch.actions, batch.bank, hidden)
        optimizer.zero_grad()
        (rollout.z - batch.z[:, 1:]).square().mean().backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), _CLIP)
        optimizer.step()
        yield network
