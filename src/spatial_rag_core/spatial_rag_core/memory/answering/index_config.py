"""Which index a retriever uses, and where that is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
import os
from pathlib import Path
import re
from typing import Literal

from spatial_rag_core.errors import ConfigurationError
from spatial_rag_core.memory.index import MemoryIndex
from spatial_rag_core.memory.tables.schema import JournalSpec
from spatial_rag_core.settings import Settings

IndexKind = Literal['embedded', 'qdrant']


@dataclass(frozen=True)
class IndexConfig:
    """
    The index of a retriever; raises ConfigurationError that names the field.

    kind: 'embedded', in the process; 'qdrant': Qdrant Edge in the folder `path`, or the server
    at host and port where no path is given.  api_key: secret, '' for none.  https: encrypted.
    collection: the server's collection; robots that share it are a fleet.
    timeout_sec: a question that takes longer fails [s].  batch_size: memories shipped at once.
    shard_resolution: H3 resolution of the cells by which a new collection is spread over the
    cluster's nodes; None: evenly.  replication_factor: copies of each shard of a new collection.
    with_thumbnails: ship the pictures too.  source: who ships, for people who look
    at the checkpoints; '': this host and memory file.
    """

    kind: IndexKind = 'embedded'
    path: str = ''
    host: str = Settings.qdrant_host
    port: int = Settings.qdrant_port
    api_key: str = field(default='', repr=False)
    https: bool = False
    collection: str = 'spatial_rag'
    timeout_sec: float = 1.0
    batch_size: int = 500
    shard_resolution: int | None = None
    replication_factor: int = 1
    with_thumbnails: bool = False
    source: str = ''

    def __post_init__(self) -> None:
        if self.kind not in ('embedded', 'qdrant'):
            raise ConfigurationError(f"index must be 'embedded' or 'qdrant', got {self.kind!r}")
        if not re.fullmatch(r'[A-Za-z0-9._:-]+', self.host):
            raise ConfigurationError(f'host must be a name or an address without a scheme or a '
                                     f'path, got {self.host!r}; say https: true for https')
        if not re.fullmatch(r'[A-Za-z0-9_-]{1,200}', self.collection):
            raise ConfigurationError('collection must be letters, digits, _ and -, '
                                     f'got {self.collection!r}')
        if any(ord(letter) < 33 or ord(letter) > 126 for letter in self.api_key):
            raise ConfigurationError('api_key has a space or another character that no key has; '
                                     'check QDRANT_API_KEY')
        for name, value, low, high in (
                ('port', self.port, 1, 65535), ('timeout_sec', self.timeout_sec, 0.01, 60.0),
                ('batch_size', self.batch_size, 1, 10_000),
                ('shard_resolution', self.shard_resolution or 0, 0, 9),
                ('replication_factor', self.replication_factor, 1, 100)):
            if not low <= value <= high:
                raise ConfigurationError(
                    f'{name} must lie between {low:g} and {high:g}, got {value}')

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None,
                         **fields: object) -> IndexConfig:
        """
        Take what is not given in `fields` from QDRANT_HOST, QDRANT_PORT and QDRANT_API_KEY.

        A field that is None or '' is not given.
        """
        env = os.environ if environment is None else environment
        settings = Settings.from_environment(env)
        defaults = {'host': settings.qdrant_host, 'port': settings.qdrant_port,
                    'api_key': env.get('QDRANT_API_KEY', '').strip()}
        given = {name: value for name, value in fields.items() if value not in (None, '')}
        return cls(**{**defaults, **given})  # type: ignore[arg-type]

    @property
    def where(self) -> str:
        """The server's name in messages."""
        return f'{self.host}:{self.port}'

    @property
    def is_server(self) -> bool:
        """Whether it is on a server, which a shipper feeds."""
        return self.kind == 'qdrant' and not self.path


def index_maker(config: IndexConfig,
                memory_path: str | Path) -> Callable[[JournalSpec], MemoryIndex]:
    """
    Return what a Retriever of this memory file takes as make_index.

    Qdrant is imported when an index is made, and not before: that takes most of a second.
    """
    if config.kind == 'embedded':
        return _embedded
    return lambda _: _qdrant(config, Path(memory_path).expanduser())


def _embedded(spec: JournalSpec) -> MemoryIndex:
    from spatial_rag_core.memory.retriever import embedded_index
    return embedded_index(spec)


def _qdrant(config: IndexConfig, memory_path: Path) -> MemoryIndex:
    try:
        if config.path:
            from spatial_rag_core.memory.qdrant.folder import open_edge_index
            return open_edge_index(config.path, memory_path)
        from spatial_rag_core.memory.qdrant.served import ServedIndex
        return ServedIndex.started(config, memory_path)
    except ImportError as error:
        package = 'qdrant-edge-py' if config.path else 'qdrant-client'
        raise ConfigurationError(f'index: qdrant needs {package} ({error}); pip install '
                                 f'{package}, or use index: embedded') from error
