"""The robot's memory file, read while the robot writes it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import NamedTuple

from spatial_rag_api.schemas.server import MemoryState
from spatial_rag_core.errors import (
    InputError,
    JournalDamagedError,
    JournalError,
    JournalUnavailableError,
    ModelMismatchError,
)
from spatial_rag_core.memory.answering.refresher import Refresher
from spatial_rag_core.memory.retriever import Retriever
from spatial_rag_core.records import Hit, Memory, MemoryQuery

_LOG = logging.getLogger(__name__)


class UnknownMemoryError(InputError):
    """There is no such memory, or no more."""


class Condition(NamedTuple):
    """How the memory is, and what is wrong with it; an empty note: nothing."""

    state: MemoryState
    note: str


class FollowedMemory:
    """
    What is remembered, for a model; never written to.

    path: the file, which may come later.  model_id: the model whose latents are compared with
    it.  A thread of its own takes in what the robot stores.  Any thread may ask, and may wait
    for the disk: not the event loop's.
    """

    def __init__(self, path: Path, model_id: str, period_sec: float = 0.05) -> None:
        self.retriever = Retriever(path)
        self._model_id = model_id
        self._told = ''
        self._refresher = Refresher(self.retriever, period_sec, self._report)

    def _report(self, error: Exception) -> None:
        if str(error) != self._told:  # a file that stays as it is would fill the log
            self._told = str(error)
            _LOG.warning('memory: %s', error)

    def catch_up(self, timeout_sec: float) -> None:
        """Wait until what was stored before is found; or so long."""
        try:
            self._refresher.catch_up(timeout_sec)
        except JournalError as error:
            _LOG.debug('memory: %s', error)  # condition tells it

    @property
    def path(self) -> Path:
        """The memory file."""
        return self.retriever.path

    def condition(self) -> Condition:
        """How it is now."""
        retriever, error = self.retriever, self._refresher.error
        if retriever.spec is None:
            return Condition('absent', f'there is no memory file {self.path} yet; let the robot '
                             'make one, or name another with --memory') if error is None else (
                                 Condition('unusable', str(error)))
        if not retriever.is_whole:
            done, total = retriever.loading or (0, 0)
            return Condition('loading', f'{done} of {total} memories are loaded; ask again soon')
        return self._condition_of_content(error)

    def _condition_of_content(self, error: Exception | None) -> Condition:
        try:
            author = self.retriever.model_id
        except JournalError as failure:
            return Condition('unusable', str(failure))
        if author not in (None, self._model_id):
            return Condition('other_model', (
                f'{self.path} holds latents of model {author}, this is {self._model_id}; start '
                'the server with that model, or re-encode: spatial-rag memory reencode'))
        damage = self.retriever.damage
        if damage is None and error is not None and not isinstance(error, JournalDamagedError):
            damage = str(error)
        return Condition('ready', damage or '')

    def find(self, query: MemoryQuery, with_pictures: bool = False) -> list[Hit]:
        """
        Find memories, nearest first.

        Raises JournalUnavailableError where there is nothing that could be asked,
        ModelMismatchError where a latent is of another model than the memory.
        """
        self.require_whole()
        return self.retriever.query(query, with_pictures)

    def require_whole(self) -> Condition:
        """Raise JournalUnavailableError where it is absent, not loaded or not usable."""
        condition = self.condition()
        if condition.state in ('absent', 'loading', 'unusable'):
            raise JournalUnavailableError(condition.note)
        return condition

    def require_same_model(self) -> None:
        """Raise what keeps its latents from being used by the model."""
        condition = self.require_whole()
        if condition.state == 'other_model':
            raise ModelMismatchError(condition.note)

    def memory(self, seq: int, with_picture: bool = True) -> Memory:
        """One memory by its number; raises UnknownMemoryError where there is none."""
        if self.retriever.spec is None:
            self.require_whole()
        found = self.retriever.get_by_seq(seq, with_picture)
        if found is None:
            raise UnknownMemoryError(f'there is no memory {seq}, it may have been forgotten; take '
                                     'one that /memory/query finds')
        return found

    def latest(self, with_picture: bool = True) -> tuple[int, Memory]:
        """The newest memory and its number; raises UnknownMemoryError where there is none."""
        self.require_whole()
        found = self.retriever.newest(with_picture)
        if found is None:
            raise UnknownMemoryError(f'{self.path} holds no memory yet; let the robot make some')
        return found

    def close(self) -> None:
        """End the thread and close the file."""
        self._refresher.close()
