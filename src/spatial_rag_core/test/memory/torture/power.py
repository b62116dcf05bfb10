"""
A power cut before each call: what was synced is there, of what came later anything may be.

The failing disk writes down each call; the files are then put together as they would lie on the
disk had the power gone at some moment. Names are taken to be durable at once (as on ext4 with its
defaults, where a directory's changes keep their order); what files hold is not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
import random
import shutil
import struct
from typing import NamedTuple

from spatial_rag_core.memory.journal import Durability, Journal
from spatial_rag_core.memory.upkeep import integrity

from contents import SPEC
import disk
from faults import NAME, script
from hand import Hand
from ledger import Ledger
from verdict import TortureError

WROTE, SYNCED, CUT, RENAMED, REMOVED, MARKED = range(1, 7)
SECTOR = 512
_HEAD = struct.Struct('<IIqq')


class Call(NamedTuple):
    """A call that changed a file, or a mark between calls (offset: its number)."""

    what: int
    path: str
    offset: int
    data: bytes
    size: int


def parse(trace: bytes) -> Iterator[Call]:
    """Every call of the trace."""
    at = 0
    while at < len(trace):
        what, path_size, offset, size = _HEAD.unpack_from(trace, at)
        at += _HEAD.size
        path = trace[at:at + path_size].decode()
        at += path_size
        data = trace[at:at + size] if what in (WROTE, RENAMED) else b''
        at += len(data)
        yield Call(what, path, offset, data, size)


@dataclass
class Disk:
    """Files as they lie on the disk, and what was done to each since it was last synced."""

    files: dict[str, bytearray] = field(default_factory=dict)
    unsynced: dict[str, list[Call]] = field(default_factory=dict)

    def take(self, call: Call) -> None:
        """One more call."""
        if call.what == MARKED:
            return
        if call.what == SYNCED:
            for earlier in self.unsynced.pop(call.path, []):
                _apply(self.files.setdefault(call.path, bytearray()), earlier)
        elif call.what == RENAMED:
            target = call.data.decode()
            self.files[target] = self.files.pop(call.path, bytearray())
            self.unsynced[target] = self.unsynced.pop(call.path, [])
        elif call.what == REMOVED:
            self.files.pop(call.path, None)
            self.unsynced.pop(call.path, None)
        else:
            self.unsynced.setdefault(call.path, []).append(call)

    def after_power_cut(self, chance: random.Random) -> dict[str, bytes]:
        """
        Files by path.

        After each call that was not synced, each sector that it touched may have come to the
        disk, as it then was.
        """
        share = chance.choice((0.0, 0.5, 0.9, 1.0))
        files = {}
        for path in {*self.files, *self.unsynced}:
            content = bytearray(self.files.get(path, b''))
            meant = bytearray(content)
            for call in self.unsynced.get(path, []):
                _apply(meant, call)
                for part in _parts(call):
                    if chance.random() < share:
                        _apply(content, part if call.what == CUT else part._replace(
                            data=bytes(meant[part.offset:part.offset + SECTOR])))
            files[path] = bytes(content)
        return files


def _parts(call: Call) -> list[Call]:
    """One for each sector that it writes to; a cut is one."""
    if call.what == CUT:
        return [call]
    first = call.offset - call.offset % SECTOR
    return [call._replace(offset=offset)
            for offset in range(first, call.offset + len(call.data), SECTOR)]


def _apply(content: bytearray, call: Call) -> None:
    if call.what == CUT:
        del content[call.offset:]
        content.extend(bytes(call.offset - len(content)))
    else:
        content.extend(bytes(max(0, call.offset - len(content))))
        content[call.offset:call.offset + len(call.data)] = call.data


def record(folder: Path, durability: Durability) -> list[Call]:
    """A writer's life, call by call; mark 2 n: step n begins, 2 n + 1: it is acknowledged."""
    hand, ledger, trace = Hand(folder / 'memory.db', durability), Ledger(), folder / 'trace'
    disk.lift(NAME)
    disk.trace(trace)
    for number, step in enumerate(script()):
        disk.mark(2 * number)
        hand.do(step, ledger)
        ledger.apply(step)
        disk.mark(2 * number + 1)
    disk.trace(None)
    return list(parse(trace.read_bytes()))


@dataclass
class PowerFigures:
    """What came of it: power cuts, and acknowledged steps that were lost in the worst of them."""

    cuts: int = 0
    most_steps_lost: int = 0


def torture(folder: Path, durability: Durability, cuts: int, seed: int,
            progress: Callable[[str], None]) -> PowerFigures:
    """Cut the power before each call of one life of a writer in turn, again and again."""
    calls = record(folder, durability)
    chance = random.Random(seed)
    figures = PowerFigures()
    moments = sorted(number % len(calls) for number in range(cuts))
    lying = Disk()
    taken = 0
    for moment in moments:
        for call in calls[taken:moment]:
            lying.take(call)
        taken = moment
        progress(f'power cut ({durability}) before call {moment} of {len(calls)}')
        place = folder / 'after'
        place.mkdir()
        for path, content in lying.after_power_cut(chance).items():
            (place / Path(path).name).write_bytes(content)
        marks = [call.offset for call in calls[:moment] if call.what == MARKED]
        lost = _steps_lost(place / 'memory.db', marks)
        if durability == 'power' and lost:
            raise TortureError(f'power cut before call {moment}: {lost} acknowledged steps '
                               'are gone')
        _require_backup(place / 'memory.backup', marks)
        figures.cuts += 1
        figures.most_steps_lost = max(figures.most_steps_lost, lost)
        shutil.rmtree(place)
    return figures


def _require_backup(path: Path, marks: list[int]) -> None:
    """A backup that was acknowledged is whole; before that there is a whole one or none."""
    steps = list(script())
    number = next(n for n, step in enumerate(steps) if step.kind == 'backup')
    if not path.exists():
        if 2 * number + 1 in marks:
            raise TortureError('the backup is gone after a power cut')
        return
    ledger = Ledger.after(steps[:number])
    with Journal.open_writer(path, SPEC) as journal:
        if problem := ledger.disagreement(journal, list(ledger.labels)):
            raise TortureError(f'the backup after a power cut {problem}')


def _steps_lost(path: Path, marks: list[int]) -> int:
    """How many acknowledged steps are gone; raises TortureError where it is not a prefix."""
    steps = list(script())
    begun = len({mark // 2 for mark in marks})
    done = sum(mark % 2 for mark in marks)
    with Journal.open_writer(path, SPEC) as journal:
        problem = ''
        for kept in range(begun, -1, -1):
            ledger = Ledger.after(steps[:kept])
            this = ledger.disagreement(journal, list(ledger.labels))
            if not this:
                break
            problem = problem or this
        else:
            raise TortureError(f'after a power cut the store is of no moment: it {problem}')
    if not (report := integrity.check(path)).is_clean:
        raise TortureError(f'check after a power cut: {report.problems}')
    return max(0, done - kept)
