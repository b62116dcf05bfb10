"""Files of tensors: written whole or not at all, read without running code of theirs."""

from __future__ import annotations

from collections.abc import Mapping
import contextlib
import os
from pathlib import Path
from typing import Any

from spatial_rag_core.errors import TrainingError
from spatial_rag_core.training.fit_failures import first_line

import torch


def write_tensors(path: Path, content: Mapping[str, Any]) -> None:
    """Write the old file or the new one, never a part; raises TrainingError."""
    temporary = path.with_name(f'.{path.name}.{os.getpid()}.tmp')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open('wb') as stream:
            torch.save(content, stream)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except (OSError, RuntimeError) as error:  # torch tells a full disk as RuntimeError
        raise TrainingError(f'{path}: cannot be written ({error}); choose a folder that can be '
                            'written and has space') from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def read_tensors(path: Path, kind: str, remedy: str) -> Any:
    """
    Return what such a file holds, its tensors in the memory of the CPU.

    kind: what it should be, remedy: what to do where it is not.  Raises TrainingError.
    """
    try:
        stream = path.open('rb')
    except FileNotFoundError as error:
        raise TrainingError(f'{path}: no such {kind}; {remedy}') from error
    except OSError as error:
        raise TrainingError(f'{path}: cannot be read ({error}); name a file that can') from error
    with stream:
        try:
            return torch.load(stream, map_location='cpu', weights_only=True)
        except Exception as error:  # a damaged file makes torch fail in any way
            raise TrainingError(f'{path}: no {kind}, or damaged ({first_line(error)}); '
                                f'{remedy}') from error
