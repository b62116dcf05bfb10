"""Topics under other names: what is renamed for the nodes, what a topic is called in the end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PICTURES = {'image_topic': 'camera/image_raw', 'depth_topic': 'camera/depth/image_raw'}
OTHERS = {'pose_topic': 'pose', 'odom_topic': 'odom', 'actions_topic': 'actions',
          'cmd_vel_topic': 'cmd_vel', 'proprio_topic': 'proprio', 'tf_topic': 'tf',
          'tf_static_topic': 'tf_static'}
"""Launch argument → name in the nodes."""

_TRANSPORTS = ('/compressed', '/compressedDepth')


def renamings(values: Mapping[str, str]) -> list[tuple[str, str]]:
    """
    (name in the nodes, name on this robot) of each topic that is called otherwise here.

    values: launch arguments by name.
    """
    pairs = [(ours, values[argument]) for argument, ours in OTHERS.items()]
    for argument, ours in PICTURES.items():
        theirs = without_transport(values[argument])
        pairs += [(ours + ending, theirs + ending) for ending in ('', *_TRANSPORTS)]
    return [(ours, theirs) for ours, theirs in pairs if theirs != ours]


def without_transport(topic: str) -> str:
    """The camera's topic, also where that of its compressed pictures was named."""
    for ending in _TRANSPORTS:
        topic = topic.removesuffix(ending)
    return topic


def full_name(topic: str, namespace: str) -> str:
    """The topic's absolute name: a relative one stands in the namespace."""
    return topic if topic.startswith('/') else f'/{namespace.strip("/")}/{topic}'.replace(
        '//', '/')


def reliable_pictures(topic: str) -> dict[str, Any]:
    """
    Parameters of a subscriber that takes every picture of the topic (absolute name).

    For sources that send reliably, as a recording or a simulated robot does; no camera on a
    robot promises it.
    """
    return {'qos_overrides': {topic: {'subscription': {'reliability': 'reliable', 'depth': 30}}}}
