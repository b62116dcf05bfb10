"""Names that are unique without asking anyone, and sort by the time of their making."""

from __future__ import annotations

import secrets
import time

_CROCKFORD = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'


def new_memory_id() -> str:
    """ULID: 48 bits of Unix time [ms] and 80 random bits in 26 characters (ulid/spec)."""
    value = (time.time_ns() // 1_000_000 & (1 << 48) - 1) << 80 | secrets.randbits(80)
    return ''.join(_CROCKFORD[value >> shift & 31] for shift in range(125, -1, -5))


def new_session_name() -> str:
    """UTC date and time of the session's start and a random tail, e.g. 20261122T152500Z-3f9c."""
    return time.strftime('%Y%m%dT%H%M%SZ', time.gmtime()) + '-' + secrets.token_hex(2)
