from __future__ import annotations

import re

from spatial_rag_core.memory.storing import identifiers
from spatial_rag_core.memory.storing.identifiers import new_memory_id, new_session_name

import pytest


def test_memory_ids_are_unique_ulids() -> None:
    ids = {new_memory_id() for _ in range(2000)}
    assert len(ids) == 2000
    assert all(re.fullmatch('[0-7][0-9A-HJKMNP-TV-Z]{25}', name) for name in ids)


def test_memory_ids_sort_by_the_time_of_their_making(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = []
    for ms in (0, 1, 31, 32, 1_760_000_000_000, 1_760_000_000_001, 2 ** 48 - 1):
        monkeypatch.setattr(identifiers.time, 'time_ns', lambda ms=ms: ms * 1_000_000)
        ids.append(new_memory_id())
    assert ids == sorted(ids)
    assert ids[0].startswith('0000000000')
    assert ids[-1].startswith('7ZZZZZZZZZ')  # the largest of the specification


def test_session_names_tell_the_time_and_differ() -> None:
    names = {new_session_name() for _ in range(20)}
    assert len(names) > 1
    assert all(re.fullmatch(r'\d{8}T\d{6}Z-[0-9a-f]{4}', name) for name in names)
