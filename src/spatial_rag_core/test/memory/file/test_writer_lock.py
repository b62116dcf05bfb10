from __future__ import annotations

import json
import os
from pathlib import Path
import signal
import socket
import subprocess
import sys

from spatial_rag_core.errors import JournalInUseError
from spatial_rag_core.memory.file.writer_lock import lock_path, WriterLock
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.tables.schema import JournalSpec

import pytest

HOLDER = """
import sys
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.tables.schema import JournalSpec

journal = Journal.open_writer(sys.argv[1], JournalSpec(), holder='memory_writer')
print('holds', flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / 'memory.db'


def start_holder(path: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, '-c', HOLDER, str(path)], text=True,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == 'holds\n'
    return process


def test_a_second_writer_is_told_who_holds_the_file_and_what_to_do(path: Path) -> None:
    with start_holder(path) as holder:
        with pytest.raises(JournalInUseError) as caught:
            Journal.open_writer(path, JournalSpec())
        message = str(caught.value)
        assert f'{path} is being written by memory_writer (pid {holder.pid} on ' in message
        assert socket.gethostname() in message
        assert json.loads(lock_path(path).read_text())['since'] in message
        assert '; end it, or name another memory_path' in message
        with pytest.raises(JournalInUseError):
            Journal.open_existing_writer(path)
        assert Journal.open_reader(path) is not None
        holder.kill()


def test_who_wants_to_forget_is_sent_to_the_node_that_writes(path: Path) -> None:
    with Journal.open_writer(path, JournalSpec()):
        lock = lock_path(path)
        told = json.loads(lock.read_text()) | {'program': '/carl/memory_writer', 'pid': 1}
        lock.write_text(json.dumps(told))
        with pytest.raises(JournalInUseError, match='; to forget, call its service spatial_rag/'
                                                    'forget_memories, for all else end it, or'):
            WriterLock(path)


def test_the_lock_of_a_killed_writer_is_free(path: Path) -> None:
    with start_holder(path) as holder:
        holder.send_signal(signal.SIGKILL)
        assert holder.wait(20) == -signal.SIGKILL
        Journal.open_writer(path, JournalSpec()).close()


def test_a_second_writer_in_the_same_process_is_refused_until_the_first_closes(
        path: Path) -> None:
    with Journal.open_writer(path, JournalSpec()), pytest.raises(
            JournalInUseError, match=rf'pid {os.getpid()} .*, this process\) .*; close it first'):
        Journal.open_writer(path, JournalSpec())
    Journal.open_writer(path, JournalSpec()).close()


def test_every_name_of_a_file_means_the_same_lock(
        path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / 'folder').mkdir()
    link = tmp_path / 'folder' / 'link.db'
    with Journal.open_writer(path, JournalSpec()):
        link.symlink_to(path)
        monkeypatch.chdir(tmp_path)
        for name in (link, Path('memory.db'), Path('folder/../memory.db')):
            with pytest.raises(JournalInUseError):
                Journal.open_writer(name, JournalSpec())
    assert [found.name for found in tmp_path.rglob('*.lock')] == ['memory.db.lock']


def test_a_writer_that_is_refused_lets_the_lock_go(path: Path) -> None:
    Journal.open_writer(path, JournalSpec()).close()
    with pytest.raises(Exception, match='z_dim'):
        Journal.open_writer(path, JournalSpec(z_dim=3))
    Journal.open_writer(path, JournalSpec()).close()


@pytest.mark.parametrize('content', ['', 'garbage', '[]', '{"pid": "x"}', '{"pid": 1}'])
def test_whatever_the_lock_file_says_a_held_lock_refuses(path: Path, content: str) -> None:
    lock = WriterLock(path)
    lock_path(path).write_text(content)
    with pytest.raises(JournalInUseError, match='written by another program; end it'):
        WriterLock(path)
    lock.release()
    lock.release()
    WriterLock(path).release()
    assert json.loads(lock_path(path).read_text())['pid'] == os.getpid()
