"""A node whose work others may start and stop: a managed one, with the lifecycle of ROS 2."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
import contextlib
from functools import partial
from typing import Protocol, TypeVar

from spatial_rag_core.error_words import told
from spatial_rag_nodes.closing_node import ClosingNode
from spatial_rag_nodes.health import ERROR, Health, OK, Standing, WORKING
from spatial_rag_nodes.node_stage import NodeStage
from spatial_rag_nodes.parameters import NodeParameters, Parameter
from spatial_rag_nodes.rclpy_internals import (
    Callback,
    state_of,
    transitions_of,
    wrap_callbacks,
)

from lifecycle_msgs.srv import ChangeState
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn


class _Closing(Protocol):
    def close(self) -> object: ...


Thing = TypeVar('Thing', bound=_Closing)


class ManagedNode(ClosingNode, LifecycleNode):
    """
    A lifecycle node that brings itself to active, unless its parameter `autostart` is false.

    What a node does stands in `configure` (load and check all, offer topics and services) and
    `activate` (listen, start threads). What they create in the middleware, give to `keep` or set
    as attributes ends by itself where the node goes the way back. An inactive node listens to
    nothing, publishes nothing, and answers requests by saying so. Both may raise: the node is
    then what it was before, log and /diagnostics say why, and it can be tried again.

    parameters: with those of shared_parameters.START.  config, health: there from the start.
    """

    def __init__(self, name: str, parameters: Sequence[Parameter]) -> None:
        super().__init__(name)
        self._stages: list[NodeStage] = []
        self._failure: Exception | None = None
        self._trouble: str | None = None
        self.config = NodeParameters(self, parameters, self._follow_parameters, self._why_fixed)
        self.health = Health(self, self._all_figures, self._standing)
        # rclpy of Jazzy ends the process for a transition that there is not (ros2/rclpy#1209).
        wrap_callbacks(self, ChangeState, lambda change: partial(self._serve_change, change))

    def configure(self) -> None:
        """Load and check all that is needed, and offer topics and services. May raise."""

    def activate(self) -> None:
        """Begin to work. May raise."""

    def figures(self) -> Mapping[str, object]:
        """What /diagnostics shows of a configured node, in order."""
        return {}

    def follow_parameters(self) -> None:
        """Take over parameters that were set; only where the node is configured."""

    def keep(self, thing: Thing) -> Thing:
        """Have it closed where what is begun now ends: the last kept first. Returns it."""
        self.at_end(thing.close)
        return thing

    def at_end(self, finish: Callable[[], object]) -> None:
        """Have this called where what is begun now ends: the last first."""
        self._stages[-1].at_end(finish)

    def start(self) -> None:
        """
        Become active where `autostart` is true.

        What keeps it from that is told as for any other who tries, or raised where
        `exit_on_failure` is true.
        """
        steps = ('configure', 'activate')
        if not self.config['autostart']:
            self.get_logger().info('unconfigured; waits for a lifecycle manager, or for: '
                                   + self._commands(*steps))
            return
        for number, trigger in enumerate((self.trigger_configure, self.trigger_activate)):
            before = state_of(self)
            if trigger() != TransitionCallbackReturn.SUCCESS:
                failure = self._failure or RuntimeError('the lifecycle is not to be changed')
                if self.config['exit_on_failure'] or not self.context.ok():
                    raise failure
                self._tell_trouble(before, failure,
                                   f'; mend that, then: {self._commands(*steps[number:])}')
                return

    @property
    def is_configured(self) -> bool:
        """Whether it is inactive or active."""
        return bool(self._stages)

    @property
    def is_active(self) -> bool:
        """Whether it works."""
        return len(self._stages) == 2

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Unconfigured to inactive."""
        return self._enter(self.configure)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Inactive to active; the publishers first, for threads publish at once."""
        super().on_activate(state)
        entered = self._enter(self.activate)
        if entered != TransitionCallbackReturn.SUCCESS:
            super().on_deactivate(state)
        return entered

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Active to inactive; the publishers last."""
        left = self._leave(1)
        super().on_deactivate(state)
        return left

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Inactive to unconfigured."""
        return self._leave(0)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Any state to finalized, whatever fails: nothing is held; the process can be asked."""
        self._failure = None
        self._leave(0)
        return TransitionCallbackReturn.SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Where something could not be ended: unconfigured, with what is left let go."""
        self._leave(0)
        return TransitionCallbackReturn.SUCCESS

    def close(self) -> None:
        """End threads and files, but leave the middleware alone."""
        with contextlib.ExitStack() as ending:  # what fails keeps nothing else from ending
            for stage in self._stages:
                ending.callback(stage.close)
            self._stages = []

    def _enter(self, begin: Callable[[], None]) -> TransitionCallbackReturn:
        self._failure = None
        stage = NodeStage(self)
        self._stages.append(stage)
        try:
            begin()
        except Exception as error:
            self._failure = error
        stage.seal()
        if self._failure is None:
            return TransitionCallbackReturn.SUCCESS
        self._leave(len(self._stages) - 1)
        return TransitionCallbackReturn.FAILURE

    def _leave(self, stages_left: int) -> TransitionCallbackReturn:
        """End the newest stages; what fails keeps nothing else from ending, and is an error."""
        result = TransitionCallbackReturn.SUCCESS
        while len(self._stages) > stages_left:
            try:
                self._stages.pop().end()
            except Exception as error:
                self._failure, result = self._failure or error, TransitionCallbackReturn.ERROR
        return result

    def _serve_change(self, change: Callback, request: ChangeState.Request,
                      response: ChangeState.Response) -> ChangeState.Response:
        """As rclpy does, but a transition that there is not is refused, and a failure told."""
        wanted, before, known = request.transition, state_of(self), transitions_of(self)
        if (wanted.label or wanted.id) not in (known if wanted.label else known.values()):
            self.get_logger().warning(
                f'no transition {wanted.label or wanted.id} from {before}; there are: '
                + ', '.join(f'{label} ({number})' for label, number in known.items()))
            response.success = False
            return response
        self._failure = self._trouble = None
        change(request, response)
        if self._failure is None:
            self.get_logger().info(f'{before} -> {state_of(self)}')
        else:
            self._tell_trouble(before, self._failure)
        return response

    def _tell_trouble(self, before: str, failure: Exception, remedy: str = '') -> None:
        self._trouble = f'the way from {before} failed: {told(failure)}{remedy}'
        self.get_logger().error(f'{state_of(self)}: {self._trouble}')

    def _commands(self, *transitions: str) -> str:
        return ' && '.join(f'ros2 lifecycle set {self.get_fully_qualified_name()} {transition}'
                           for transition in transitions)

    def _standing(self) -> Standing:
        if self.is_active:
            return WORKING
        if self._trouble is not None:
            return Standing(ERROR, f'{state_of(self)}: {self._trouble}', False)
        return Standing(OK, state_of(self), False)

    def _all_figures(self) -> dict[str, object]:
        return {'state': state_of(self), **(self.figures() if self.is_configured else {})}

    def _follow_parameters(self) -> None:
        if self.is_configured:
            self.follow_parameters()

    def _why_fixed(self) -> str | None:
        """Why parameters that are not live cannot be set now."""
        if not self.is_configured:
            return None
        return ('it is read when the node is configured; start the node with another value, or: '
                + self._commands('cleanup'))
