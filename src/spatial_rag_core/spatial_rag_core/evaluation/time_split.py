"""Stretches of one recording that are left out, so that it can be asked about what it lacks."""

from __future__ import annotations

import argparse
from collections.abc import Sequence, Sized
from dataclasses import asdict, dataclass, replace
import math
from typing import Any

from spatial_rag_core.errors import ConfigurationError
from spatial_rag_core.evaluation.asked_recording import AskedRecording
from spatial_rag_core.models.bundle_metadata import BundleMetadata

import numpy as np
from numpy.typing import ArrayLike, NDArray

Chosen = NDArray[np.bool_]

SEEN_WORDS = {True: 'was trained without the pictures that it is asked about',
              False: 'was trained on this recording: it saw pictures that it is asked about',
              None: 'does not say whether it saw these pictures in training'}
"""unseen_in_training → the same in words."""

_ROUNDING_SEC = 1e-6  # of stamps, which are Unix times in double precision


@dataclass(frozen=True)
class TimeSplit:
    """
    Which moments of a recording are asked about, and which are kept for map and training.

    From the first frame on, one stretch of `stretch_sec` in every `period_sec` is left out and
    asked about; what lies less than `guard_sec` before or after one is in neither part, so that
    no frame that is asked about has a neighbour in time.  fold: which stretch of each period;
    the folds together ask about every moment exactly once.  Raises ConfigurationError.
    """

    stretch_sec: float = 1.0
    guard_sec: float = 0.5
    period_sec: float = 4.0
    fold: int = 0

    def __post_init__(self) -> None:
        if not 0.0 < self.stretch_sec < math.inf:
            raise ConfigurationError(f'stretch_sec must be > 0 s, got {self.stretch_sec}')
        if not 0.0 <= self.guard_sec < math.inf:
            raise ConfigurationError(f'guard_sec must be >= 0 s, got {self.guard_sec}')
        least = self.stretch_sec + 2 * self.guard_sec
        if not least < self.period_sec < math.inf:
            raise ConfigurationError(
                f'period_sec must exceed {least:g} s (a stretch and two guards), or nothing is '
                f'kept, got {self.period_sec}')
        if abs(self.period_sec / self.stretch_sec - self.fold_count) > 1e-6:
            raise ConfigurationError(
                f'period_sec must be a multiple of stretch_sec {self.stretch_sec:g} s, so that '
                f'the folds ask about each moment once, got {self.period_sec:g}')
        if not 0 <= self.fold < self.fold_count:
            raise ConfigurationError(f'fold must lie between 0 and {self.fold_count - 1} '
                                     f'(period_sec / stretch_sec), got {self.fold}')

    @property
    def fold_count(self) -> int:
        """How many folds ask about every moment once."""
        return round(self.period_sec / self.stretch_sec)

    def folds(self) -> tuple[TimeSplit, ...]:
        """Every fold of this split, itself among them."""
        return tuple(replace(self, fold=fold) for fold in range(self.fold_count))

    def asked(self, stamps: ArrayLike) -> Chosen:
        """Tell which frames are left out and asked about, bool [T]; stamps ascend [s]."""
        return self._gap(stamps) < 0.0

    def kept(self, stamps: ArrayLike) -> Chosen:
        """Tell which frames are for map and training, bool [T]; stamps ascend [s]."""
        return ~self.asked(stamps) & (self._gap(stamps) >= self.guard_sec - _ROUNDING_SEC)

    def facts(self) -> dict[str, Any]:
        """Return the fields, as a bundle's training facts keep them under `leave_out`."""
        return asdict(self)

    def _gap(self, stamps: ArrayLike) -> NDArray[np.float64]:
        """Time to the nearest stretch that the recording has [s], [T]; negative within one."""
        times = np.asarray(stamps, np.float64)
        if not len(times):
            return times
        times = times - times[0]
        starts = np.arange(self.fold * self.stretch_sec, times[-1] + _ROUNDING_SEC,
                           self.period_sec)
        if not len(starts):
            return np.full(len(times), math.inf)
        before = starts[None] - times[:, None] - _ROUNDING_SEC  # negative from the start on
        after = times[:, None] - (starts[None] + self.stretch_sec) + _ROUNDING_SEC
        gaps: NDArray[np.float64] = np.maximum(before, after).min(axis=1)
        return gaps


def in_pieces(chosen: Chosen, pieces: Sequence[Sized]) -> list[Chosen]:
    """Divide what was chosen of a recording among its pieces; a split counts from its start."""
    return np.split(chosen, np.cumsum([len(piece) for piece in pieces])[:-1])


def add_split_options(command: argparse.ArgumentParser) -> None:
    """Add the options from which split_of makes a TimeSplit."""
    default = TimeSplit()
    group = command.add_argument_group('leaving out stretches of one recording')
    group.add_argument('--leave-out-sec', type=float, metavar='SEC',
                       help='leave out stretches of this length [s], and ask about them')
    group.add_argument('--guard-sec', type=float, default=default.guard_sec, metavar='SEC',
                       help='what lies nearer in time to a stretch is not used at all '
                            f'(default: {default.guard_sec:g} s)')
    group.add_argument('--period-sec', type=float, default=default.period_sec, metavar='SEC',
                       help='one stretch in each period of this length, a multiple of '
                            f'--leave-out-sec (default: {default.period_sec:g} s)')
    group.add_argument('--fold', type=int, metavar='N',
                       help='which stretch of each period, from 0')


def split_of(arguments: argparse.Namespace) -> TimeSplit | None:
    """
    Return the split that was asked for, None for none; fold is 0 where none is named.

    Raises ConfigurationError that names value and remedy.
    """
    if arguments.leave_out_sec is None:
        if arguments.fold is not None:
            raise ConfigurationError(f'--fold {arguments.fold} needs --leave-out-sec')
        return None
    return TimeSplit(arguments.leave_out_sec, arguments.guard_sec, arguments.period_sec,
                     arguments.fold or 0)


def unseen_in_training(models: Sequence[BundleMetadata], folds: Sequence[TimeSplit | None],
                       *asked: AskedRecording) -> bool | None:
    """
    Whether the models were trained without what they are asked; None: they do not say.

    asked: what the folds divide, each from its own first stamp on.
    """
    told = [_unseen(models[min(number, len(models) - 1)], fold, one)
            for number, fold in enumerate(folds) for one in asked]
    return False if False in told else None if None in told else True


def _unseen(model: BundleMetadata, fold: TimeSplit | None, asked: AskedRecording) -> bool | None:
    if not model.trained:
        return True
    starts = asked.starts_in(model.training.get('data', {}))
    if not starts:
        return None
    if fold is None or model.training.get('leave_out') != fold.facts():
        return False
    return all(asked.begins_at(start, fold.guard_sec) for start in starts)
