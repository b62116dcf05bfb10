"""How managed nodes come up by themselves, and what becomes of one that cannot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.tables.schema import JournalSpec
from spatial_rag_core.models.untrained import create_untrained_bundle
from spatial_rag_core.settings import Settings

import pytest

from .lifecycle_rig import each_node, NODES, Rig, rig_of

pytestmark = pytest.mark.ros


def spoil(name: str, folder: Path) -> tuple[dict[str, Any], str]:
    """What the node cannot be configured with, and what it says of that."""
    path = folder / 'spoilt'
    if name in ('encoder', 'transition_predictor'):
        return {'model_path': path}, 'spoilt'
    Journal.open_writer(path, JournalSpec(map_frame='world')).close()
    return {'memory_path': path}, 'world'


def mend(name: str, folder: Path) -> None:
    if name in ('encoder', 'transition_predictor'):
        create_untrained_bundle(folder / 'spoilt', Settings())
    else:
        for file in folder.glob('spoilt*'):
            file.unlink()


@each_node
def test_a_node_that_cannot_be_configured_stays_says_why_and_can_be_once_that_is_mended(
        lab: Any, bundle_path: Path, tmp_path: Path, name: str) -> None:
    wrong, reason = spoil(name, tmp_path)
    rig = rig_of(lab, name, bundle_path, **{**wrong, 'autostart': True})
    rig.diagnostics.wait(name, lambda status, values: (
        status.level == b'\x02' and reason in status.message
        and 'unconfigured: ' in status.message and values['state'] == 'unconfigured'))
    assert not rig.change(name, 'configure')
    assert rig.state(name) == 'unconfigured'
    by_itself, by_others = [line for line in rig.process.output.splitlines()
                            if '[ERROR]' in line and reason in line]
    assert by_itself.endswith(f'mend that, then: ros2 lifecycle set /{name} configure && '
                              f'ros2 lifecycle set /{name} activate')
    assert 'mend that' not in by_others
    assert 'Traceback' not in rig.process.output
    mend(name, tmp_path)
    assert rig.change(name, 'configure')
    assert rig.change(name, 'activate')
    rig.diagnostics.wait(name, lambda status, _: (status.level, status.message) == (b'\x00', 'ok'))


@each_node
def test_where_that_is_asked_for_what_keeps_it_from_working_ends_the_process(
        lab: Any, bundle_path: Path, tmp_path: Path, name: str) -> None:
    wrong, reason = spoil(name, tmp_path)
    rig = rig_of(lab, name, bundle_path,
                 **{**wrong, 'autostart': True, 'exit_on_failure': True})
    assert rig.process.wait() == 1
    assert rig.process.output.startswith('[FATAL] cannot start: ')
    assert reason in rig.process.output
    assert rig.process.output.count('\n') == 1


def test_parameters_may_be_mended_while_a_node_is_unconfigured_and_not_after(
        lab: Any, bundle_path: Path) -> None:
    rig = Rig(lab, lab.start_node('encoder_node', model_path='nowhere.pt', autostart=False))
    assert not rig.change('encoder', 'configure')
    assert rig.set('encoder', model_path=str(bundle_path)).successful
    assert rig.change('encoder', 'configure')
    refused = rig.set('encoder', model_path='elsewhere.pt')
    assert not refused.successful
    assert 'ros2 lifecycle set /encoder cleanup' in refused.reason
    assert rig.set('encoder', publish_rate=5.0).successful


def composed(lab: Any, bundle_path: Path, **of_the_writer: object) -> Rig:
    """All four in one process, with parameters that the writer alone has."""
    file = lab.folder / 'parameters.yaml'
    words = ', '.join(f'{name}: {value}' for name, value in of_the_writer.items())
    file.write_text(f'/**/memory_writer: {{ros__parameters: {{{words}}}}}\n')
    return Rig(lab, lab.start(
        'composed', '--ros-args', '-p', f'model_path:={bundle_path}', '-p',
        f'memory_path:={lab.folder / "memory.db"}', '--params-file', file))


def test_composed_they_are_active_at_once_unless_one_is_told_to_wait(
        lab: Any, bundle_path: Path) -> None:
    rig = composed(lab, bundle_path, autostart='false')
    assert [rig.state(name) for name in NODES] == ['active', 'unconfigured', 'active', 'active']
    assert 'ros2 lifecycle set /memory_writer configure' in rig.process.output


def test_composed_one_that_cannot_be_configured_takes_no_other_along(
        lab: Any, bundle_path: Path) -> None:
    rig = composed(lab, bundle_path, memory_path='/proc/nothing/memory.db')
    assert [rig.state(name) for name in NODES] == ['active', 'unconfigured', 'active', 'active']
    rig.diagnostics.wait('memory_writer', lambda status, _: (
        status.level == b'\x02' and '/proc/nothing/memory.db' in status.message))
    assert rig.set('memory_writer', memory_path=str(lab.folder / 'memory.db')).successful
    assert rig.change('memory_writer', 'configure')
    assert rig.change('memory_writer', 'activate')
    assert {rig.state(name) for name in NODES} == {'active'}
