from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from spatial_rag_api.parts import Parts
from spatial_rag_core.models.bundle import Bundle

import httpx
import pytest

from .robots import client_of, make_bundle, make_memory, parts_of


@pytest.fixture(scope='session')
def bundle_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp('bundle') / 'bundle.pt')


@pytest.fixture(scope='session')
def bundle(bundle_path: Path) -> Bundle:
    return Bundle.load(bundle_path, device='cpu')


@pytest.fixture(scope='session')
def memory_path(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_memory(tmp_path_factory.mktemp('memory') / 'memory.db', bundle)


@pytest.fixture(scope='session')
def parts(bundle_path: Path, memory_path: Path) -> Iterator[Parts]:
    with parts_of(bundle_path, memory_path) as parts:
        yield parts


@pytest.fixture(scope='session')
def client(parts: Parts) -> Iterator[httpx.Client]:
    with client_of(parts) as client:
        yield client
