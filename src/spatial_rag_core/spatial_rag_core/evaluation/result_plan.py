"""What an experiment was to do, and what was measured beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from spatial_rag_core.errors import ConfigurationError
from spatial_rag_core.evaluation.result_files import read_result, write_json


@dataclass(frozen=True)
class ExperimentPlan:
    """
    What was to be done, where, and how.

    sizes: training maps.  sizes_of: those of a variant that is not trained at all sizes.
    horizons: steps ahead.  software: name → version.  notes: more facts.
    """

    command: str
    sizes: tuple[int, ...]
    seeds: tuple[int, ...]
    variants: tuple[str, ...]
    horizons: tuple[int, ...] = (1, 5, 15, 50)
    step_sec: float = 0.2
    sizes_of: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    frames_per_map: int = 0
    quick: bool = False
    date: str = ''
    machine: str = ''
    software: Mapping[str, str] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ('sizes', 'seeds', 'variants', 'horizons'):
            if not getattr(self, name):
                raise ConfigurationError(f'{name} must name at least one, got none')
        if min(self.sizes) < 1 or min(self.horizons) < 1 or self.step_sec <= 0:
            raise ConfigurationError(f'sizes, horizons and step_sec must be > 0, got {self.sizes}'
                                     f', {self.horizons}, {self.step_sec}')

    def save(self, folder: Path) -> Path:
        """Write it into the folder of results; raises TrainingError."""
        write_json(folder / 'plan.json', asdict(self))
        return folder / 'plan.json'

    def cells(self) -> tuple[tuple[str, int, int], ...]:
        """Return variant, training maps and seed of each cell."""
        return tuple((variant, maps, seed) for variant in self.variants
                     for maps in self.sizes_of.get(variant, self.sizes) for seed in self.seeds)

    @classmethod
    def load(cls, folder: Path) -> ExperimentPlan:
        """Read it from the folder; raises TrainingError where it is missing or damaged."""
        return read_result(folder / 'plan.json', cls.from_values)

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> ExperimentPlan:
        """Read what JSON holds; fields that this version does not know become notes."""
        known = {name: values[name] for name in cls.__dataclass_fields__ if name in values}
        other = {name: value for name, value in values.items() if name not in known}
        for name in ('sizes', 'seeds', 'variants', 'horizons'):
            if name in known:
                known[name] = tuple(known[name])
        known['sizes_of'] = {variant: tuple(sizes) for variant, sizes
                             in values.get('sizes_of', {}).items()}
        return cls(**{**known, 'notes': {**values.get('notes', {}), **other}})


@dataclass(frozen=True)
class OtherGoal:
    """A goal that another command measured; met: None where it was not.  key: its file's."""

    claim: str
    goal: str
    measured: str
    met: bool | None
    command: str = ''
    key: str = ''

    def save(self, folder: Path, name: str) -> Path:
        """Write it into the folder of results; raises TrainingError."""
        path = folder / 'goals' / f'{name}.json'
        write_json(path, asdict(self))
        return path

    @classmethod
    def load(cls, path: Path) -> OtherGoal:
        """Read a file; raises TrainingError where it is missing or damaged."""
        return read_result(path, lambda values: cls(**{**values, 'key': path.stem}))
