"""Which generations of a memory file were shipped, and where to: a small file beside it."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path

from spatial_rag_core.memory.file.private_file import private_file


class ShippedGenerations:
    """
    What this memory file left on servers, so that it removes its own, and nothing else.

    A robot of the same name with a copy of the memory has no such file. Where the folder cannot
    be written, what was left stays there.
    """

    def __init__(self, memory_path: Path) -> None:
        self._path = Path(f'{memory_path.expanduser().resolve()}.shipped')

    def others(self, where: str, generation: int) -> list[int]:
        """Generations but this one that were shipped to a collection."""
        return [other for other in self._read().get(where, []) if other != generation]

    def add(self, where: str, generation: int) -> None:
        """Note a generation before any of it is shipped."""
        told = self._read()
        if generation not in told.get(where, []):
            self._write({**told, where: [*told.get(where, []), generation]})

    def remove(self, where: str, generation: int) -> None:
        """Note that nothing is left of a generation."""
        told = self._read()
        self._write({**told, where: [each for each in told.get(where, []) if each != generation]})

    def _read(self) -> dict[str, list[int]]:
        try:
            told = json.loads(self._path.read_text())
            return {str(where): [int(each) for each in generations]
                    for where, generations in told.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            return {}

    def _write(self, told: dict[str, list[int]]) -> None:
        draft = Path(f'{self._path}.{os.getpid()}')
        with contextlib.suppress(OSError):
            with private_file(draft) as file:
                file.write(json.dumps(told).encode())
            draft.replace(self._path)
