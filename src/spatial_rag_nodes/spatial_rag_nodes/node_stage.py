"""What a node got while it went one step of its lifecycle, so that it can be given back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import contextlib
from typing import Any

from rclpy.lifecycle import LifecycleNode


class NodeStage:
    """What is to be done at its end; entities and attributes that the node had not before."""

    def __init__(self, node: LifecycleNode) -> None:
        self._node = node
        self._entities_before = frozenset(entity for entity, _ in self._entities())
        self._names_before = frozenset(vars(node))
        self._names: frozenset[str] = frozenset()
        self._finishing = contextlib.ExitStack()

    def seal(self) -> None:
        """The step is taken: attributes that come from now on are not of this stage."""
        self._names = frozenset(vars(self._node)) - self._names_before

    def at_end(self, finish: Callable[[], object]) -> None:
        """Have this called at the end, before what was given earlier."""
        self._finishing.callback(finish)

    def close(self) -> None:
        """Call all of them, also where one raises; the middleware is left alone."""
        self._finishing.close()

    def end(self) -> None:
        """Close it, take the entities out of the middleware, forget the attributes."""
        try:
            self.close()
        finally:
            for entity, destroy in list(self._entities()):
                if entity not in self._entities_before:
                    destroy(entity)
            for name in self._names:
                vars(self._node).pop(name, None)

    def _entities(self) -> Iterator[tuple[Any, Any]]:
        """Each with what destroys it."""
        node = self._node
        for entities, destroy in (
                (node.timers, node.destroy_timer),
                (node.subscriptions, node.destroy_subscription),
                (node.services, node.destroy_service), (node.clients, node.destroy_client),
                (node.publishers, node.destroy_lifecycle_publisher)):
            for entity in entities:
                yield entity, destroy
