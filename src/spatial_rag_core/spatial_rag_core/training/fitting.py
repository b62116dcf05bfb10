"""The loop of a training: Lightning's, told where to write and when to stop."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
import logging
from pathlib import Path
import tempfile
import time
from typing import Any
import warnings

from spatial_rag_core.errors import ConfigurationError, TrainingError

import lightning
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

    folder: for checkpoints (last.ckpt, best.ckpt) and TensorBoard's files; None: nothing stays.
    resume: go on from folder/last.ckpt where it is there.  accelerator, devices, num_nodes,
    strategy: as Lightning's Trainer takes them, for several GPUs or machines.
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

    Raises TrainingError where the loss is not finite, or a checkpoint does not fit.
    """
    with tempfile.TemporaryDirectory() as scratch, _quiet():
        folder = options.folder or Path(scratch)
        best = ModelCheckpoint(folder, 'best', monitor=schedule.watch, save_weights_only=True,
                               enable_version_counter=False)
        stopping = EarlyStopping(schedule.watch, patience=schedule.patience, check_finite=True)
        trainer = _trainer(folder, schedule, options, [best, stopping])
        started = time.monotonic()
        _run(trainer, module, training, validation, _last(folder, options))
        if best.best_model_score is None or not torch.isfinite(best.best_model_score):
            raise TrainingError(f'{schedule.watch} never was finite in {trainer.global_step} '
                                'steps; lower learning_rate, and check the episodes '
                                '(spatial-rag data check)')
        state = torch.load(best.best_model_path, map_location='cpu', weights_only=False)
        module.load_state_dict(state['state_dict'])
        return FitFigures(float(best.best_model_score), int(state['global_step']),
                          trainer.global_step, time.monotonic() - started,
                          trainer.global_step < schedule.steps)


def _trainer(folder: Path, schedule: Schedule, options: FitOptions,
             callbacks: list[Callback]) -> lightning.Trainer:
    if options.folder is not None:
        callbacks.append(ModelCheckpoint(folder, 'last', every_n_train_steps=(
            schedule.validate_every), enable_version_counter=False))
    if options.progress:
        callbacks.append(TQDMProgressBar(refresh_rate=10, leave=True))
    logger = (False if options.folder is None
              else TensorBoardLogger(str(folder), name='', version='tensorboard'))
    return lightning.Trainer(
        max_steps=schedule.steps,
        val_check_interval=min(schedule.validate_every, schedule.steps),
        check_val_every_n_epoch=None, limit_train_batches=schedule.steps, callbacks=callbacks,
        logger=logger, gradient_clip_val=1.0, num_sanity_val_steps=0, log_every_n_steps=50,
        enable_progress_bar=options.progress, enable_model_summary=False,
        default_root_dir=str(folder), accelerator=options.accelerator, devices=options.devices,
        num_nodes=options.num_nodes, strategy=options.strategy, use_distributed_sampler=False)


def _last(folder: Path, options: FitOptions) -> Path | None:
    last = folder / 'last.ckpt'
    return last if options.resume and last.exists() else None


def _run(trainer: lightning.Trainer, module: lightning.LightningModule, training: Iterable[Any],
         validation: Iterable[Any], last: Path | None) -> None:
    try:
        trainer.fit(module, training, validation, ckpt_path=last, weights_only=False)
    except (RuntimeError, KeyError, EOFError) as error:
        if last is None:
            raise
        reason = str(error).strip().partition('\n')[0]
        raise TrainingError(f'{last}: cannot go on from here ({reason}); train anew without '
                            '--resume, or with the configuration that it began with') from error


@contextmanager
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
