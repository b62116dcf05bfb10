"""What the real nodes publish, subscribe to, serve and call, in every choice of their sources."""

from __future__ import annotations

from collections.abc import Iterator
import importlib.util
import itertools
from pathlib import Path
from typing import Any

from spatial_rag_core.models.bundle_file import save_bundle
from spatial_rag_core.models.encoder import EncoderConfig
from spatial_rag_core.models.transition_config import TransitionConfig
from spatial_rag_core.models.world_model import WorldModel, WorldModelConfig
from spatial_rag_core.settings import Settings

from lifecycle_msgs.srv import GetState
from rcl_interfaces.srv import DescribeParameters, ListParameters

from .policy_file import Rights, written_name

_CHOOSING = ('_source', '_transport')
"""Endings of the parameters that choose among topics."""
_TRANSFORMS = {'tf', 'tf_static'}
"""What is subscribed to for pose_source tf, for which tf2_ros of an installed ROS is needed."""


class RunningNodes:
    """
    Starts nodes in a lab, each choice of sources in a namespace of its own, and looks at them.

    The encoder runs a bundle that uses every input.
    """

    def __init__(self, lab: Any, nodes: list[str]) -> None:
        self._lab = lab
        settings = Settings()
        self._model = lab.folder / 'all_inputs.pt'
        save_bundle(WorldModel(WorldModelConfig(
            EncoderConfig(z_dim=settings.z_dim, use_depth=True, proprio_dim=3),
            TransitionConfig(settings.z_dim, settings.action_dim))), self._model,
            trained=False, training={})
        self._namespaces: dict[str, list[str]] = {node: [] for node in nodes}
        self._with_transforms: set[str] = set()
        for node in nodes:
            self._start(node, {})
        lab.diagnostics.wait_ready(*(f'v0/{node}' for node in nodes))
        for node in nodes:  # one after the other: forty at once take minutes to come up
            for choices in self._others(node):
                self._start(node, choices)
            for namespace in self._namespaces[node]:
                lab.diagnostics.wait_ready(f'{namespace.lstrip("/")}/{node}')
                self._wait_active(f'{namespace}/{node}')

    def _start(self, node: str, choices: dict[str, str]) -> None:
        namespace = f'/v{len(self._namespaces[node])}'
        self._namespaces[node].append(namespace)
        folder = Path(self._lab.folder, namespace.lstrip('/'))
        words = {'model_path': self._model, 'memory_path': folder / 'memory.db',
                 'output_path': folder / 'episodes.h5', 'use_sim_time': True,
                 'subscriber_wait_sec': 0.0, **choices}
        ros_args = ['-r', f'__ns:={namespace}']
        for name, value in words.items():  # an undeclared one is passed over
            text = str(value).lower() if isinstance(value, bool) else str(value)
            ros_args += ['-p', f'{name}:={text}']
        self._lab.start(f'{node}_node', '--ros-args', *ros_args)

    def _others(self, node: str) -> Iterator[dict[str, str]]:
        """All choices of the sources with each other, and of the transports by themselves."""
        names = [name for name in self._call(node, ListParameters).result.names
                 if name.endswith(_CHOOSING)]
        described = self._call(node, DescribeParameters, names=names).descriptors if names else []
        choices = {each.name: each.additional_constraints.split(' | ') for each in described}
        if 'tf' in choices.get('pose_source', ()):
            self._with_transforms.add(node)
            if importlib.util.find_spec('tf2_ros') is None:
                choices['pose_source'].remove('tf')
        together = {name: words for name, words in choices.items() if name.endswith('_source')}
        for chosen in itertools.product(*together.values()):
            yield dict(zip(together, chosen, strict=True))
        alone = {name: words for name, words in choices.items() if name not in together}
        for number in range(max(map(len, alone.values()), default=0)):
            yield {name: words[number % len(words)] for name, words in alone.items()}

    def _wait_active(self, name: str) -> None:
        """A managed node makes some of what it uses only when it is activated."""
        services = {name for name, _ in self._lab.probe.node.get_service_names_and_types()}
        if f'{name}/get_state' in services:
            self._lab.probe.until(lambda: self._lab.probe.call(
                GetState, f'{name}/get_state', GetState.Request()
            ).current_state.label == 'active', 60.0, lambda: f'{name} is not active')

    def _call(self, node: str, kind: Any, **fields: Any) -> Any:
        name = {ListParameters: 'list_parameters', DescribeParameters: 'describe_parameters'}[kind]
        return self._lab.probe.call(kind, f'/v0/{node}/{name}', kind.Request(**fields))

    def rights(self, node: str) -> Rights:
        """What it does now, in all its choices together."""
        found: dict[str, set[str]] = {}
        asker = self._lab.probe.node
        looks = {'subscribe': asker.get_subscriber_names_and_types_by_node,
                 'publish': asker.get_publisher_names_and_types_by_node,
                 'reply': asker.get_service_names_and_types_by_node,
                 'request': asker.get_client_names_and_types_by_node}
        for kind, look in looks.items():
            found[kind] = {written_name(name, node, namespace)
                           for namespace in self._namespaces[node]
                           for name, _ in look(node, namespace)}
        if node in self._with_transforms:
            found['subscribe'] |= _TRANSFORMS
        return {kind: frozenset(names) for kind, names in found.items()}
