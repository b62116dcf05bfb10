"""What the check of a file found, whichever kind of file."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CheckReport:
    """
    What was read, and what is wrong.

    count: memories, or episodes, that are whole.  problems: a line each; none where all is well.
    """

    count: int
    problems: tuple[str, ...]

    @property
    def is_clean(self) -> bool:
        """Whether every byte that matters is as it was written."""
        return not self.problems
