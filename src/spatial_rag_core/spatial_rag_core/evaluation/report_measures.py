"""Questions that the report asks of the results; None where cells for an answer are missing."""

from __future__ import annotations

from collections.abc import Sequence
import functools

from spatial_rag_core.evaluation.bootstrap import ErrorTable, relative_errors, Sample
from spatial_rag_core.evaluation.examples_saved import examples_saved, ExamplesSaved
from spatial_rag_core.evaluation.results import (
    CellResult,
    CONDITIONS,
    ExperimentResults,
)

MAIN_STEP = 15  # steps ahead of the goals


class Measures:
    """Relative errors with their replicates; deterministic."""

    def __init__(self, results: ExperimentResults) -> None:
        self.results, self.plan = results, results.plan
        self._cells: dict[tuple[str, int], list[CellResult]] = {}
        for cell in results.cells:
            self._cells.setdefault((cell.variant, cell.training_maps), []).append(cell)

    @functools.cached_property
    def variants(self) -> list[str]:
        """Those that have a cell, in the order of the plan."""
        there = {variant for variant, _ in self._cells}
        planned = [variant for variant in self.plan.variants if variant in there]
        return planned + sorted(there - set(planned))

    def cells(self, variant: str, maps: int) -> list[CellResult]:
        """One cell a seed."""
        return self._cells.get((variant, maps), [])

    def sizes(self, *variants: str) -> list[int]:
        """Training sizes at which each of the variants has a cell, ascending."""
        return sorted({maps for _, maps in self._cells
                       if all((variant, maps) in self._cells for variant in variants)})

    def steps(self) -> list[int]:
        """Steps ahead, as planned."""
        return sorted(self.plan.horizons)

    def error(self, variant: str, maps: int, group: str = 'all', step: int = MAIN_STEP,
              ) -> Sample | None:
        """Relative error of one variant at one size."""
        table = self._table(variant, maps, group, step)
        return relative_errors([table])[0] if table.seeds else None

    def pair(self, variant: str, other: str, group: str = 'all', step: int = MAIN_STEP,
             maps: int | None = None) -> tuple[Sample, Sample] | None:
        """Both on the same draws, at the largest size that both have."""
        sizes = self.sizes(variant, other) if maps is None else [maps]
        if not sizes:
            return None
        found = self._together([(variant, sizes[-1]), (other, sizes[-1])], group, step)
        return (found[0], found[1]) if found else None

    def saved(self, step: int = MAIN_STEP, group: str = 'all') -> ExamplesSaved | None:
        """Examples that memory saves against the best no-memory model with all of them."""
        sizes, full = self.sizes('memory'), self.full_size('none')
        if len(sizes) < 2 or full is None:
            return None
        targets = self.targets(full)
        wanted = [*((name, full) for name in targets), *(('memory', size) for size in sizes)]
        found = self._together(wanted, group, step)
        if not found:
            return None
        target = functools.reduce(lambda one, other: one.lower(other), found[:len(targets)])
        return examples_saved(sizes, found[len(targets):], target, full)

    def targets(self, full: int) -> list[str]:
        """The models without memory of which the best is the target."""
        return [name for name in ('none', 'none_twice', 'none_four') if self.cells(name, full)]

    def full_size(self, variant: str) -> int | None:
        """Full data: the largest size of the plan, if the variant has a cell there."""
        full = max(self.plan.sizes)
        return full if self.cells(variant, full) else None

    def shared(self, *wanted: tuple[str, int]) -> tuple[int, int]:
        """Numbers of seeds and of test maps that cells (variant, training maps) have in common."""
        tables = [self._table(variant, maps, 'all', MAIN_STEP) for variant, maps in wanted]
        return len(_common_seeds(tables)), len(_common_maps(tables))

    def _together(self, wanted: Sequence[tuple[str, int]], group: str, step: int,
                  ) -> list[Sample] | None:
        tables = [self._table(variant, maps, group, step) for variant, maps in wanted]
        known = _common_seeds(tables) and _common_maps(tables)
        return relative_errors(tables) if known else None

    def _table(self, variant: str, maps: int, group: str, step: int) -> ErrorTable:
        return ErrorTable.of_cells(self.cells(variant, maps), group, step)

    def adaptation(self) -> dict[str, Sample]:
        """Condition → error after the map changed, on the same draws."""
        runs = self.results.adaptation
        tables = {name: ErrorTable.of(((run.seed, run.maps) for run in runs), name, MAIN_STEP)
                  for name in CONDITIONS}
        tables = {name: table for name, table in tables.items() if table.seeds}
        if not {'before', 'memory_after'} <= set(tables):
            return {}
        return dict(zip(tables, relative_errors(list(tables.values())), strict=True))


def _common_seeds(tables: Sequence[ErrorTable]) -> set[int]:
    return set.intersection(*(set(table.seeds) for table in tables))


def _common_maps(tables: Sequence[ErrorTable]) -> set[str]:
    return set.intersection(*(set(table.maps) for table in tables))
