from __future__ import annotations

from pathlib import Path
import re
import subprocess
import sys
from typing import Any

from spatial_rag_core.errors import ConfigurationError
from spatial_rag_core.memory.answering.index_config import index_maker, IndexConfig
from spatial_rag_core.memory.cell_index import CellIndex

import pytest

from ..memory_files import make, SPEC


def test_the_index_is_embedded_unless_another_is_asked_for(tmp_path: Path) -> None:
    index = index_maker(IndexConfig(), tmp_path / 'memory.db')(SPEC)
    assert isinstance(index, CellIndex)
    index.close()


@pytest.mark.parametrize(('fields', 'named'), [
    ({'kind': 'faiss'}, "index must be 'embedded' or 'qdrant', got 'faiss'"),
    ({'host': 'https://cluster'}, "got 'https://cluster'; say https: true"),
    ({'host': 'here there'}, "got 'here there'"),
    ({'port': 0}, 'port must lie between 1 and 65535, got 0'),
    ({'port': 65536}, 'got 65536'),
    ({'collection': 'a/b'}, "got 'a/b'"),
    ({'collection': ''}, 'collection must be'),
    ({'timeout_sec': 0.0}, 'timeout_sec must lie between 0.01 and 60, got 0.0'),
    ({'timeout_sec': float('nan')}, 'got nan'),
    ({'batch_size': 0}, 'batch_size'),
    ({'shard_resolution': 10}, 'shard_resolution must lie between 0 and 9, got 10'),
    ({'replication_factor': 0}, 'replication_factor'),
])
def test_a_value_out_of_range_is_refused_by_name(fields: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(named)):
        IndexConfig(**fields)


def test_what_is_not_given_comes_from_the_environment() -> None:
    environment = {'QDRANT_HOST': 'cluster', 'QDRANT_PORT': '7333', 'QDRANT_API_KEY': ' secret\n'}
    config = IndexConfig.from_environment(environment, kind='qdrant', host='', port=None)
    assert (config.where, config.api_key, config.is_server) == ('cluster:7333', 'secret', True)
    given = IndexConfig.from_environment(environment, host='mine', port=1234, api_key='other')
    assert (given.where, given.api_key) == ('mine:1234', 'other')
    assert IndexConfig.from_environment({}).where == 'localhost:6333'


def test_the_key_is_in_no_text() -> None:
    config = IndexConfig(api_key='very-secret')
    assert 'very-secret' not in f'{config} {config!r}'
    with pytest.raises(ConfigurationError) as caught:
        IndexConfig(api_key='very secret')
    assert 'very secret' not in str(caught.value)


def test_a_folder_means_no_server() -> None:
    assert not IndexConfig(kind='qdrant', path='folder').is_server
    assert not IndexConfig().is_server


def test_qdrant_is_imported_only_by_who_uses_it(tmp_path: Path) -> None:
    program = (
        'import sys; from spatial_rag_core.memory.answering.index_config import *; '
        'import spatial_rag_core.memory.retriever; '
        f'index_maker(IndexConfig(kind="qdrant"), {str(tmp_path)!r}); '
        'print([name for name in sys.modules if name.startswith("qdrant_")])')
    done = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True,
                          timeout=60, check=False)
    assert done.stdout == '[]\n', done.stderr


@pytest.mark.parametrize(('fields', 'package'), [
    ({'path': 'folder'}, 'qdrant-edge-py'), ({}, 'qdrant-client')])
def test_a_missing_package_is_named(fields: dict[str, Any], package: str, tmp_path: Path,
                                    monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ('qdrant_edge', 'qdrant_client'):
        monkeypatch.setitem(sys.modules, module, None)
    for module in list(sys.modules):
        if re.match(r'spatial_rag_core\.memory\.qdrant[_.]', module):
            monkeypatch.delitem(sys.modules, module)
    path = make(tmp_path / 'memory.db', 3)
    with pytest.raises(ConfigurationError, match=f'pip install {package}'):
        index_maker(IndexConfig(kind='qdrant', **fields), path)(SPEC)
