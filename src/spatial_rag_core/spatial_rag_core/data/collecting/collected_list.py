"""Which recordings a file of episodes was made of."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


class DoneList:
    """
    Which recordings were read to their end, in a file beside the episodes.

    Without it they are only read again, for nothing: no episode is added twice.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.with_name(path.name + '.collected')
        self._done: set[tuple[str, int]] = set()
        if self._path.exists():
            for line in self._path.read_text(errors='replace').splitlines():
                self._take(line)

    def __contains__(self, recording: tuple[str, int]) -> bool:
        return recording in self._done

    def add(self, name: str, start_ns: int) -> None:
        """Note a recording, for good."""
        self._done.add((name, start_ns))
        with self._path.open('a') as file:
            file.write(json.dumps({'recording': name, 'start_ns': start_ns}) + '\n')
            file.flush()
            os.fsync(file.fileno())

    def _take(self, line: str) -> None:
        try:
            values: dict[str, Any] = json.loads(line)
            self._done.add((str(values['recording']), int(values['start_ns'])))
        except (ValueError, KeyError, TypeError):
            return  # cut short when the process was killed
