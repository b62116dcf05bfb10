"""A training's data out of recordings, without a file of episodes between."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from spatial_rag_core.data.collecting.bag_episodes import episode_from_bag
from spatial_rag_core.data.episodes.episode import Episode
from spatial_rag_core.errors import TrainingError
from spatial_rag_core.evaluation.asked_recording import learned_facts
from spatial_rag_core.evaluation.time_split import in_pieces, TimeSplit
from spatial_rag_core.training.training_config import TrainingConfig
from spatial_rag_core.training.training_data import TrainingData

import numpy as np
from numpy.typing import NDArray


def data_from_bags(paths: Sequence[Path], config: TrainingConfig, split: TimeSplit | None,
                   **reading: Any) -> TrainingData:
    """
    Read recordings as the model needs them; `split` leaves stretches of each out.

    reading: see CollectConfig; with a map_id the recordings are of one place, without one each
    is of its own. Raises BagError, TrainingError.
    """
    episodes: list[Episode] = []
    recorded: list[NDArray[np.float64]] = []
    kept: list[NDArray[np.bool_]] = []
    for path in paths:
        found = episode_from_bag(path, image_size=config.encoder.image_size,
                                 action_dim=config.transition.action_dim, with_depth=False,
                                 **reading)
        recorded.append(np.concatenate([one.stamps for one in found]))
        if split is not None:
            kept += in_pieces(split.kept(recorded[-1]), found)
        episodes += found
    _require_one_after_the_other(episodes)
    facts = learned_facts(paths, recorded)
    if split is not None:
        facts['leave_out'] = split.facts()
    return TrainingData.from_recordings(
        episodes, None if split is None else kept, **facts)


def _require_one_after_the_other(episodes: Sequence[Episode]) -> None:
    """Refuse at once what would be refused when perception has been trained: see LatentTrack."""
    drives = sorted(episodes, key=lambda one: (one.map_id, float(one.stamps[0])))
    for before, after in pairwise(drives):
        if before.map_id == after.map_id and after.stamps[0] <= before.stamps[-1]:
            raise TrainingError(
                f'map {before.map_id}: {before.source} and {after.source} overlap in time; one '
                'place takes recordings that were made one after the other, leave one out')
