"""Flipped bytes, misplaced pages and cuts at random places of a store that nobody has open."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass, field, replace
import os
from pathlib import Path
import random
import shutil
import signal
import traceback
from typing import Any

from spatial_rag_core.memory.journal import Journal

from contents import memory_of, SPEC
from judgement import judge
from ledger import Step
from log_judgement import judge_log
from verdict import TortureError

MEMORIES, FORGOTTEN, RELABELLED = 300, (5, 6, 7, 150, 194), tuple(range(20, 40))
PATIENCE_SEC = 30


@dataclass(frozen=True)
class Store:
    """Files of a sound store by the end of their names, and what its writer did."""

    files: dict[str, bytes]
    steps: tuple[Step, ...]
    seqs: dict[int, int]

    def lay(self, path: Path) -> None:
        for end, content in self.files.items():
            Path(f'{path}{end}').write_bytes(content)


def make_store(folder: Path) -> tuple[Store, Store]:
    """One that was closed, and one whose writer died: its newest part is in the log alone."""
    folder.mkdir()
    path = folder / 'memory.db'
    steps: list[Step] = []
    seqs: dict[int, int] = {}
    for start in range(1, MEMORIES, MEMORIES // 3):
        with Journal.open_writer(path, SPEC) as journal:
            for first in range(start, start + MEMORIES // 3, 10):
                steps.append(Step('append', tuple(range(first, first + 10))))
                memories = [memory_of(number) for number in steps[-1].numbers]
                seqs.update(zip(steps[-1].numbers, journal.append(memories), strict=True))
            if len(seqs) == MEMORIES:
                steps += [Step('forget', FORGOTTEN), Step('relabel', RELABELLED)]
                journal.forget([seqs.pop(number) for number in FORGOTTEN])
                journal.relabel([seqs[number] for number in RELABELLED], add=('seen',),
                                remove=('new',))
                killed = {end: Path(f'{path}{end}').read_bytes()
                          for end in ('', '-wal', '.lock')}
    return (Store({'': path.read_bytes()}, tuple(steps), seqs),
            Store(killed, tuple(steps), seqs))


@dataclass(frozen=True)
class Damage:
    """What is done to which of the files, at a place that the seed gives."""

    kind: str
    end: str
    seed: int

    def apply(self, store: Store) -> dict[str, bytes]:
        chance = random.Random(f'{self.kind} {self.end} {self.seed}')
        content = bytearray(store.files[self.end])
        _DAMAGES[self.kind](content, chance)
        return {**store.files, self.end: bytes(content)}


def _page_size(content: bytearray) -> int:
    size = int.from_bytes(content[16:18], 'big')
    return 65536 if size == 1 else size


def _pages(content: bytearray, chance: random.Random, count: int) -> list[slice]:
    size = _page_size(content)
    return [slice(number * size, (number + 1) * size)
            for number in chance.sample(range(len(content) // size), count)]


def _flip_a_bit(content: bytearray, chance: random.Random) -> None:
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)


def _change_a_byte(content: bytearray, chance: random.Random) -> None:
    place = chance.randrange(len(content))
    content[place] = (content[place] + chance.randrange(1, 256)) % 256


def _scribble(content: bytearray, chance: random.Random) -> None:
    place = chance.randrange(len(content) - 64)
    content[place:place + 64] = chance.randbytes(64)


def _zero_a_sector(content: bytearray, chance: random.Random) -> None:
    place = 512 * chance.randrange(len(content) // 512)
    content[place:place + 512] = bytes(512)


def _zero_a_page(content: bytearray, chance: random.Random) -> None:
    [page] = _pages(content, chance, 1)
    content[page] = bytes(_page_size(content))


def _cut(content: bytearray, chance: random.Random) -> None:
    del content[chance.randrange(len(content)):]


def _swap_two_pages(content: bytearray, chance: random.Random) -> None:
    one, other = _pages(content, chance, 2)
    content[one], content[other] = content[other], content[one]


def _write_a_page_over_another(content: bytearray, chance: random.Random) -> None:
    one, other = _pages(content, chance, 2)
    content[one] = content[other]


def _flip_near_the_start_of_a_page(content: bytearray, chance: random.Random) -> None:
    """Where a page says what it is, and where its parts lie."""
    [page] = _pages(content, chance, 1)
    content[page.start + chance.randrange(40)] ^= 1 << chance.randrange(8)


_DAMAGES: dict[str, Callable[[bytearray, random.Random], None]] = {
    'a flipped bit': _flip_a_bit,
    'a changed byte': _change_a_byte,
    'a bit of a page head': _flip_near_the_start_of_a_page,
    '64 bytes of noise': _scribble,
    'a sector of zeros': _zero_a_sector,
    'a page of zeros': _zero_a_page,
    'cut': _cut,
    'two pages swapped': _swap_two_pages,
    'a page written elsewhere': _write_a_page_over_another,
}
_LOG_DAMAGES = ('a flipped bit', '64 bytes of noise', 'a sector of zeros', 'cut')


def damages(places: int, seed: int) -> list[Damage]:
    """`places` of them, a fifth of these in a write-ahead log."""
    in_log = places // 5
    kinds = list(_DAMAGES)
    return [*(Damage(kinds[n % len(kinds)], '', seed * 1_000_000 + n)
              for n in range(places - in_log)),
            *(Damage(_LOG_DAMAGES[n % len(_LOG_DAMAGES)], '-wal', seed * 1_000_000 + n)
              for n in range(in_log))]


@dataclass
class DamageFigures:
    """
    How many stores came to which end, by kind of damage.

    salvaged, lost, pictures_lost: memories over all stores.  inexact: stores whose losses could
    not be told exactly.  lost_of_log: memories that were in a damaged log alone.
    """

    classes: dict[str, dict[str, int]] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)
    salvaged: int = 0
    lost: int = 0
    pictures_lost: int = 0
    inexact: int = 0
    lost_of_log: int = 0

    def take(self, damage: Damage, verdict: dict[str, Any]) -> None:
        name = f'{damage.kind}{" of the log" if damage.end else ""}'
        classes, this = self.classes.setdefault(name, {}), str(verdict['class'])
        classes[this] = classes.get(this, 0) + 1
        if verdict['class'] == 'broken':
            self.broken.append(f'{damage}: {verdict["why"]}')
        for name in ('salvaged', 'lost', 'pictures_lost', 'inexact', 'lost_of_log'):
            setattr(self, name, getattr(self, name) + verdict.get(name, 0))


def torture(folder: Path, places: int, seed: int,
            progress: Callable[[str], None]) -> DamageFigures:
    """Damage a store at so many places, one at a time; raises TortureError where one lies."""
    closed, killed = make_store(folder / 'sound')
    figures = DamageFigures()
    for number, damage in enumerate(damages(places, seed)):
        progress(f'{number} of {places}: {damage}')
        store = killed if damage.end else closed
        place = folder / 'damaged'
        place.mkdir()
        damaged = replace(store, files=damage.apply(store))
        damaged.lay(place / 'memory.db')
        figures.take(damage, in_a_process(place / 'memory.db', damaged))
        shutil.rmtree(place)
    return figures


def in_a_process(path: Path, store: Store) -> dict[str, object]:
    """Judge in a process of its own, which may crash or hang."""
    ear, mouth = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            signal.alarm(PATIENCE_SEC)
            judgement = judge_log if '-wal' in store.files else judge
            answer = judgement(path, store.steps, store.seqs)
        except TortureError as error:
            answer = {'class': 'broken', 'why': str(error)}
        except BaseException:
            answer = {'class': 'broken', 'why': traceback.format_exc()}
        os.write(mouth, repr(answer).encode()[:60_000])
        os._exit(0)
    os.close(mouth)
    with os.fdopen(ear, 'rb') as pipe:
        text = pipe.read().decode()
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        return {'class': 'broken', 'why': f'ended by signal {os.WTERMSIG(status)}'}
    return dict(ast.literal_eval(text))
