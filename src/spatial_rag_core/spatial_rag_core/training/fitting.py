"""The loop of a training: Lightning's, told where to write and when to stop."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
import contextlib
from dataclasses import dataclass
import logging
import math
from pathlib import Path
import tempfile
import time
from typing import Any
import warnings

from spatial_rag_core.errors import ConfigurationError, TrainingError
from spatial_rag_core.training.fit_failures import ended_by_hand, failures_told, first_line
from spatial_rag_core.training.resuming import RemainingBatches, Resumable

import lightning
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import (
    Callback,
    EarlyStopping,
    ModelCheckpoint,
    TQDMProgressBar,
)
from lightning.pytorch.loggers import TensorBoardLogger
import torch


@dataclass(frozen=True)
class FitOptions:
    """
    Where and on what a training runs; raises ConfigurationError.

    folder: for checkpoints (last.ckpt, best.ckpt) and TensorBoard's files, one that all machines
    see; None: nothing stays.  resume: go on from folder/last.ckpt where it is there.
    accelerator, devices, num_nodes, strategy: as Lightning's Trainer takes them, for several
    GPUs or machines.
    """

    folder: Path | None = None
    resume: bool = False
    progress: bool = False
    accelerator: str = 'auto'
    devices: int | str = 'auto'
    num_nodes: int = 1
    strategy: str = 'auto'

    def __post_init__(self) -> None:
        if self.resume and self.folder is None:
            raise ConfigurationError('resume needs the folder of the training that is to go on')
        if self.num_nodes < 1:
            raise ConfigurationError(f'num_nodes must be > 0, got {self.num_nodes}')


@dataclass(frozen=True)
class FitFigures:
    """
    How a training went.

    best: lowest value of what was watched, at best_step; steps: optimiser steps made;
    stopped_early: it ended because nothing got better.  seconds: wall time [s].
    """

    best: float
    best_step: int
    steps: int
    seconds: float
    stopped_early: bool


@dataclass(frozen=True)
class Schedule:
    """
    How long a training goes on.

    steps: at most so many.  validate_every: steps between two validations.  patience:
    validations without a better one, then it ends.  watch: the logged value to make small.
    """

    steps: int
    validate_every: int
    patience: int
    watch: str


def fit(module: lightning.LightningModule, training: Iterable[Any], validation: Iterable[Any],
        schedule: Schedule, options: FitOptions) -> FitFigures:
    """
    Train; the module ends with the weights of its best validation.

    Resumed, it goes on with the batches and the lot that it would have had. Raises TrainingError
    where what is watched is not finite, a checkpoint does not fit, or the folder cannot be
    written; KeyboardInterrupt, with what to do in its message, where it is told to end.
    """
    with tempfile.TemporaryDirectory() as scratch, _quiet():
        folder = options.folder or Path(scratch)
        last = None if options.folder is None else folder / 'last.ckpt'
        if not options.resume:
            forget(folder)
        resumed = last if last and last.exists() else None
        best = ModelCheckpoint(folder, 'best', monitor=schedule.watch, save_weights_only=True,
                               enable_version_counter=False)
        trainer = _trainer(folder, schedule, options, best)
        started = time.monotonic()
        with ended_by_hand(last), failures_told(folder, resumed):
            trainer.fit(module, RemainingBatches(training, trainer), validation,
                        ckpt_path=resumed, weights_only=True)
        return _figures(module, trainer, best, schedule, time.monotonic() - started)


def forget(folder: Path) -> None:
    """Let nobody resume what is in a folder: another training begins in it."""
    with contextlib.suppress(OSError):
        (folder / 'last.ckpt').unlink()


def _trainer(folder: Path, schedule: Schedule, options: FitOptions,
             best: ModelCheckpoint) -> lightning.Trainer:
    stopping = EarlyStopping(schedule.watch, patience=schedule.patience, check_finite=True)
    callbacks: list[Callback] = [best, stopping, Resumable(best, stopping)]
    if options.folder is not None:  # after each validation
        callbacks.append(ModelCheckpoint(folder, 'last', enable_version_counter=False,
                                         save_on_train_epoch_end=False))
    if options.progress:
        callbacks.append(TQDMProgressBar(refresh_rate=10, leave=True))
    try:
        return lightning.Trainer(
            max_steps=schedule.steps,
            val_check_interval=min(schedule.validate_every, schedule.steps),
            check_val_every_n_epoch=None, limit_train_batches=schedule.steps,
            callbacks=callbacks, gradient_clip_val=1.0, num_sanity_val_steps=0,
            logger=False if options.folder is None else TensorBoardLogger(
                str(folder), name='', version='tensorboard'),
            enable_progress_bar=options.progress, enable_model_summary=False,
            default_root_dir=str(folder), accelerator=options.accelerator,
            devices=options.devices, num_nodes=options.num_nodes, strategy=options.strategy,
            use_distributed_sampler=False)
    except (MisconfigurationException, ValueError, TypeError) as error:
        raise ConfigurationError(
            f'cannot train on accelerator {options.accelerator!r}, devices {options.devices!r}, '
            f'strategy {options.strategy!r} ({first_line(error)}); leave them at auto') from error


def _figures(module: lightning.LightningModule, trainer: lightning.Trainer,
             best: ModelCheckpoint, schedule: Schedule, seconds: float) -> FitFigures:
    score, steps = (float(trainer.callback_metrics[name]) for name in ('fit/best', 'fit/steps'))
    newest = float(trainer.callback_metrics.get(schedule.watch, score))
    if not (math.isfinite(score) and math.isfinite(newest)):
        raise TrainingError(f'{schedule.watch} is {newest} after {steps:.0f} steps; lower '
                            'learning_rate, and check the episodes (spatial-rag data check)')
    state: dict[str, Any] = {}
    if trainer.is_global_zero:  # the others may be unable to see its disk
        state = torch.load(best.best_model_path, map_location='cpu', weights_only=True)
    state = trainer.strategy.broadcast(state)
    module.load_state_dict(state['state_dict'])
    return FitFigures(score, int(state['global_step']), int(steps), seconds,
                      steps < schedule.steps)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence advice on how many processes to load with; errors and warnings of ours stay."""
    logger = logging.getLogger('lightning.pytorch')
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings('ignore', module=r'lightning\..*')
            warnings.filterwarnings('ignore', category=UserWarning, module=r'torch\..*')
            yield
    finally:
        logger.setLevel(level)
