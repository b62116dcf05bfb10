"""What services share: an answer in every case, and other services' answers in time."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
import contextlib
import threading
from typing import Any

from spatial_rag_core.errors import (
    ConfigurationError,
    IndexUnavailableError,
    InputError,
    JournalError,
    ModelMismatchError,
    ServiceUnavailableError,
    SpatialRagError,
    TargetUnavailableError,
)
from spatial_rag_nodes.health import Health
from spatial_rag_nodes.pending_request import BusyError

from rclpy.client import Client
from rclpy.node import Node

Serve = Callable[[Any, Any], Coroutine[Any, None, Any]]
"""A service's callback, a coroutine function: request and empty response to its answer."""


@contextlib.contextmanager
def coded(response: Any) -> Iterator[None]:
    """Errors as the answer's code and message; what its type has no code for comes out."""
    try:
        yield
    except (ConfigurationError, InputError, TargetUnavailableError) as error:
        _tell(response, error, 'INVALID_REQUEST', 'INVALID_LATENT', 'INVALID_IMAGE')
    except ModelMismatchError as error:
        _tell(response, error, 'WRONG_MODEL')
    except ServiceUnavailableError as error:
        _tell(response, error, 'NOTHING_SEEN', 'ENCODER_UNAVAILABLE')
    except (JournalError, IndexUnavailableError, BusyError) as error:
        _tell(response, error, 'MEMORY_UNAVAILABLE', 'MODEL_UNAVAILABLE')


def answering(serve: Serve, health: Health, failure_code: int) -> Serve:
    """
    Wrap a service's callback: what it does not foresee is answered with failure_code.

    So is every request to a node that does not serve.
    """
    async def answer(request: Any, response: Any) -> Any:
        refusal = health.refusal()
        if refusal is None:
            try:
                return await serve(request, response)
            except Exception as error:
                health.report_error(error)
                refusal = str(error) if isinstance(error, SpatialRagError) else (
                    f'internal error: {error}')
        response.code, response.message = failure_code, refusal
        return response
    return answer


def wake(node: Node) -> None:
    """Have its executor see, from another thread, that what a coroutine awaits is there."""
    with contextlib.suppress(Exception):  # no executor, or one that has ended
        node.executor.wake()


def _tell(response: Any, error: Exception, *names: str) -> None:
    code = next((getattr(response, name) for name in names if hasattr(response, name)), None)
    if code is None:
        raise error
    response.code, response.message = code, str(error)


async def answer_of(node: Node, client: Client, request: Any, timeout_sec: float,
                    who: str) -> Any:
    """
    Another service's answer; the executor goes on meanwhile.

    who: the node that offers it.  Raises ServiceUnavailableError where there is no such service,
    or no answer in time.
    """
    if not client.service_is_ready():
        raise ServiceUnavailableError(
            f'there is no service {client.service_name}; is the {who} running?')
    answer = client.call_async(request)

    def expire() -> None:
        if not answer.done():  # in the executor's thread, which sets it too where it comes
            answer.set_result(None)

    def wake_up() -> None:
        with contextlib.suppress(Exception):  # no executor, or one that has ended
            node.executor.create_task(expire)
    # No timer of the node: it would end where the node is deactivated, and this never.
    deadline = threading.Timer(timeout_sec, wake_up)
    deadline.daemon = True
    deadline.start()
    try:
        response = await answer
    finally:  # also where what it is for has ended
        deadline.cancel()
        client.remove_pending_request(answer)
    if response is None:
        raise ServiceUnavailableError(f'no answer from {client.service_name} within '
                                      f'{timeout_sec:g} s; does the {who} hang?')
    return response
