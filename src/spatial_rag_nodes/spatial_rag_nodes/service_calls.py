"""Calls of services from any thread, with a deadline, errors as exceptions."""

from __future__ import annotations

from collections.abc import Mapping
import contextlib
import itertools
import os
import threading
import time
from typing import Any

from spatial_rag_core.errors import (
    ConfigurationError,
    ImageError,
    JournalUnavailableError,
    LatentError,
    ModelMismatchError,
    ServiceUnavailableError,
    SpatialRagError,
)

import rclpy
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.signals import SignalHandlerOptions

_ERRORS: Mapping[str, type[SpatialRagError]] = {
    'INVALID_REQUEST': ConfigurationError, 'NOT_ALONE': ConfigurationError,
    'NO_SESSION': ConfigurationError, 'INVALID_IMAGE': ImageError, 'INVALID_LATENT': LatentError,
    'WRONG_MODEL': ModelMismatchError, 'MEMORY_UNAVAILABLE': JournalUnavailableError,
    'MODEL_UNAVAILABLE': ServiceUnavailableError, 'NOTHING_SEEN': ServiceUnavailableError,
    'ENCODER_UNAVAILABLE': ServiceUnavailableError}
_NUMBERS = itertools.count()
_AT_ONCE = 8
"""Calls under way; more than the 10 that a service's queue holds would get lost."""


class ServiceCalls:
    """
    A node of its own, spun by a thread of its own.

    So a call may come from any thread, also from a callback of another node, which would wait for
    itself if its own executor had to bring the answer. The node offers no service itself, so that
    it needs few rights. context: None: one of its own, which takes
    the ROS arguments of the command line and ends with it.
    """

    def __init__(self, namespace: str, context: Context | None, timeout_sec: float) -> None:
        if not timeout_sec > 0.0:
            raise ConfigurationError(f'timeout_sec must be > 0 s, got {timeout_sec}')
        self._timeout_sec = timeout_sec
        self._own_context = Context() if context is None else None
        if self._own_context is not None:
            rclpy.init(context=self._own_context,
                       signal_handler_options=SignalHandlerOptions.NO)
        context = context or self._own_context
        self.node = rclpy.create_node(
            f'spatial_rag_client_{os.getpid()}_{next(_NUMBERS)}', namespace=namespace or None,
            context=context, start_parameter_services=False, enable_rosout=False,
            parameter_overrides=[Parameter('start_type_description_service', value=False)])
        self._clients: dict[str, Any] = {}
        self._lock, self._turns = threading.Lock(), threading.Semaphore(_AT_ONCE)
        self._executor = SingleThreadedExecutor(context=context)
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._spin, name='spatial_rag_client', daemon=True)
        self._thread.start()

    def _spin(self) -> None:
        with contextlib.suppress(ExternalShutdownException):  # the context that was given ended
            self._executor.spin()

    def call(self, kind: Any, name: str, request: Any, timeout_sec: float | None = None,
             allowed: tuple[str, ...] = ()) -> Any:
        """
        Return the answer of spatial_rag/<name>.

        timeout_sec: for the answer; that there is such a service is waited for no longer than for
        any. Raises ServiceUnavailableError where none comes in time, and the error that the
        answer's code stands for, unless its name is among `allowed`.
        """
        limit_sec = self._timeout_sec if timeout_sec is None else timeout_sec
        client = self._client(kind, f'spatial_rag/{name}')
        if not client.wait_for_service(self._timeout_sec):
            raise ServiceUnavailableError(f'no service {client.service_name} within '
                                          f'{self._timeout_sec:g} s; is the node running?')
        response = self._answer(client, request, time.monotonic() + limit_sec)
        if response is None:
            raise ServiceUnavailableError(f'{client.service_name} does not answer within '
                                          f'{limit_sec:g} s; raise timeout_sec, or ask for less')
        _raise_for(response, allowed)
        return response

    def _answer(self, client: Any, request: Any, deadline: float) -> Any | None:
        """None: not before the deadline (monotonic)."""
        if not self._turns.acquire(timeout=max(0.0, deadline - time.monotonic())):
            return None
        try:
            answered = threading.Event()
            future = client.call_async(request)
            future.add_done_callback(lambda _: answered.set())
            if answered.wait(max(0.0, deadline - time.monotonic())):
                return future.result()
            client.remove_pending_request(future)
            return None
        finally:
            self._turns.release()

    def _client(self, kind: Any, name: str) -> Any:
        with self._lock:
            if name not in self._clients:
                self._clients[name] = self.node.create_client(kind, name)
            return self._clients[name]

    def close(self) -> None:
        """End the thread and leave ROS; the context that was given stays."""
        self._executor.shutdown()
        self._thread.join()
        self.node.destroy_node()
        if self._own_context is not None:
            self._own_context.try_shutdown()


def _raise_for(response: Any, allowed: tuple[str, ...]) -> None:
    if response.code == response.OK:
        return
    for name, error in _ERRORS.items():
        if getattr(response, name, None) == response.code and name not in allowed:
            raise error(response.message)
    if not any(getattr(response, name, None) == response.code for name in allowed):
        raise SpatialRagError(f'code {response.code}: {response.message}')
