"""From a folder of results to verdicts and one page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spatial_rag_core.evaluation.report_goals import judged_goals
from spatial_rag_core.evaluation.report_measures import Measures
from spatial_rag_core.evaluation.report_verdict import counts, Goal
from spatial_rag_core.evaluation.result_files import write_text
from spatial_rag_core.evaluation.results import ExperimentResults

PAGE_NAME = 'report.html'


@dataclass(frozen=True)
class Report:
    """The verdicts on an experiment; a page of them can be written."""

    measures: Measures
    goals: tuple[Goal, ...]

    @classmethod
    def of(cls, folder: Path) -> Report:
        """Judge a folder of results, complete or not; raises TrainingError where no plan is."""
        measures = Measures(ExperimentResults.load(folder, skip_damaged=True))
        return cls(measures, tuple(judged_goals(measures)))

    def write_page(self, path: Path) -> None:
        """Write one HTML file; raises TrainingError where it cannot be written."""
        from spatial_rag_core.evaluation.report_page import page
        write_text(path, page(self.measures, self.goals))

    def to_values(self) -> dict[str, Any]:
        """Return the verdicts in words of JSON."""
        results, plan = self.measures.results, self.measures.plan
        return {'folder': str(results.folder), 'command': plan.command, 'date': plan.date,
                'quick': plan.quick, 'counts': counts(self.goals),
                'goals': [goal.to_values() for goal in self.goals],
                'cells': len(results.cells), 'cells_missing': len(results.missing()),
                'not_read': list(results.not_read)}
