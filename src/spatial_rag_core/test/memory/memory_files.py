"""Memory files for tests: made, read back whole, and damaged on purpose."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.tables.schema import JournalSpec
from spatial_rag_core.records import as_action, as_latent, Memory, Pose, Position, Quaternion
from spatial_rag_core.spatial.h3_cells import H3Grid
from spatial_rag_core.spatial.local_frame import LocalFrame

import numpy as np

SPEC = JournalSpec(z_dim=4, datum_latitude_deg=48.0, datum_heading_deg=30.0)
GRID = H3Grid(LocalFrame(SPEC.datum), SPEC.h3_resolution)
TURNS = (Quaternion(0.0, 0.0, 0.6, 0.8), Quaternion(0.5, -0.5, 0.5, 0.5),
         Quaternion(0.0, 0.8, 0.0, -0.6), Quaternion(0.0, 0.0, 0.0, 1.0))
"""Of length 1 to the bit, so that they stay as they are."""


def memory(n: int, **fields: object) -> Memory:
    """The n-th of memories that differ in everything."""
    chance = np.random.default_rng(n)
    position = Position(*(100 * chance.normal(size=3)).tolist())
    plain = Memory(
        f'id-{n}', as_latent(chance.normal(size=4)),
        Pose(position, TURNS[n % len(TURNS)]), GRID.cell(position),
        1.76e9 + n / 20, 'model-a', as_action(chance.normal(size=2) if n % 3 else []),
        f'session-{n // 50}', f'robot-{n % 2}', 'kitchen', ('door', 'Tür "3"')[:n % 3],
        chance.bytes(500 + n % 400) if n % 5 else b'')
    return replace(plain, **fields)  # type: ignore[arg-type]


def make(path: Path, count: int, **fields: object) -> Path:
    """A memory file that was closed."""
    with Journal.open_writer(path, SPEC) as journal:
        journal.append([memory(n, **fields) for n in range(count)])
    return path


def read(path: Path) -> list[Memory]:
    """All memories in their order."""
    journal = Journal.open_reader(path)
    assert journal is not None
    with journal:
        found = journal.get(journal.records_after(0, 1_000_000)['seq'].tolist())
        journal.require_all(len(found))
    return [found[seq] for seq in sorted(found)]


def content(memory: Memory, but: tuple[str, ...] = ()) -> dict[str, object]:
    """All of a memory, to be compared; floats to the bit."""
    fields = {**vars(memory), 'vector': memory.vector.tobytes(),
              'action': memory.action.tobytes()}
    return {name: value for name, value in fields.items() if name not in but}


def contents(memories: list[Memory]) -> list[dict[str, object]]:
    """All of memories, in order."""
    return [content(memory) for memory in memories]


def generation(path: Path) -> int:
    """Of the memories in a file."""
    journal = Journal.open_reader(path)
    assert journal is not None
    with journal:
        return journal.generation


def flip(path: Path, needle: bytes, at: int = 0) -> None:
    """Change one bit of the only place where these bytes lie."""
    whole = bytearray(path.read_bytes())
    assert whole.count(needle) == 1
    whole[whole.index(needle) + at] ^= 0x10
    path.write_bytes(whole)
