"""A rollout as a stream of events: each imagined step when its time has come."""

from __future__ import annotations

import asyncio

from spatial_rag_api.conversions import numbers_from, pose_from_address
from spatial_rag_api.imagining import Imagination
from spatial_rag_api.parts import Parts
from spatial_rag_api.problems import kind_of, problem_of
from spatial_rag_api.schemas.imagining import Step
from spatial_rag_api.schemas.starts import StartFields
from spatial_rag_api.schemas.streaming import StreamEnd, StreamQuery, StreamStart
from spatial_rag_api.streams import Events
from spatial_rag_core.error_words import told
from spatial_rag_core.errors import ActionError, SpatialRagError
from spatial_rag_core.records import as_action, as_latent, Vector

import numpy as np
from pydantic import BaseModel
from sse_starlette import ServerSentEvent


class Pacemaker:
    """Lets one step through each period; time that was lost is not made up for."""

    def __init__(self, rate_hz: float) -> None:
        self._period_sec = 1.0 / rate_hz
        self._due_sec = 0.0

    async def wait(self) -> None:
        """Return when the next step is due, or at once where that was before."""
        now_sec = asyncio.get_running_loop().time()
        await asyncio.sleep(max(0.0, self._due_sec - now_sec))
        self._due_sec = max(self._due_sec, now_sec) + self._period_sec


class RolloutStream:
    """What a client of /stream-rollout asked for, and how it is told."""

    def __init__(self, asked: StreamQuery, parts: Parts) -> None:
        self._asked, self._parts = asked, parts
        self._start = start_from(asked)
        self._plan = plan_from(asked, parts.model.metadata.action_dim)[None]

    async def imagine(self) -> Imagination:
        """Imagine it once; raises what /rollout raises."""
        return await self._parts.imaginer.imagine(self._start, self._plan)

    async def events(self, first: Imagination) -> Events:
        """Tell this rollout, and with `repeat` others after it; errors are told, too."""
        loop, pace = asyncio.get_running_loop(), Pacemaker(self._asked.rate_hz)
        end_sec = loop.time() + self._parts.config.limits.stream_timeout_sec
        rollout, imagination = 1, first
        try:
            while True:
                yield self._beginning(rollout, imagination)
                for step in imagination.plans[0]:
                    await pace.wait()
                    if loop.time() > end_sec:
                        yield _event('end', StreamEnd(reason='time_limit'))
                        return
                    yield await self._told(step)
                if not self._asked.repeat:
                    yield _event('end', StreamEnd(reason='horizon'))
                    return
                rollout, imagination = rollout + 1, await self.imagine()
        except SpatialRagError as error:
            yield _event('problem', problem_of(kind_of(error), told(error)))

    def _beginning(self, rollout: int, imagination: Imagination) -> ServerSentEvent:
        return _event('start', StreamStart(**imagination.facts, rollout=rollout,
                                           steps=self._plan.shape[1]))

    async def _told(self, step: Step) -> ServerSentEvent:
        if self._asked.pictures:
            picture = await self._parts.model.picture(as_latent(step.z))
            step = step.model_copy(update={'picture_base64': picture})
        self._parts.metrics.events.inc()
        return _event('step', step)


def start_from(asked: StreamQuery) -> StartFields:
    """The present, as POST /rollout takes it; raises ConfigurationError, InputError."""
    shared = asked.model_dump(include=set(StartFields.model_fields) - {'z'})
    return StartFields(
        **shared, z=None if asked.z is None else numbers_from(asked.z, 'z'),
        pose=pose_from_address(asked.x_m, asked.y_m, asked.z_m, asked.yaw_rad))


def plan_from(asked: StreamQuery, action_dim: int) -> Vector:
    """Actions float32 [T, action_dim], the last one repeated to the end; raises InputError."""
    if not asked.actions:
        return np.zeros((asked.steps, action_dim), np.float32)
    told_actions = asked.actions.split(';')
    if len(told_actions) > asked.steps:
        raise ActionError(f'{len(told_actions)} actions are more than {asked.steps} steps; ask '
                          'for more steps, or give fewer actions')
    actions = [as_action(numbers_from(each, 'actions'), action_dim) for each in told_actions]
    return np.array(actions + [actions[-1]] * (asked.steps - len(actions)), np.float32)


def _event(name: str, data: BaseModel) -> ServerSentEvent:
    return ServerSentEvent(data.model_dump_json(), event=name, sep='\n')
