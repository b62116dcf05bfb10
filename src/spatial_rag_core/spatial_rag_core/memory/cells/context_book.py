"""Contexts of memories as small numbers, and which of them a query admits."""

from __future__ import annotations

from collections.abc import Mapping

from spatial_rag_core.memory.index import Context
from spatial_rag_core.records import MemoryQuery

import numpy as np
from numpy.typing import NDArray

MAX_ANSWERS = 64  # lists of the contexts that meet a query, which are remembered


class ContextBook:
    """Gives each context a small number, and says which of them a query admits."""

    def __init__(self) -> None:
        self._numbers: dict[Context, int] = {}
        self._answers: dict[tuple[object, ...], NDArray[np.bool_]] = {}

    def numbers_of(self, keys: NDArray[np.int32],
                   table: Mapping[int, Context]) -> NDArray[np.int32]:
        """Number of the context of each key of the table, int32 [n]."""
        distinct, owner = np.unique(keys, return_inverse=True)
        numbers = [self._numbers.setdefault(table[key], len(self._numbers))
                   for key in distinct.tolist()]
        return np.array(numbers, np.int32)[owner]

    def admitted(self, query: MemoryQuery) -> NDArray[np.bool_] | None:
        """
        Say of each number whether its context meets the query; None: all do.

        The last entry stands for the contexts that come after this call, and is False.
        """
        if query.session is query.robot is query.map_id is None and not query.labels:
            return None
        key = (query.session, query.robot, query.map_id, query.labels)
        answer = self._answers.get(key)
        known = list(self._numbers)
        if answer is None or len(answer) <= len(known):
            answer = np.array([*(context.meets(query) for context in known), False])
            if len(self._answers) >= MAX_ANSWERS:
                self._answers.clear()
            self._answers[key] = answer
        return answer
