"""Which ports are open while a node runs, and to whom."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

PROFILE = Path(__file__).parents[1] / 'security' / 'loopback.xml'


def sockets(pid: int, protocol: str) -> set[tuple[str, int]]:
    """Address and port of each socket of a process: protocol tcp, tcp6, udp or udp6."""
    inodes = {os.readlink(entry).removeprefix('socket:[').rstrip(']')
              for entry in Path(f'/proc/{pid}/fd').iterdir() if entry.is_symlink()}
    found = set()
    for line in Path(f'/proc/{pid}/net/{protocol}').read_text().splitlines()[1:]:
        words = line.split()
        if words[9] in inodes:
            address, port = words[1].split(':')
            found.add(('.'.join(str(byte) for byte in reversed(bytes.fromhex(address))),
                       int(port, 16)))
    return found


@pytest.fixture
def writer(lab: Any) -> Any:
    """A node that runs and was heard, as the environment says."""
    def start(**environment: str) -> Any:
        lab.environment.update(environment)
        with pytest.MonkeyPatch.context() as patch:  # the probe is to have the same settings
            for name, value in environment.items():
                patch.setenv(name, value)
            process = lab.start_node('memory_writer_node')
            lab.diagnostics.wait_ready('memory_writer')
        return process
    return start


@pytest.mark.ros
def test_a_node_listens_for_its_middleware_alone(lab: Any, writer: Any) -> None:
    process = writer(ROS_AUTOMATIC_DISCOVERY_RANGE='LOCALHOST')
    assert not sockets(process.pid, 'tcp') | sockets(process.pid, 'tcp6')
    base = 7400 + 250 * lab.domain  # DDSI 9.6.1.1
    assert any(base <= port < base + 250 for _, port in sockets(process.pid, 'udp'))


@pytest.mark.ros
def test_with_the_loopback_profile_no_port_is_open_to_the_network(writer: Any) -> None:
    process = writer(ROS_AUTOMATIC_DISCOVERY_RANGE='SYSTEM_DEFAULT',
                     FASTRTPS_DEFAULT_PROFILES_FILE=str(PROFILE))
    assert not sockets(process.pid, 'tcp') | sockets(process.pid, 'tcp6')
    assert not sockets(process.pid, 'udp6')
    addresses = {address for address, _ in sockets(process.pid, 'udp')}
    assert '127.0.0.1' in addresses
    assert addresses <= {'127.0.0.1', '239.255.0.1'}  # the latter: multicast, on loopback only
