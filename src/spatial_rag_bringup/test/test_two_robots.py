"""Two simulated robots in one ROS domain, each with all its nodes in a namespace of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from spatial_rag_core.memory.journal import Journal

import pytest

pytestmark = [pytest.mark.ros, pytest.mark.stack]

ROBOTS = ('robot1', 'robot2')
OF_ALL = {'/diagnostics', '/rosout', '/parameter_events'}


@pytest.fixture(scope='module')
def stacks(module_lab: Any, start_module_stack: Callable[..., Any]) -> dict[str, Any]:
    """Both, running; each in a world of its own."""
    started = {}
    for seed, robot in enumerate(ROBOTS):
        file = module_lab.folder / f'{robot}.yaml'
        file.write_text(f'/**/memory_writer:\n  ros__parameters: {{robot: {robot}}}\n'
                        f'/**/simulated_robot:\n  ros__parameters: {{seed: {seed}}}\n')
        started[robot] = start_module_stack('--namespace', robot, '--composition', 'true',
                                            '--params', file)
    for stack in started.values():
        stack.wait_running()
    return started


def memory_file(lab: Any, robot: str) -> Path:
    return Path(lab.environment['ROS_HOME'], 'spatial_rag', robot, 'memory-sim.db')


def ends(lab: Any) -> Iterator[tuple[str, str]]:
    """(topic, namespace) of each publisher and subscription of the robots."""
    node = lab.probe.node
    for topic, _ in node.get_topic_names_and_types():
        for look in (node.get_publishers_info_by_topic, node.get_subscriptions_info_by_topic):
            for end in look(topic):
                if end.node_name != 'probe' and topic not in OF_ALL:
                    yield topic, end.node_namespace


def test_no_topic_of_one_robot_has_an_end_in_the_other(
        module_lab: Any, stacks: dict[str, Any]) -> None:
    namespaces = {f'/{robot}' for robot in ROBOTS}
    module_lab.probe.until(lambda: {namespace for _, namespace in ends(module_lab)} == namespaces,
                           message=lambda: f'{set(ends(module_lab))}')
    for topic, namespace in ends(module_lab):
        assert topic.startswith(f'{namespace}/'), (topic, namespace)


def test_each_robot_has_its_own_services(module_lab: Any, stacks: dict[str, Any]) -> None:
    def services() -> set[str]:
        return {name for name, _ in module_lab.probe.node.get_service_names_and_types()
                if '/spatial_rag/' in name}
    module_lab.probe.until(lambda: services() >= {
        f'/{robot}/spatial_rag/{name}' for robot in ROBOTS
        for name in ('query_memory', 'forget_memories', 'encode_image')})
    assert {name.split('/')[1] for name in services()} == set(ROBOTS)


def test_diagnostics_tell_the_robots_apart(module_lab: Any, stacks: dict[str, Any]) -> None:
    module_lab.diagnostics.wait_ready('robot1/encoder', 'robot2/encoder')
    assert not module_lab.diagnostics.statuses('encoder')


def test_a_query_to_one_robot_brings_no_memory_of_the_other(
        module_lab: Any, stacks: dict[str, Any]) -> None:
    from spatial_rag_msgs.srv import QueryMemory
    for robot in ROBOTS:
        answer = module_lab.probe.call(QueryMemory, f'/{robot}/spatial_rag/query_memory',
                                       QueryMemory.Request(latent=[0.0] * 32, k=1000))
        assert (answer.code, answer.message) == (0, '')
        assert {hit.memory.robot for hit in answer.memories} == {robot}


def test_each_memory_file_holds_the_memories_of_its_robot_only(
        module_lab: Any, stacks: dict[str, Any]) -> None:
    for stack in stacks.values():
        stack.process.signal(2)
    for robot, stack in stacks.items():
        assert stack.process.wait(60) == 0
        reader = Journal.open_reader(memory_file(module_lab, robot))
        assert reader is not None
        with reader:
            memories = reader.get(reader.index_rows_after(0).seqs.tolist())
        assert {memory.robot for memory in memories.values()} == {robot}
        assert len(memories) == stack.summary['memories_total'] > 0
