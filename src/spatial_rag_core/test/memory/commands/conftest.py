from __future__ import annotations

from collections.abc import Callable
import json
from pathlib import Path
import sqlite3
from typing import Any, NamedTuple

from spatial_rag_core import cli
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.tables.schema import JournalSpec
from spatial_rag_core.records import as_action, as_latent, Memory, Pose, Position
from spatial_rag_core.spatial.h3_cells import H3Grid
from spatial_rag_core.spatial.local_frame import LocalFrame

import cv2
import numpy as np
import pytest

SPEC = JournalSpec(z_dim=3, datum_latitude_deg=48.0)
DAY_SEC = 86_400.0
GRID = H3Grid(LocalFrame(SPEC.datum), SPEC.h3_resolution)


class Told(NamedTuple):
    """How a command ended, and what it said."""

    status: int
    out: str
    err: str

    @property
    def values(self) -> dict[str, Any]:
        assert (self.status, self.err) == (0, '')
        assert self.out.count('\n') == 1
        values: dict[str, Any] = json.loads(self.out)
        return values


def picture(n: int) -> bytes:
    return bytes(cv2.imencode('.jpg', np.full((24, 32, 3), 20 * n % 256, np.uint8))[1])


def memory(n: int) -> Memory:
    """Memory n is at x = n m and remembers latent [n, 0, 1]; 0 to 5 are of the first day."""
    day, position = n // 6, Position(float(n), 0.0, 0.5)
    return Memory(
        f'id-{n:02}', as_latent([n, 0, 1]), Pose(position), GRID.cell(position),
        1000.0 + 10 * n + day * DAY_SEC, 'some-model', as_action([n, 1]), ('first', 'second')[day],
        ('r1', 'r2')[day], 'kitchen', ('door', 'wet') if n % 4 == 0 else (),
        thumbnail=b'' if n == 3 else picture(n))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A memory file of twelve memories."""
    with Journal.open_writer(tmp_path / 'memory.db', SPEC) as journal:
        journal.append([memory(n) for n in range(12)])
    return tmp_path / 'memory.db'


@pytest.fixture
def damaged(path: Path) -> Path:
    """The memory file with a flipped byte in the latent of its fifth memory."""
    connection = sqlite3.connect(path)
    with connection:
        record, = connection.execute('SELECT record FROM memories WHERE seq = 5').fetchone()
        flipped = bytes((*record[:80], record[80] ^ 1, *record[81:]))
        connection.execute('UPDATE memories SET record = ? WHERE seq = 5', (flipped,))
    connection.close()
    return path


@pytest.fixture
def ids() -> Callable[[Path], list[str]]:
    """Ids of the memories of a file, in order."""
    def read(path: Path) -> list[str]:
        with Journal.open_reader(path) as journal:
            found = journal.get(journal.records_after(0)['seq'].tolist())
        return [found[seq].id for seq in sorted(found)]
    return read


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Told]:
    """Run `spatial-rag memory WORDS`."""
    def call(*words: object) -> Told:
        capsys.readouterr()
        try:
            status = cli.main(['memory', *map(str, words)])
        except SystemExit as end:
            status = end.code
        return Told(status, *capsys.readouterr())
    return call
