"""What services share: errors as codes, and other services' answers in time."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
from typing import Any

from spatial_rag_core.errors import (
    ConfigurationError,
    IndexUnavailableError,
    InputError,
    JournalError,
    ModelMismatchError,
    ServiceUnavailableError,
    TargetUnavailableError,
)
from spatial_rag_nodes.service_threads import BusyError

from rclpy.client import Client
from rclpy.clock import Clock, ClockType
from rclpy.node import Node


@contextlib.contextmanager
def coded(response: Any) -> Iterator[None]:
    """Errors as the answer's code and message; what its type has no code for comes out."""
    try:
        yield
    except (ConfigurationError, InputError, TargetUnavailableError) as error:
        _tell(response, error, 'INVALID_REQUEST', 'INVALID_LATENT')
    except ModelMismatchError as error:
        _tell(response, error, 'WRONG_MODEL')
    except ServiceUnavailableError as error:
        _tell(response, error, 'NOTHING_SEEN', 'ENCODER_UNAVAILABLE')
    except (JournalError, IndexUnavailableError, BusyError) as error:
        _tell(response, error, 'MEMORY_UNAVAILABLE', 'MODEL_UNAVAILABLE')


def _tell(response: Any, error: Exception, *names: str) -> None:
    code = next((getattr(response, name) for name in names if hasattr(response, name)), None)
    if code is None:
        raise error
    response.code, response.message = code, str(error)


async def answer_of(node: Node, client: Client, request: Any, timeout_sec: float) -> Any | None:
    """Another service's answer; None where there is none in time. The executor goes on."""
    if not client.service_is_ready():
        return None
    answer = client.call_async(request)
    deadline = node.create_timer(timeout_sec, answer.cancel,
                                 clock=Clock(clock_type=ClockType.STEADY_TIME))
    try:
        return await answer
    finally:
        node.destroy_timer(deadline)
