"""A training's data out of recordings, without a file of episodes between."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from spatial_rag_core.data.collecting.bag_episodes import episode_from_bag
from spatial_rag_core.data.episodes.episode import Episode
from spatial_rag_core.evaluation.time_split import TimeSplit
from spatial_rag_core.training.training_config import TrainingConfig
from spatial_rag_core.training.training_data import TrainingData

import numpy as np
from numpy.typing import NDArray


def data_from_bags(paths: Sequence[Path], config: TrainingConfig, split: TimeSplit | None,
                   **reading: Any) -> TrainingData:
    """
    Read recordings as the model needs them; `split` leaves stretches of each out.

    reading: see CollectConfig. Raises BagError, TrainingError.
    """
    episodes: list[Episode] = []
    kept: list[NDArray[np.float64]] = []
    for path in paths:
        found = episode_from_bag(path, image_size=config.encoder.image_size,
                                 action_dim=config.transition.action_dim, with_depth=False,
                                 **reading)
        stamps = np.concatenate([one.stamps for one in found])
        kept.append(stamps if split is None else stamps[split.kept(stamps)])
        episodes += found
    allowed = np.concatenate(kept)
    facts: dict[str, Any] = {'recordings': [path.name for path in paths]}
    if split is not None:
        facts['leave_out'] = split.facts()
    return TrainingData.from_recordings(
        episodes, None if split is None else lambda stamps: np.isin(stamps, allowed), **facts)
