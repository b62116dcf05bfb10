"""A clock that goes on where the test says so."""

from __future__ import annotations

from types import ModuleType

import pytest


class Clock:
    """Stands for the module `time`."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def monotonic_ns(self) -> int:
        return round(self.now * 1e9)


def clock_of(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Give the module this clock."""
    clock = Clock()
    monkeypatch.setattr(module, 'time', clock)
    return clock
