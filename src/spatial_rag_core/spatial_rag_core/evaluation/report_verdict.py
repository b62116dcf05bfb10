"""A goal with its verdict, and how its numbers are written."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
import math
from typing import Any

from spatial_rag_core.evaluation.bootstrap import Interval

BORNE_OUT, NOT_BORNE_OUT, NOT_MEASURED = 'borne out', 'not borne out', 'not measured'


@dataclass(frozen=True)
class Claim:
    """What is claimed, and what counts as borne out, in words."""

    key: str
    claim: str
    goal: str

    def judged(self, measured: Interval, most: float, text: str, note: str = '') -> Goal:
        """Borne out where the estimate is at most `most`."""
        met, all_met = measured.estimate <= most, measured.high <= most
        return Goal(self.key, self.claim, self.goal, BORNE_OUT if met else NOT_BORNE_OUT, text,
                    firm=all_met if met else measured.low > most, measured=measured, note=note)

    def not_measured(self, needed: str) -> Goal:
        """Say what is missing."""
        return Goal(self.key, self.claim, self.goal, NOT_MEASURED, '', note=f'missing: {needed}')


@dataclass(frozen=True)
class Goal:
    """
    A claim, its verdict, and the measurement that it rests on.

    verdict: of the estimate.  firm: the whole interval says the same; None: there is none.
    text: the measurement for people.
    """

    key: str
    claim: str
    goal: str
    verdict: str
    text: str
    firm: bool | None = None
    measured: Interval | None = None
    note: str = ''

    def to_values(self) -> dict[str, Any]:
        """Return it in words of JSON; a number that is not finite is None."""
        values = asdict(self)
        if self.measured is not None:
            values['measured'] = {name: number if math.isfinite(number) else None
                                  for name, number in asdict(self.measured).items()}
        return values


def counts(goals: Iterable[Goal]) -> dict[str, int]:
    """How many goals have each verdict."""
    verdicts = [goal.verdict for goal in goals]
    return {verdict: verdicts.count(verdict)
            for verdict in (BORNE_OUT, NOT_BORNE_OUT, NOT_MEASURED)}


def error_text(interval: Interval) -> str:
    """As '0.396 [0.381, 0.410]'."""
    return f'{interval.estimate:.3f} [{interval.low:.3f}, {interval.high:.3f}]'


def change_text(interval: Interval) -> str:
    """As '-0.074 [-0.081, -0.066]'."""
    return f'{interval.estimate:+.3f} [{interval.low:+.3f}, {interval.high:+.3f}]'


def percent_text(interval: Interval) -> str:
    """As '84 % [78, 88]'."""
    return f'{_percent(interval.estimate)} % [{_percent(interval.low)}, {_percent(interval.high)}]'


def _percent(share: float) -> str:
    if not math.isfinite(share):
        return 'not reached'
    return f'{100 * share:.1f}' if abs(share) < 0.0995 else f'{100 * share:.0f}'
