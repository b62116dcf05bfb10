"""The programs of examples/, as people start them, beside the whole stack on a simulated robot."""

from __future__ import annotations

from collections.abc import Callable
import csv
import io
from pathlib import Path
import re
import sys
from typing import Any

from spatial_rag_core.memory.retriever import Retriever
from spatial_rag_core.records import Memory, MemoryQuery, Pose, Position

import numpy as np
import pytest

pytestmark = [pytest.mark.ros, pytest.mark.stack]

EXAMPLES = Path(__file__).parents[3] / 'examples'
ORIGIN = Pose(Position(0.0, 0.0))


@pytest.fixture(scope='module')
def memory_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp('memory') / 'memory.db'


@pytest.fixture(scope='module')
def stack(module_lab: Any, start_module_stack: Callable[..., Any],
          memory_path: Path) -> Any:
    """A robot that has driven for a while and drives on."""
    one = start_module_stack('--robot', 'sim', '--memory', memory_path)
    one.wait_running()
    return one


def memories(path: Path, **fields: Any) -> list[Memory]:
    retriever = Retriever(path)
    retriever.refresh()
    found = [hit.memory for hit in retriever.query(
        MemoryQuery(1000, pose=ORIGIN, rank_by='pose', **fields), with_thumbnails=True)]
    retriever.close()
    return found


@pytest.fixture
def memory(module_lab: Any, stack: Any, memory_path: Path) -> Memory:
    """One of the first memories, by time."""
    module_lab.probe.until(lambda: len(memories(memory_path)) > 20, 60.0, lambda: stack.output)
    return sorted(memories(memory_path), key=lambda one: one.timestamp)[10]


@pytest.fixture
def run(module_lab: Any, stack: Any) -> Callable[..., str]:
    """Run an example to its end; what it printed."""
    def start(name: str, *words: object) -> str:
        process = module_lab.start(sys.executable, EXAMPLES / f'{name}.py', *words)
        assert process.wait(60.0) == 0, process.output
        return str(process.output)
    return start


def test_each_program_is_run_here() -> None:
    text = Path(__file__).read_text()
    names = {path.stem for path in EXAMPLES.glob('*.py')}
    assert len(names) == 5
    assert {name for name in names if f"run('{name}'" in text} == names


def test_a_picture_is_found_where_it_was_taken(
        run: Callable[..., str], memory: Memory, tmp_path: Path) -> None:
    picture = tmp_path / 'picture.jpg'
    picture.write_bytes(memory.thumbnail)
    output = run('relocalize_with_picture', picture)
    places = [(float(x), float(y)) for x, y in re.findall(r'\((-?[\d.]+), (-?[\d.]+), ', output)]
    apart = np.linalg.norm(np.array(places) - memory.position[:2], axis=1)
    assert apart.min() < 0.5, output
    assert 'score ' in output


def test_a_file_that_is_no_picture_is_told(module_lab: Any, tmp_path: Path) -> None:
    (tmp_path / 'no.jpg').write_text('no picture')
    process = module_lab.start(sys.executable, EXAMPLES / 'relocalize_with_picture.py',
                               tmp_path / 'no.jpg')
    assert process.wait(60.0) == 1
    assert 'is no picture' in process.output
    assert 'Traceback' not in process.output


def test_two_plans_are_imagined_and_one_is_chosen(
        run: Callable[..., str], memory: Memory, tmp_path: Path) -> None:
    output = run('choose_between_plans', '--steps', 6, '--pictures', tmp_path)
    assert re.search(r'straight on: ends at \(-?[\d.]+, -?[\d.]+\) m after 1\.2 s', output), output
    assert re.search(r'chosen: (straight on|left turn)$', output.strip()), output
    assert {path.name for path in tmp_path.glob('*.png')} == {'straight_on.png', 'left_turn.png'}


def test_a_place_is_labelled_and_found_by_its_label(
        run: Callable[..., str], memory: Memory, memory_path: Path) -> None:
    x, y, _ = memory.position
    output = run('label_a_place', 'kitchen', x, y, '--radius-m', 0.5)
    assert re.search(r'[1-9]\d* memories are called kitchen now', output), output
    assert output.count('m away, kitchen') == 5, output
    assert memory.id in {one.id for one in memories(memory_path, labels=('kitchen',))}


def test_surprise_is_logged(run: Callable[..., str]) -> None:
    rows = list(csv.DictReader(io.StringIO(run('log_surprise', '--seconds', 3))))
    assert len(rows) >= 2
    assert all(float(row['error']) > 0.0 for row in rows)
    assert float(rows[1]['stamp']) > float(rows[0]['stamp'])


def test_the_memory_is_copied_before_a_drive_and_the_drive_has_a_session(
        module_lab: Any, run: Callable[..., str], memory_path: Path, memory: Memory,
        tmp_path: Path) -> None:
    output = run('backup_before_drive', '--to', tmp_path / 'copy.db', '--session', 'morning')
    assert f'memories are safe in {tmp_path / "copy.db"}' in output
    assert 'session morning has begun' in output
    assert memory.id in {one.id for one in memories(tmp_path / 'copy.db')}
    module_lab.probe.until(lambda: bool(memories(memory_path, session='morning')), 30.0)


def test_without_a_robot_an_example_says_so_in_one_line(
        lab: Any, tmp_path: Path) -> None:
    """It waits ten seconds for the nodes."""
    process = lab.start(sys.executable, EXAMPLES / 'backup_before_drive.py')
    assert process.wait(60.0) == 1
    assert 'do not drive yet: no service /spatial_rag/backup_memory within 10 s' in process.output
    assert 'Traceback' not in process.output
