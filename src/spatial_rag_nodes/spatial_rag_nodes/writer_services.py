"""What the memory writer does for whoever asks: sessions, pauses, words, forgetting."""

from __future__ import annotations

from collections.abc import Callable

from spatial_rag_core.errors import JournalUnavailableError
from spatial_rag_core.memory.forgetting.live import forget_selected
from spatial_rag_core.memory.labelling import relabel_selected
from spatial_rag_core.memory.storing.committer import Committer
from spatial_rag_core.memory.storing.recording import Recording
from spatial_rag_msgs.srv import (
    EndSession,
    ForgetMemories,
    LabelMemories,
    PauseWriting,
    ResumeWriting,
    SetLabels,
    StartSession,
)
from spatial_rag_nodes.answers import coded
from spatial_rag_nodes.conversions import selection_from_request
from spatial_rag_nodes.health import Health
from spatial_rag_nodes.health_checks import Finding
from spatial_rag_nodes.pending_request import BusyError
from spatial_rag_nodes.service_threads import ServiceThreads

_FLUSH_SEC = 5.0
"""How long a pause or the end of a session waits until all before it is stored."""


class WriterServices:
    """
    The services of the memory writer.

    changes: for what may take minutes, between the commits.  sessions: for what does not, so that
    it need not wait for that.  Close both after the committer, which ends what they wait for.
    place_waiting: has latents that wait for their pose take the nearest, so that they can be
    stored.
    """

    def __init__(self, changes: ServiceThreads, sessions: ServiceThreads, health: Health,
                 recording: Recording, committer: Committer,
                 place_waiting: Callable[[], None]) -> None:
        self._changes, self._sessions = changes, sessions
        self._recording, self._committer = recording, committer
        self._place_waiting = place_waiting
        for threads, kind, name, serve in (
                (changes, ForgetMemories, 'forget_memories', self._forget),
                (changes, LabelMemories, 'label_memories', self._label),
                (sessions, SetLabels, 'set_labels', self._set_labels),
                (sessions, PauseWriting, 'pause_writing', self._pause),
                (sessions, ResumeWriting, 'resume_writing', self._resume),
                (sessions, StartSession, 'start_session', self._start_session),
                (sessions, EndSession, 'end_session', self._end_session)):
            threads.create_service(kind, f'spatial_rag/{name}', health, serve,
                                   kind.Response.MEMORY_UNAVAILABLE)

    def find_idle(self) -> Finding | None:
        """Say that nothing is remembered, for people forget what they asked for."""
        if self._recording.is_on:
            return None
        why = ('writing is paused until resume_writing' if self._recording.session
               else 'no session runs; begin one with start_session')
        return Finding(f'nothing is remembered: {why}')

    async def _forget(self, request: ForgetMemories.Request,
                      response: ForgetMemories.Response) -> ForgetMemories.Response:
        with coded(response):
            response.count = await self._changes.run(
                forget_selected, self._committer, selection_from_request(request),
                request.dry_run)
        return response

    async def _label(self, request: LabelMemories.Request,
                     response: LabelMemories.Response) -> LabelMemories.Response:
        with coded(response):
            response.count = await self._changes.run(
                relabel_selected, self._committer, selection_from_request(request),
                tuple(request.add_labels), tuple(request.remove_labels))
        return response

    async def _set_labels(self, request: SetLabels.Request,
                          response: SetLabels.Response) -> SetLabels.Response:
        response.previous_labels = list(self._recording.labels)
        with coded(response):
            self._recording.set_labels(tuple(request.labels))
        return response

    async def _pause(self, _request: PauseWriting.Request,
                     response: PauseWriting.Response) -> PauseWriting.Response:
        self._recording.pause()
        with coded(response):
            await self._store_what_waits('writing is paused')
        response.count = self._committer.count
        return response

    async def _resume(self, _request: ResumeWriting.Request,
                      response: ResumeWriting.Response) -> ResumeWriting.Response:
        response.skipped_count = self._recording.resume()
        if not self._recording.session:
            response.code = response.NO_SESSION
            response.message = 'no session runs; begin one with start_session'
        return response

    async def _start_session(self, request: StartSession.Request,
                             response: StartSession.Response) -> StartSession.Response:
        response.ended_session = self._recording.session
        with coded(response):
            response.session = self._recording.begin(request.name)
            await self._store_what_waits(f'session {response.session} has begun')
        return response

    async def _end_session(self, _request: EndSession.Request,
                           response: EndSession.Response) -> EndSession.Response:
        if not self._recording.session:
            response.code, response.message = response.NO_SESSION, 'no session runs'
            return response
        self._place_waiting()
        response.session, response.count = self._recording.session, self._recording.made
        self._recording.end()
        with coded(response):
            await self._store_what_waits(f'session {response.session} has ended')
        return response

    async def _store_what_waits(self, done: str) -> None:
        """Raise JournalUnavailableError where that takes long; done: what has taken effect."""
        self._place_waiting()
        try:
            is_stored = await self._sessions.run(self._committer.flush, _FLUSH_SEC)
        except BusyError as error:
            raise BusyError(f'{done}, but whether all before it is stored nobody waits for: '
                            f'{error}') from error
        if not is_stored:
            raise JournalUnavailableError(
                f'{done}, but {self._committer.backlog} memories are not stored after '
                f'{_FLUSH_SEC:g} s; they wait for the disk, see /diagnostics')
