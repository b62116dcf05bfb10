"""What lets a training go on as if nobody had interrupted it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint
import torch


class Resumable(Callback):
    """
    Keeps, beside what Lightning keeps, the lot of torch and that a training had ended.

    Its figures best, steps and ended stand in the trainer's callback_metrics: of all that other
    processes learn, they alone come back from there.
    """

    def __init__(self, best: ModelCheckpoint, stopping: EarlyStopping) -> None:
        self._best, self._stopping = best, stopping
        self._lot: torch.Tensor | None = None

    def state_dict(self) -> dict[str, Any]:
        """Return the state of torch's generator."""
        return {'lot': torch.get_rng_state()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take it over, see on_train_batch_start."""
        self._lot = state_dict['lot']

    def on_train_start(self, trainer: lightning.Trainer, _: lightning.LightningModule) -> None:
        """End at once where it had ended."""
        trainer.should_stop = self._stopping.wait_count >= self._stopping.patience

    def on_train_batch_start(self, *_: Any) -> None:
        """Go on with the lot; loaders have drawn from it when they began."""
        if self._lot is not None:
            torch.set_rng_state(self._lot)
            self._lot = None

    def on_fit_end(self, trainer: lightning.Trainer, _: lightning.LightningModule) -> None:
        """Leave the figures."""
        score = self._best.best_model_score
        trainer.callback_metrics['fit/best'] = torch.tensor(
            torch.nan if score is None else float(score), dtype=torch.float64)
        trainer.callback_metrics['fit/steps'] = torch.tensor(trainer.global_step)


class RemainingBatches(Iterable[Any]):
    """The batches that a training has not had yet; one is one step."""

    def __init__(self, batches: Iterable[Any], trainer: lightning.Trainer) -> None:
        self._batches, self._trainer = batches, trainer

    def __iter__(self) -> Iterator[Any]:
        yield from islice(iter(self._batches), self._trainer.global_step, None)
