"""The life of a writing process: it says what it will do, does it, and says that it is done."""

from __future__ import annotations

from collections.abc import Callable
import os
from pathlib import Path
import random
import time
import traceback

from hand import Hand
from ledger import Ledger, Step

KINDS = ('open', 'append', 'forget', 'relabel', 'release', 'close', 'compact', 'reanchor',
         'backup')
_USUAL = ('append',) * 5 + ('forget', 'relabel', 'release')
_LARGEST_GROUP = 20


class Life:
    """
    One writing process, from opening the store to its death.

    say: takes a line 'will STEP' or 'did STEP' with the time [ns] in front of it.
    """

    def __init__(self, path: Path, ledger: Ledger, chance: random.Random,
                 say: Callable[[str], None]) -> None:
        self._hand = Hand(path, chance.choice(('process', 'power')))
        self._ledger = ledger.copy()
        self._chance = chance
        self._say = say

    def live(self, aim: str) -> None:
        """Do the step that is aimed at soon, then whatever comes, until killed."""
        self._do(Step('open'))
        for _ in range(self._chance.randrange(4)):
            self._do(self._step_of(self._chance.choice(_USUAL)))
        self._do(self._step_of(aim))
        while True:
            self._do(self._step_of(self._chance.choice(_USUAL)))

    def _step_of(self, kind: str) -> Step:
        if kind == 'append':
            start = self._ledger.next_number
            return Step(kind, tuple(range(start, start + self._chance.randint(
                1, _LARGEST_GROUP))))
        if kind in ('forget', 'relabel'):
            known = list(self._ledger.labels)
            return Step(kind, tuple(self._chance.sample(
                known, min(len(known), self._chance.randint(1, 5)))))
        return Step(kind)

    def _do(self, step: Step) -> None:
        self._say(f'{time.monotonic_ns()} will {step}')
        self._hand.do(step, self._ledger)
        self._say(f'{time.monotonic_ns()} did {step}')
        self._ledger.apply(step)
        self._ledger.skip(step)


def fork(path: Path, ledger: Ledger, chance: random.Random, aim: str) -> tuple[int, int]:
    """
    Start a writing process; return its pid and the pipe that it speaks into.

    The parent holds no memory file open meanwhile: SQLite must not be carried over a fork.
    """
    ear, mouth = os.pipe()
    if pid := os.fork():
        os.close(mouth)
        return pid, ear
    try:
        os.close(ear)
        Life(path, ledger, chance, lambda line: speak(mouth, line)).live(aim)
    except BaseException:
        speak(mouth, f'{time.monotonic_ns()} failed ' + repr(traceback.format_exc()))
    finally:
        os._exit(1)


def speak(mouth: int, line: str) -> None:
    """One line at once, so that a kill leaves it whole or not at all."""
    os.write(mouth, f'{line}\n'.encode())
