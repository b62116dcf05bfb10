"""`run_stack`: what `make run` calls."""

from __future__ import annotations

from collections.abc import Sequence
import signal
import sys


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stack as the command line says; 1 where it could not."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C in the midst of imports: no traceback
    from spatial_rag_bringup.run_options import parse
    from spatial_rag_bringup.stack_run import run
    from spatial_rag_core.errors import SpatialRagError
    try:
        return run(parse(argv))
    except SpatialRagError as error:
        print(f'run_stack: {error}', file=sys.stderr)
        return 1
