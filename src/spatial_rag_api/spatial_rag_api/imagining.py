"""From a request to imagined futures: the present, the memories around it, the model."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from spatial_rag_api.conversions import steps_of
from spatial_rag_api.followed_memory import FollowedMemory
from spatial_rag_api.model import Model, Timed
from spatial_rag_api.pictures import bytes_from_base64, rgb_from
from spatial_rag_api.schemas.imagining import Step
from spatial_rag_api.schemas.starts import StartFields
from spatial_rag_api.starting_point import (
    require_one_start,
    start_at,
    start_of_latent,
    start_of_memory,
    StartingPoint,
)
from spatial_rag_api.worker import Worker
from spatial_rag_core.errors import IndexUnavailableError, JournalError
from spatial_rag_core.models.memory_bank import MemoryBank
from spatial_rag_core.records import Hit, MemoryQuery, Vector

import numpy as np


class Surroundings(NamedTuple):
    """
    The memories around the present.

    bank: as the model takes them.  seqs: their numbers in the file, by name.  note: why there
    are none; empty: there are, or none were wanted.
    """

    bank: MemoryBank
    seqs: dict[str, int]
    note: str


class Imagination(NamedTuple):
    """The steps of each plan, without pictures, and the fields of `Imagining`."""

    plans: list[list[Step]]
    facts: dict[str, Any]


class Imaginer:
    """Imagines for whoever asks; memories are looked up in `lookups`."""

    def __init__(self, model: Model, memory: FollowedMemory, lookups: Worker,
                 pictures: Worker) -> None:
        self._model, self._memory = model, memory
        self._lookups, self._pictures = lookups, pictures

    async def imagine(self, asked: StartFields, plans: Vector) -> Imagination:
        """
        Imagine plans, float32 [B, T, action_dim].

        Raises ConfigurationError, InputError, ModelMismatchError, and JournalError where the
        present itself is a memory; without other memories it goes on, and says so.
        """
        require_one_start(asked)
        start = await self._start(asked)
        around = await self._lookups.run(self._around, start, asked)
        timed = await self._model.imagine(start.z, plans, around.bank, start.history)
        return await self._lookups.run(self._told, start, around, timed)

    def _told(self, start: StartingPoint, around: Surroundings, timed: Timed) -> Imagination:
        meta, imagined = self._model.metadata, timed.imagined
        frame: Literal['map', 'start'] = 'start' if start.pose is None else 'map'
        return Imagination(
            [steps_of(imagined, row, start.pose, around.seqs, around.bank.ids, meta.step_sec)
             for row in range(len(imagined.z))],
            {'model_id': meta.model_id, 'step_sec': meta.step_sec, 'pose_frame': frame,
             'memories_at_hand': len(around.bank), 'memory_note': around.note,
             'model_time_ms': timed.time_ms})

    async def _start(self, asked: StartFields) -> StartingPoint:
        meta = self._model.metadata
        if asked.z is not None:
            return start_of_latent(asked, meta)
        if asked.picture_base64 is not None:
            z, _ = await self.encode_base64(asked.picture_base64)
            return start_at(z, asked)
        return await self._lookups.run(start_of_memory, asked, self._memory, meta)

    async def encode_base64(self, picture: str) -> tuple[Vector, float]:
        """Latent of a picture in a request, and the time it took [ms]; raises ImageError."""
        rgb = await self._pictures.run(lambda: rgb_from(bytes_from_base64(picture)))
        return await self._model.encode(rgb)

    def _around(self, start: StartingPoint, asked: StartFields) -> Surroundings:
        meta = self._model.metadata
        if asked.memory == 'off' or start.pose is None:
            note = '' if asked.memory == 'off' else 'without memories: the pose is not known'
            return Surroundings(MemoryBank.empty(meta.z_dim, meta.action_dim), {}, note)
        hits, note = self._found(start, asked)
        bank = MemoryBank.from_memories([hit.memory for hit in hits], start.pose, meta.z_dim,
                                        meta.action_dim)
        seqs = {hit.memory.id: hit.seq for hit in hits}
        return Surroundings(shuffled(bank) if asked.memory == 'shuffled' else bank, seqs, note)

    def _found(self, start: StartingPoint, asked: StartFields) -> tuple[list[Hit], str]:
        knows_time = start.time_sec is not None and asked.memory_min_age_sec > 0.0
        try:
            self._memory.require_same_model()
            return self._memory.find(MemoryQuery(
                k=asked.memory_count, pose=start.pose, radius_m=asked.memory_radius_m,
                rank_by='pose', newest_only=True, map_id=asked.map_id,
                timestamp=start.time_sec if knows_time else None,
                min_age_sec=asked.memory_min_age_sec if knows_time else 0.0)), ''
        except (JournalError, IndexUnavailableError) as error:
            return [], f'without memories: {error}'


def shuffled(bank: MemoryBank) -> MemoryBank:
    """Each latent at the pose of another memory, always in the same way."""
    order = np.random.default_rng(0).permutation(len(bank))
    return MemoryBank(bank.z[order], bank.pose, bank.action[order],
                      tuple(bank.ids[row] for row in order.tolist()))
