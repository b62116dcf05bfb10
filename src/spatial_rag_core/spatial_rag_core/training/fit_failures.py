"""How a training ends when it cannot go on: in words that say what to do."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
from pathlib import Path
import pickle
import signal

from spatial_rag_core.errors import TrainingError

import torch


@contextlib.contextmanager
def ended_by_hand(last: Path | None) -> Iterator[None]:
    """Lightning ends the program on Ctrl-C and SIGTERM, and is deaf to Ctrl-C from then on."""
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as end:
        if signal.getsignal(signal.SIGINT) != before:
            signal.signal(signal.SIGINT, before)
        raise KeyboardInterrupt(
            'interrupted' if last is None or not last.exists()
            else f'interrupted; {last} is kept, go on with --resume') from end


@contextlib.contextmanager
def failures_told(folder: Path, resumed: Path | None) -> Iterator[None]:
    """Name what to do about what Lightning and torch raise."""
    try:
        yield
    except OSError as error:
        raise TrainingError(f'{folder}: cannot be written ({error}); choose a folder that '
                            'can be written and has space') from error
    except torch.OutOfMemoryError as error:
        raise TrainingError(f'the device has too little memory ({first_line(error)}); lower '
                            'batch_size') from error
    except (RuntimeError, LookupError, ValueError, TypeError, EOFError, pickle.PickleError,
            ) as error:
        if resumed is None:
            raise
        raise TrainingError(f'{resumed}: cannot go on from here ({first_line(error)}); train anew '
                            'without --resume, or with the configuration that it began with',
                            ) from error


def first_line(error: BaseException) -> str:
    """Return how a message begins; Lightning's go on for pages."""
    return str(error).strip().partition('\n')[0].rstrip(':')
