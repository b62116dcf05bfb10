from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
import socket
import subprocess
import sys

from spatial_rag_core.memory.file.lock_holder import Holder, holder_of
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.tables.schema import JournalSpec

import pytest

WRITER = """
import sys
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.tables.schema import JournalSpec
journal = Journal.open_writer(sys.argv[1], JournalSpec(), holder='a robot')
print('open', flush=True)
sys.stdin.read()
"""


def test_the_program_that_writes_is_named_until_it_dies(tmp_path: Path) -> None:
    path = tmp_path / 'm.db'
    assert holder_of(path) is None
    with subprocess.Popen([sys.executable, '-c', WRITER, str(path)], text=True,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        assert writer.stdout.readline() == 'open\n'
        holder = holder_of(path)
        assert holder[:3] == ('a robot', writer.pid, socket.gethostname())
        assert holder.since.startswith('20')
        writer.kill()
    assert holder_of(path) is None


def test_a_lock_that_was_let_go_has_no_holder(tmp_path: Path) -> None:
    path = tmp_path / 'm.db'
    Journal.open_writer(path, JournalSpec(), holder='a robot').close()
    assert path.with_name('m.db.lock').exists()
    assert holder_of(path) is None
    Journal.open_writer(path, JournalSpec()).close()  # asking has not kept it


@pytest.mark.parametrize('content', [
    b'', b'\xff', b'[1]', b'{"program": 1}',
    json.dumps({'program': 'x', 'pid': 'many', 'host': 'h', 'since': 's'}).encode()])
def test_who_does_not_introduce_itself_is_still_a_holder(
        content: bytes, tmp_path: Path) -> None:
    lock = tmp_path / 'm.db.lock'
    lock.write_bytes(content)
    with lock.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert holder_of(tmp_path / 'm.db') == Holder()
    assert holder_of(tmp_path / 'm.db') is None


def test_a_holder_on_another_host_is_asked_for_by_its_lock(tmp_path: Path) -> None:
    facts = {'program': 'x', 'pid': 2**22 + 1, 'host': 'elsewhere', 'since': '2026-11-22'}
    lock = tmp_path / 'm.db.lock'
    lock.write_text(json.dumps(facts))
    assert holder_of(tmp_path / 'm.db') is None
    descriptor = os.open(lock, os.O_RDWR)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    assert holder_of(tmp_path / 'm.db') == Holder(**facts)
    os.close(descriptor)
