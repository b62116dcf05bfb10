"""A progress bar on stderr for who watches; nothing for anyone else."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
import sys

from spatial_rag_core.memory.file.snapshot import OnProgress


@contextmanager
def progress(arguments: argparse.Namespace, does: str,
             unit: str = 'memories') -> Iterator[OnProgress]:
    """Give `on_progress(done, total)`, which draws where stderr is a terminal."""
    if arguments.quiet or not sys.stderr.isatty():
        yield _silent
        return
    from tqdm import tqdm  # type: ignore[import-untyped, unused-ignore]
    with tqdm(desc=does, unit=f' {unit}', unit_scale=True, dynamic_ncols=True, leave=False,
              file=sys.stderr) as bar:
        def draw(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield draw


def _silent(done: int, total: int) -> None:
    pass
