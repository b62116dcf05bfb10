"""Latents that wait a moment for their memories."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
import time
from typing import Generic, TypeVar

from spatial_rag_core.errors import ConfigurationError

Item = TypeVar('Item')
Partner = TypeVar('Partner')

_MAX_WAITING = 32


class DeadlineJoin(Generic[Item, Partner]):
    """
    Items by stamp [ns], each taken once: with its partner, or alone when its time is up.

    Either may come first, for they travel on two topics.
    """

    def __init__(self, timeout_sec: float) -> None:
        if timeout_sec <= 0:
            raise ConfigurationError(f'retrieval_timeout_sec must be > 0 s, got {timeout_sec}')
        self._timeout_ns = round(timeout_sec * 1e9)
        self._waiting: OrderedDict[int, tuple[Item, int]] = OrderedDict()
        self._early: OrderedDict[int, Partner] = OrderedDict()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, stamp_ns: int, item: Item) -> Partner | None:
        """Return the partner that came before the item; else None, and the item waits."""
        partner = self._early.pop(stamp_ns, None)
        if partner is not None:
            return partner
        self._waiting.pop(stamp_ns, None)  # a repeated stamp goes to the end, as its deadline
        self._waiting[stamp_ns] = (item, time.monotonic_ns() + self._timeout_ns)
        if len(self._waiting) > _MAX_WAITING:
            self._waiting.popitem(last=False)
        return None

    def take(self, stamp_ns: int, partner: Partner) -> Item | None:
        """Return the item of this stamp; else None, and the partner is kept for a while."""
        item, _ = self._waiting.pop(stamp_ns, (None, 0))
        if item is None:
            self._early[stamp_ns] = partner
            if len(self._early) > _MAX_WAITING:
                self._early.popitem(last=False)
        return item

    def expired(self) -> Iterator[Item]:
        """Take those whose time is up, oldest first."""
        now_ns = time.monotonic_ns()
        while self._waiting:
            stamp_ns, (item, deadline_ns) = next(iter(self._waiting.items()))
            if deadline_ns > now_ns:
                return
            del self._waiting[stamp_ns]
            yield item
