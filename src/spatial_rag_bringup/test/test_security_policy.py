"""
security/policy.xml against what the nodes do: all that they need, and nothing more.

UPDATE_POLICY=true writes what the running nodes do into the policy; look at the difference.
"""

from __future__ import annotations

import inspect
import os
from typing import Any

import pytest

from .policy_file import KINDS, Policy, read_policy, Rights, write_policy, written_name

NOT_NODES = {'composed', 'reader', 'keeper'}
READABLE = frozenset(f'spatial_rag/{name}' for name in (
    'query_memory', 'query_memory_by_image', 'get_memory', 'memory_stats', 'encode_image',
    'decode_latent', 'relocalize', 'rollout'))
"""What asks and changes nothing; all else that is served is for the keeper alone."""
REPLAY = 'bag_replay'
"""Publishes whatever a recording holds: no policy can name that beforehand."""


@pytest.fixture(scope='module')
def nodes() -> list[str]:
    """Nodes of the package, as its programs name them."""
    executables = pytest.importorskip('spatial_rag_nodes.executables')
    return [name.removesuffix('_node') for name, function in vars(executables).items()
            if inspect.isfunction(function) and name.endswith('_node')
            and name != f'{REPLAY}_node']


@pytest.fixture(scope='module')
def core_nodes() -> list[str]:
    executables = pytest.importorskip('spatial_rag_nodes.executables')
    return [name.removesuffix('_node') for name in executables._CORE_NODES]


@pytest.fixture(scope='module')
def running(module_lab: Any, nodes: list[str]) -> Any:
    from .running_rights import RunningNodes
    return RunningNodes(module_lab, nodes)


@pytest.fixture(scope='module')
def policy(request: pytest.FixtureRequest) -> Policy:
    if os.environ.get('UPDATE_POLICY') == 'true':
        running, nodes = map(request.getfixturevalue, ('running', 'nodes'))
        write_policy(_updated({node: running.rights(node) for node in nodes},
                              request.getfixturevalue('core_nodes')))
    return read_policy()


def _updated(found: dict[str, Rights], core_nodes: list[str]) -> Policy:
    heard, served = _heard(found), _served(found)
    return {**{node: {node: rights} for node, rights in found.items()},
            'composed': {node: found[node] for node in core_nodes},
            'reader': {'reader': _client(heard, served & READABLE)},
            'keeper': {'keeper': _client(heard, served)}}


def _client(heard: frozenset[str], requested: frozenset[str]) -> Rights:
    return {'subscribe': heard, 'request': requested, 'reply': frozenset(),
            'publish': frozenset({'/parameter_events', '/rosout'})}


def _served(found: dict[str, Rights]) -> frozenset[str]:
    return frozenset(name.replace('~/', f'{node}/', 1)
                     for node, rights in found.items() for name in rights['reply'])


def _heard(found: dict[str, Rights]) -> frozenset[str]:
    """What the nodes tell; the simulated robot's topics are the robot's."""
    return frozenset(name.replace('~/', f'{node}/', 1) for node, rights in found.items()
                     if node != 'simulated_robot' for name in rights['publish'])


def test_every_program_has_an_enclave(policy: Policy, nodes: list[str]) -> None:
    assert set(policy) == {*nodes, *NOT_NODES}


@pytest.mark.ros
@pytest.mark.timeout(400)
def test_each_node_may_do_what_it_does_and_nothing_more(
        policy: Policy, running: Any, nodes: list[str], module_lab: Any) -> None:
    module_lab.probe.until(
        lambda: all(running.rights(node) == policy[node][node] for node in nodes), 60.0,
        lambda: '\n'.join(difference for node in nodes for difference in _differences(
            node, policy[node][node], running.rights(node))))


def _differences(node: str, allowed: Rights, done: Rights) -> list[str]:
    return [f'{node} {kind}: {word} {sorted(names)}; UPDATE_POLICY=true writes it anew'
            for kind in KINDS for word, names in (
                ('may, but does not', allowed[kind] - done[kind]),
                ('does, but may not', done[kind] - allowed[kind])) if names]


def test_the_composed_process_may_do_what_its_nodes_may(
        policy: Policy, core_nodes: list[str]) -> None:
    assert policy['composed'] == {node: policy[node][node] for node in core_nodes}


def test_a_reader_may_ask_and_a_keeper_may_do_all_that_is_served(
        policy: Policy, nodes: list[str]) -> None:
    found = {node: policy[node][node] for node in nodes}
    heard, served = _heard(found), _served(found)
    assert policy['reader'] == {'reader': _client(heard, served & READABLE)}
    assert policy['keeper'] == {'keeper': _client(heard, served)}


def test_a_reader_changes_nothing_and_reads_no_parameters(policy: Policy) -> None:
    for word in ('forget', 'backup', 'parameters', 'pause', 'resume', 'session', 'label', 'state'):
        assert not [name for name in policy['reader']['reader']['request'] if word in name]


@pytest.mark.parametrize(('name', 'written'), [
    ('/v0/latent', 'latent'), ('/v0/encoder/get_parameters', '~/get_parameters'),
    ('/rosout', '/rosout'), ('/v0x/latent', '/v0x/latent')])
def test_names_follow_the_namespace_of_the_robot(name: str, written: str) -> None:
    assert written_name(name, 'encoder', '/v0') == written


@pytest.mark.ros
def test_with_enforce_and_without_keys_no_node_starts_and_nothing_is_written(lab: Any) -> None:
    lab.environment.update(
        ROS_SECURITY_ENABLE='true', ROS_SECURITY_STRATEGY='Enforce',
        ROS_SECURITY_KEYSTORE=str(lab.folder / 'no_keystore'))
    writer = lab.start_node('memory_writer_node', memory_path=lab.folder / 'memory.db')
    assert writer.wait() == 1
    assert not (lab.folder / 'memory.db').exists()
