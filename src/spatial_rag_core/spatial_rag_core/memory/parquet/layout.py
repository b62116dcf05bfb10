"""How memories lie in a Parquet file: columns, and what is said of all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
import json
from pathlib import Path

from spatial_rag_core.errors import ConfigurationError, InputError, SchemaVersionError
from spatial_rag_core.memory.tables.schema import JournalSpec, SPEC_FIELDS

import pyarrow as pa

FORMAT_VERSION = 1
FORMAT, SPEC, MODEL_ID = b'spatial_rag.format', b'spatial_rag.spec', b'spatial_rag.model_id'
ROWS_PER_GROUP = 10_000

POSE_COLUMNS = ('x', 'y', 'z', 'qx', 'qy', 'qz', 'qw')
NEEDED = ('id', 'timestamp', *POSE_COLUMNS, 'vector')
COLUMNS = (*NEEDED, 'h3_cell', 'action', 'session', 'robot', 'map_id', 'labels', 'thumbnail')
REPEATING = ['h3_cell', 'session', 'robot', 'map_id', 'labels.list.element']


def layout(spec: JournalSpec, model_id: str | None, with_thumbnails: bool) -> pa.Schema:
    """Columns in their order, and the metadata; model_id: None where there is no latent yet."""
    columns = [
        pa.field('id', pa.string(), nullable=False),
        pa.field('timestamp', pa.float64(), nullable=False),
        *(pa.field(name, pa.float64(), nullable=False) for name in POSE_COLUMNS),
        pa.field('h3_cell', pa.string(), nullable=False),
        pa.field('vector', pa.list_(pa.float32(), spec.z_dim), nullable=False),
        pa.field('action', pa.list_(pa.float32()), nullable=False),
        pa.field('session', pa.string(), nullable=False),
        pa.field('robot', pa.string(), nullable=False),
        pa.field('map_id', pa.string(), nullable=False),
        pa.field('labels', pa.list_(pa.string()), nullable=False)]
    if with_thumbnails:
        columns.append(pa.field('thumbnail', pa.binary()))
    metadata = {FORMAT: str(FORMAT_VERSION), SPEC: json.dumps(asdict(spec))}
    return pa.schema(columns, metadata if model_id is None else {**metadata, MODEL_ID: model_id})


def described(metadata: Mapping[bytes, bytes] | None, path: Path) -> tuple[
        JournalSpec | None, str | None]:
    """
    Spec and model_id that a file's metadata tell; None where they do not.

    Raises SchemaVersionError for a later format, InputError for what cannot be read.
    """
    metadata = metadata or {}
    try:
        version = int(metadata.get(FORMAT, b'1'))
        if version > FORMAT_VERSION:
            raise SchemaVersionError(
                f'{path} has format {version} of spatial_rag.format, this software knows '
                f'{FORMAT_VERSION}; update Spatial-RAG')
        return (_spec(metadata[SPEC]) if SPEC in metadata else None,
                metadata[MODEL_ID].decode() if MODEL_ID in metadata else None)
    except (ConfigurationError, KeyError, TypeError, ValueError) as error:
        raise InputError(f'{path}: its metadata cannot be understood ({error}); export it '
                         'again') from error


def _spec(text: bytes) -> JournalSpec:
    told = json.loads(text)
    return JournalSpec(**{name: told[name] for name in SPEC_FIELDS})
