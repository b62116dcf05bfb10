"""Memories of a Parquet file into a memory file: see parquet/__init__.py."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
from dataclasses import dataclass
from pathlib import Path

from spatial_rag_core.errors import InputError
from spatial_rag_core.memory.file.snapshot import OnProgress
from spatial_rag_core.memory.file.whole_file import held_for_writing, whole_memory_or_not_at_all
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.parquet.layout import COLUMNS, described, NEEDED, ROWS_PER_GROUP
from spatial_rag_core.memory.parquet.rows import memories_of
from spatial_rag_core.memory.tables.bulk_append import BulkAppender, MemoryColumns
from spatial_rag_core.memory.tables.schema import JournalSpec

import pyarrow as pa
import pyarrow.parquet as pq

_MANUAL = '`pydoc spatial_rag_core.memory.parquet`'
_HOLDER = 'spatial-rag memory import'


@dataclass(frozen=True)
class ImportReport:
    """Memories written, and memories passed over since their id was there already."""

    written: int
    already_there: int


def import_parquet(source: Path, target: Path,
                   on_progress: OnProgress | None = None) -> ImportReport:
    """
    Add the memories of a Parquet file, in its order, to a memory file or to a new one.

    Ids are kept; those that are there already are passed over, whatever their content. A new
    target appears once it is whole. Into one that exists memories come in batches: after an
    error those before the bad row are there, and the same import goes on where it stopped.
    Raises InputError that names row or column and the remedy, JournalMismatchError for another
    spec, ModelMismatchError for latents of another encoder, JournalInUseError while another
    process writes to target, JournalError.
    """
    with _opened(source) as file:
        spec, model_id = described(file.schema_arrow.metadata, source)
        if target.exists() and target.stat().st_size > 0:
            with Journal.open_existing_writer(target, holder=_HOLDER) as journal:
                journal.spec.require_same(spec or journal.spec, str(target))
                return _import(file, source, journal, model_id or journal.model_id, on_progress)
        with (held_for_writing(target, _HOLDER),
              whole_memory_or_not_at_all(target, overwrite=target.exists()) as unfinished,
              Journal.open_writer(unfinished, _needed(spec, source), 'none') as journal):
            return _import(file, source, journal, model_id, on_progress)


@contextlib.contextmanager
def _opened(source: Path) -> Iterator[pq.ParquetFile]:
    with _readable(source):
        file = pq.ParquetFile(source, page_checksum_verification=True)
    with file:
        if lacking := [name for name in NEEDED if name not in file.schema_arrow.names]:
            raise InputError(f'{source} lacks the column {lacking[0]}; {_MANUAL} tells what '
                             'must be there')
        yield file


@contextlib.contextmanager
def _readable(source: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise InputError(f'{source}: no such file; check the path') from error
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InputError(f'{source} is no Parquet file, or a damaged one: '
                         f'{" ".join(str(error).split())}; export it again') from error


def _needed(spec: JournalSpec | None, source: Path) -> JournalSpec:
    if spec is None:
        raise InputError(f'{source} does not tell spatial_rag.spec in its metadata; import it '
                         f'into a memory file that exists, or set it: see {_MANUAL}')
    return spec


def _import(file: pq.ParquetFile, source: Path, journal: Journal, model_id: str | None,
            on_progress: OnProgress | None) -> ImportReport:
    total, row, written = file.metadata.num_rows, 0, 0
    if not total:
        return ImportReport(0, 0)
    if model_id is None:
        raise InputError(f'{source} does not tell spatial_rag.model_id in its metadata, the '
                         f'author of the latents; set it: see {_MANUAL}')
    appender = BulkAppender(journal, model_id)
    for columns in _batches(file, source, journal.spec):
        written += appender.append(columns)
        row += len(columns.ids)
        if on_progress:
            on_progress(row, total)
    return ImportReport(written, row - written)


def _batches(file: pq.ParquetFile, source: Path, spec: JournalSpec) -> Iterator[MemoryColumns]:
    names = [name for name in COLUMNS if name in file.schema_arrow.names]
    row = 0
    with _readable(source):
        for batch in file.iter_batches(ROWS_PER_GROUP, columns=names):
            yield memories_of(batch, spec, source, row)
            row += len(batch)
