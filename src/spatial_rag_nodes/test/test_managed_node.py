"""The four nodes as managed nodes: each step of their lifecycle, by the services of ROS 2."""

from __future__ import annotations

from pathlib import Path
import signal
from typing import Any

from spatial_rag_msgs.msg import LatentStamped

from lifecycle_msgs.msg import Transition, TransitionEvent
import pytest

from .lifecycle_rig import each_node, NODES, Rig, rig_of, Stored, work_of

pytestmark = pytest.mark.ros


@each_node
def test_a_node_works_while_it_is_active_and_only_then(
        lab: Any, bundle_path: Path, name: str) -> None:
    rig = rig_of(lab, name, bundle_path)
    done = work_of(rig, name, bundle_path)
    assert rig.state(name) == 'unconfigured'
    for _ in range(2):
        assert rig.change(name, 'configure')
        assert rig.state(name) == 'inactive'
        for _ in range(2):
            rig.diagnostics.wait(name, lambda status, values: (
                values['state'] == status.message == 'inactive' and status.level == b'\x00'))
            before = len(done)
            for _ in range(5):
                rig.move()
            rig.probe.spin(0.3)
            assert len(done) == before, 'it works though it is inactive'
            assert rig.change(name, 'activate')
            assert rig.state(name) == 'active'
            rig.drive(done)
            assert rig.change(name, 'deactivate')
            rig.probe.spin(0.2)  # what was under way
        assert rig.change(name, 'cleanup')
        assert rig.state(name) == 'unconfigured'
    assert rig.change(name, 'shutdown')
    assert rig.state(name) == 'finalized'
    rig.process.signal(signal.SIGINT)
    assert rig.process.wait() == 0
    assert 'Traceback' not in rig.process.output


@each_node
def test_shutdown_from_active_ends_the_work_and_the_process_ends_on_ctrl_c(
        lab: Any, bundle_path: Path, name: str) -> None:
    rig = rig_of(lab, name, bundle_path, autostart=True)
    assert rig.state(name) == 'active'
    assert rig.change(name, 'shutdown')
    assert rig.state(name) == 'finalized'
    done = work_of(rig, name, bundle_path)
    before = len(done)
    for _ in range(5):
        rig.move()
    assert len(done) == before
    rig.process.signal(signal.SIGTERM)
    assert rig.process.wait() == 0


@each_node
def test_a_transition_that_there_is_not_is_refused_and_the_node_lives_on(
        lab: Any, bundle_path: Path, name: str) -> None:
    rig = rig_of(lab, name, bundle_path)
    assert not rig.change(name, 'deactivate')
    assert not rig.change(name, 'dance')
    assert not rig.change_by_id(name, Transition.TRANSITION_ACTIVATE)
    assert not rig.change_by_id(name, 200)
    assert rig.state(name) == 'unconfigured'
    assert 'no transition deactivate from unconfigured; there are: configure (1)' in (
        rig.process.output)


def test_composed_nodes_start_and_stop_one_by_one(lab: Any, bundle_path: Path) -> None:
    path = lab.folder / 'memory.db'
    rig = Rig(lab, lab.start_node('composed', model_path=bundle_path, memory_path=path,
                                  autostart=False))
    events = {name: rig.probe.listen(TransitionEvent, f'/{name}/transition_event')
              for name in NODES}
    latents = rig.probe.listen(LatentStamped, '/spatial_rag/latent')
    assert {rig.state(name) for name in NODES} == {'unconfigured'}
    for name in NODES:
        assert rig.change(name, 'configure')
        assert rig.change(name, 'activate')
    rig.probe.until(lambda: all(events.values()))
    rig.drive(latents)
    rig.drive(Stored(path))
    assert rig.change('memory_writer', 'deactivate')
    assert [rig.state(name) for name in NODES] == ['active', 'inactive', 'active', 'active']
    before = len(Stored(path))
    rig.drive(latents)
    assert len(Stored(path)) == before
    rig.process.signal(signal.SIGINT)
    assert rig.process.wait() == 0
    assert 'Traceback' not in rig.process.output
