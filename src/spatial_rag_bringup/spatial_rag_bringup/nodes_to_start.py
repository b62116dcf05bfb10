"""What a launch file starts, without `launch`: the part that is tested without ROS."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from spatial_rag_bringup.launch_arguments import SOURCES

STACK = {'encoder': 'encoder_node', 'memory_writer': 'memory_writer_node',
         'retriever': 'retriever_node', 'transition_predictor': 'transition_predictor_node'}
"""Name → executable of the four nodes; the process `composed` runs them all."""


@dataclass(frozen=True)
class NodeToStart:
    """
    A process of the nodes package.

    name: None where it holds several nodes.  file: parameters (YAML).  parameters: win over the
    file.  renamings: (name in the node, name here).
    """

    executable: str
    name: str | None
    namespace: str = ''
    file: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    renamings: tuple[tuple[str, str], ...] = ()


def given(values: Mapping[str, str]) -> dict[str, str]:
    """The parameters that launch arguments name outright."""
    return {argument.name: values[argument.name] for argument in SOURCES
            if values[argument.name]}
