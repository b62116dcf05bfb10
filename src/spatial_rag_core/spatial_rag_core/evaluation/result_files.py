"""Files of results: written whole or not at all, read with errors that name file and remedy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
import contextlib
import json
import os
from pathlib import Path
from typing import Any, IO, TypeVar
import zipfile

from spatial_rag_core.errors import SpatialRagError, TrainingError

import numpy as np
from numpy.typing import NDArray

REMEDY = 'delete it and run the experiment again: it makes only what is missing'
T = TypeVar('T')


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write an object; raises TrainingError where it is not finite or cannot be written."""
    try:
        text = json.dumps(values, indent=1, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise TrainingError(f'{path}: a result cannot be written as JSON ({error}); results are '
                            'finite numbers, strings and lists') from error
    write_text(path, text + '\n')


def write_text(path: Path, text: str) -> None:
    """Write a text; raises TrainingError where it cannot be written."""
    with _replaced(path) as stream:
        stream.write(text.encode())


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write an .npz file; raises TrainingError where it cannot be written."""
    with _replaced(path) as stream:
        np.savez_compressed(stream, allow_pickle=False, **arrays)


def read_result(path: Path, decode: Callable[[dict[str, Any]], T]) -> T:
    """Decode an object; raises TrainingError that names the file."""
    with _named(path):
        values = json.loads(path.read_bytes())
        if not isinstance(values, dict):
            raise ValueError(f'holds a {type(values).__name__}, expected an object')
        return decode(values)


def read_arrays(path: Path, decode: Callable[[dict[str, NDArray[Any]]], T]) -> T:
    """Decode an .npz file; raises TrainingError that names the file."""
    with _named(path), path.open('rb') as stream:
        if not zipfile.is_zipfile(stream):
            raise ValueError('not a whole .npz file')
        stream.seek(0)
        with np.load(stream, allow_pickle=False) as file:
            return decode({name: file[name] for name in file.files})


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise TrainingError(f'{path}: no such result; make it: spatial-rag experiment '
                            'retrieval-gain') from error
    except KeyError as error:
        raise TrainingError(f'{path}: lacks {error}; {REMEDY}') from error
    except (OSError, EOFError, ValueError, TypeError, AttributeError, zipfile.BadZipFile,
            SpatialRagError) as error:
        raise TrainingError(f'{path}: damaged ({error}); {REMEDY}') from error


@contextlib.contextmanager
def _replaced(path: Path) -> Iterator[IO[bytes]]:
    temporary = path.with_name(f'.{path.name}.{os.getpid()}.tmp')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open('wb') as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise TrainingError(f'{path} cannot be written: {error.strerror or error}; free space, '
                            'or name another folder') from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
