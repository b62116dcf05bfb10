"""A changed map: what memories of one new tour gain, and what fine-tuning on it gains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from spatial_rag_core.evaluation.result_files import read_result, write_json
from spatial_rag_core.evaluation.result_sums import MapResult

CONDITIONS = ('before', 'memory_after', 'stale', 'stale_and_new', 'finetune_before',
              'finetune_best')


@dataclass(frozen=True)
class FinetuneResult:
    """Fine-tuning on the new tour: what came of some steps at a learning rate."""

    steps: int
    lr: float
    error: float


@dataclass(frozen=True)
class AdaptationResult:
    """
    A changed map; every number is an error at 15 steps ahead, relative to copy-last.

    before: the model without memories.  memory_after: with those of one tour of the changed map.
    stale: with those of the map as it was.  stale_and_new: with both.
    finetune_before: the model that is trained without memories; finetune_best: the same, after it
    learned from that tour, at the best of `finetune`.
    maps: sums by map; their groups are named after the CONDITIONS.
    """

    seed: int
    before: float
    memory_after: float
    stale: float | None = None
    stale_and_new: float | None = None
    finetune: tuple[FinetuneResult, ...] = ()
    finetune_before: float | None = None
    finetune_best: float | None = None
    maps: tuple[MapResult, ...] = ()

    def save(self, folder: Path) -> Path:
        """Write it into the folder of results; raises TrainingError."""
        path = folder / 'adaptation' / f'{self.seed}.json'
        write_json(path, asdict(self))
        return path

    @classmethod
    def load(cls, path: Path) -> AdaptationResult:
        """Read a file; raises TrainingError where it is missing or damaged."""
        return read_result(path, cls.from_values)

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> AdaptationResult:
        """Read what JSON holds."""
        numbers = {name: float(values[name]) for name in CONDITIONS
                   if values.get(name) is not None}
        tried = tuple(FinetuneResult(int(one['steps']), float(one['lr']), float(one['error']))
                      for one in values.get('finetune', ()))
        return cls(int(values['seed']), finetune=tried, maps=tuple(
            MapResult.from_values(one) for one in values.get('maps', ())), **numbers)
