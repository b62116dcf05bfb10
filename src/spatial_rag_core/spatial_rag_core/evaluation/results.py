"""
What the experiment leaves in its folder.

plan.json                          what was to be done, where, and how
cells/<variant>-<maps>-<seed>.json   CellResult: one trained model, or one control of it
adaptation/<seed>.json             AdaptationResult: a changed map
goals/<name>.json                  OtherGoal: what another command measured
strips/<name>.npz                  Strip: true and imagined frames
maps/<name>.npz                    ErrorMap: where a prediction errs
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from spatial_rag_core.errors import ConfigurationError, TrainingError
from spatial_rag_core.evaluation.result_adaptation import (
    AdaptationResult,
    CONDITIONS,
    FinetuneResult,
)
from spatial_rag_core.evaluation.result_files import read_result, write_json
from spatial_rag_core.evaluation.result_pictures import ErrorMap, Strip
from spatial_rag_core.evaluation.result_plan import ExperimentPlan, OtherGoal
from spatial_rag_core.evaluation.result_sums import calibration_pairs, GroupSums, MapResult

__all__ = [
    'CONDITIONS',
    'AdaptationResult',
    'CellResult',
    'ErrorMap',
    'ExperimentPlan',
    'ExperimentResults',
    'FinetuneResult',
    'GroupSums',
    'MapResult',
    'OtherGoal',
    'Strip',
    'calibration_pairs',
]

R = TypeVar('R')


@dataclass(frozen=True)
class CellResult:
    """
    One trained model, or one control of it, on all test maps.

    sigma: (predicted, observed) RMS errors of groups of predictions, see calibration_pairs.
    saturated: of `none`, whether four times its steps are no better than twice; None: not tried.
    """

    variant: str
    training_maps: int
    seed: int
    maps: tuple[MapResult, ...]
    training_frames: int = 0
    seconds: float = 0.0
    training_steps: int = 0
    parameters: int = 0
    sigma: tuple[tuple[float, float], ...] = ()
    saturated: bool | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.variant or '-' in self.variant or '/' in self.variant:
            raise ConfigurationError(f'variant must be a word without - and /, got '
                                     f'{self.variant!r}')
        if self.training_maps < 1:
            raise ConfigurationError(f'training_maps must be > 0, got {self.training_maps}')

    @staticmethod
    def path(folder: Path, variant: str, training_maps: int, seed: int) -> Path:
        """Where such a cell lies; a run that goes on looks whether it is there."""
        return folder / 'cells' / f'{variant}-{training_maps}-{seed}.json'

    def save(self, folder: Path) -> Path:
        """Write it into the folder of results; raises TrainingError."""
        path = self.path(folder, self.variant, self.training_maps, self.seed)
        write_json(path, asdict(self))
        return path

    @classmethod
    def load(cls, path: Path) -> CellResult:
        """Read a file; raises TrainingError where it is missing or damaged."""
        return read_result(path, cls.from_values)

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> CellResult:
        """Read what JSON holds; fields that this version does not know are left out."""
        known = {name: values[name] for name in cls.__dataclass_fields__ if name in values}
        maps = tuple(MapResult.from_values(one) for one in values['maps'])
        pairs = tuple((float(p), float(o)) for p, o in values.get('sigma', ()))
        return cls(**{**known, 'maps': maps, 'sigma': pairs})


@dataclass(frozen=True)
class ExperimentResults:
    """All that a folder holds; not_read: why files that are there could not be used."""

    folder: Path
    plan: ExperimentPlan
    cells: tuple[CellResult, ...] = ()
    adaptation: tuple[AdaptationResult, ...] = ()
    goals: tuple[OtherGoal, ...] = ()
    strips: tuple[Strip, ...] = ()
    maps: tuple[ErrorMap, ...] = ()
    not_read: tuple[str, ...] = ()

    @classmethod
    def load(cls, folder: Path, skip_damaged: bool = False) -> ExperimentResults:
        """
        Read a folder; what is not there yet is empty.

        Raises TrainingError where there is no plan, or, without skip_damaged, where a file is
        damaged.
        """
        not_read: list[str] = []

        def read(kind: str, pattern: str, load: Callable[[Path], R]) -> tuple[R, ...]:
            found = []
            for path in sorted((folder / kind).glob(pattern)):
                try:
                    found.append(load(path))
                except TrainingError as error:
                    if not skip_damaged:
                        raise
                    not_read.append(str(error))
            return tuple(found)
        return cls(
            folder, ExperimentPlan.load(folder), read('cells', '[!.]*.json', CellResult.load),
            read('adaptation', '[!.]*.json', AdaptationResult.load),
            read('goals', '[!.]*.json', OtherGoal.load), read('strips', '[!.]*.npz', Strip.load),
            read('maps', '[!.]*.npz', ErrorMap.load), tuple(not_read))

    def cell(self, variant: str, training_maps: int, seed: int) -> CellResult | None:
        """Return one cell, None where it is not there."""
        return next((cell for cell in self.cells if (cell.variant, cell.training_maps, cell.seed)
                     == (variant, training_maps, seed)), None)

    def missing(self) -> tuple[tuple[str, int, int], ...]:
        """Variant, training maps and seed of each cell of the plan that is not there."""
        there = {(cell.variant, cell.training_maps, cell.seed) for cell in self.cells}
        return tuple(cell for cell in self.plan.cells() if cell not in there)
