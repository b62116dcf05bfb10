"""How much is taken in at once."""

from __future__ import annotations

from dataclasses import dataclass, fields
import math

from spatial_rag_core.errors import ConfigurationError

MAX_STEPS, MAX_PLANS, MAX_STEPS_IN_ALL, MAX_PICTURES = 256, 64, 4096, 256
"""Of one request: steps of a plan, plans, steps of all plans together, pictures of a rollout."""
MAX_HITS, MAX_BANK, MAX_CELLS = 1000, 1024, 5000
"""Of one request: memories found, memories at hand for a rollout, cells of a map."""
MAX_NUMBERS = 4096
"""Of a latent, an action, or proprioception."""
MAX_PICTURE_PIXELS = 32_000_000
MAX_RATE_HZ = 60.0
MAX_ADDRESS = 50_000
"""Characters of a field in an address; the server reads addresses of up to 64 KiB."""


@dataclass(frozen=True)
class Limits:
    """
    What protects the robot that the API runs beside.

    max_body_bytes: of a request.  body_timeout_sec: to send it.  max_streams: at once.
    max_waiting: jobs that wait for a worker; more are refused.  job_timeout_sec: who waits for
    one gives up.  send_timeout_sec: a stream whose client takes nothing for so long is ended.
    stream_timeout_sec: a stream lasts at most so long.  max_connections: at once.
    """

    max_body_bytes: int = 16 * 1024 * 1024
    body_timeout_sec: float = 15.0
    max_streams: int = 32
    max_waiting: int = 64
    job_timeout_sec: float = 10.0
    send_timeout_sec: float = 5.0
    stream_timeout_sec: float = 3600.0
    max_connections: int = 512

    def __post_init__(self) -> None:
        for limit in fields(self):
            value = getattr(self, limit.name)
            if not 0 < value < math.inf:
                raise ConfigurationError(f'{limit.name} must be > 0 and finite, got {value}')
