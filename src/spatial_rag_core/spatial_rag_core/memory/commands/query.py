"""`spatial-rag memory query`: ask a memory file as a robot would."""

from __future__ import annotations

import argparse
from contextlib import closing
from dataclasses import replace
import json
from pathlib import Path
import time
from typing import Any, NamedTuple, TYPE_CHECKING

from spatial_rag_core.errors import InputError, JournalDamagedError
from spatial_rag_core.memory.commands.command import add_command, add_file, report
from spatial_rag_core.memory.commands.hits import hit_values, save_thumbnails, text_of
from spatial_rag_core.memory.commands.query_options import add_likeness, add_ranking
from spatial_rag_core.memory.commands.selection_options import (
    add_filters,
    box_of,
    point_of,
    yaw_of,
)
from spatial_rag_core.memory.file.snapshot import open_memory
from spatial_rag_core.records import as_latent, Hit, Memory, MemoryQuery, Pose, Vector

if TYPE_CHECKING:
    from spatial_rag_core.memory.retriever import Retriever  # Faiss: only who asks loads it

_MAX_K = 10_000


class _Asked(NamedTuple):
    """The latent that is looked for, its author, and the memory that it is taken from, if any."""

    vector: Vector | None = None
    model_id: str | None = None
    memory: Memory | None = None


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `query`."""
    command = add_command(
        commands, 'query', _query, operands='FILE', does='find memories by place and by likeness',
        more='Find memories, nearest first. Ranked by likeness of latents where --like, --image '
             'or --latent gives one, else by pose. The file may be in use.',
        examples=('memory.db --near 2 -1.5 --radius 3',
                  'memory.db --like 01KAPJ5QEY8Z7R0000000000AB --radius 5 --min-age 60',
                  'memory.db --image door.jpg --model model.pt --thumbnails found',
                  'memory.db --box 0 0 12 8 --near 6 4 --label door --json'))
    add_file(command)
    add_likeness(command)
    add_ranking(command)
    add_filters(command)
    command.add_argument('--thumbnails', type=Path, metavar='FOLDER',
                         help='write the pictures of what is found into this folder')


def _query(arguments: argparse.Namespace) -> None:
    """Answer also where some memories are lost, and tell so after that."""
    _check_words(arguments)
    asked = _asked(arguments)
    query = _query_of(arguments, asked)
    from spatial_rag_core.memory.retriever import Retriever
    with closing(Retriever(arguments.path)) as retriever:
        damage = _damage_seen(retriever)
        hits = _without(asked.memory, query, retriever.query(
            _one_more(query, asked.memory), with_thumbnails=arguments.thumbnails is not None))
        count = retriever.index_count
    _report(arguments, query, hits, count)
    if damage is not None:
        raise damage


def _damage_seen(retriever: Retriever) -> JournalDamagedError | None:
    try:
        retriever.refresh()
    except JournalDamagedError as error:
        if not retriever.index_count:
            raise
        return error
    return None


def _report(arguments: argparse.Namespace, query: MemoryQuery, hits: list[Hit],
            count: int) -> None:
    files = save_thumbnails(hits, arguments.thumbnails)
    values = {'path': arguments.path, 'count': count, 'rank_by': query.rank_by,
              'metric': query.metric,
              'hits': [hit_values(hit, file) for hit, file in zip(hits, files, strict=True)]}
    report(arguments, values, text_of(hits, arguments.thumbnails, files))


def _check_words(arguments: argparse.Namespace) -> None:
    if not any((arguments.near, arguments.like, arguments.image, arguments.latent)):
        arguments.usage_error('say what to look for: --near, --like, --image or --latent')
    if (arguments.image is None) != (arguments.model is None):
        arguments.usage_error('--image and --model must be given together')
    for name, value in (('--radius', arguments.radius), ('--max-dz', arguments.max_dz)):
        if value is not None and not (arguments.near or arguments.like):
            arguments.usage_error(f'{name} needs --near or --like to measure from')


def _asked(arguments: argparse.Namespace) -> _Asked:
    """Find the latent; the memory file is there in any case."""
    with open_memory(arguments.path) as journal:
        if arguments.like is None:
            pass
        elif seqs := journal.seqs_of([arguments.like]):
            memory = journal.get(list(seqs.values()), with_thumbnails=False).popitem()[1]
            return _Asked(memory.vector, memory.model_id, memory)
        else:
            raise InputError(f'{arguments.path} holds no memory with id {arguments.like}; take '
                             'one that `spatial-rag memory query` prints')
    if arguments.image is not None:
        return _picture_latent(arguments.image, arguments.model)
    return _Asked() if arguments.latent is None else _Asked(_latent_of(arguments.latent))


def _latent_of(text: str) -> Vector:
    try:
        return as_latent(json.loads(text))
    except json.JSONDecodeError as error:
        raise InputError(f'--latent is not JSON ({error}); write [0.1, -0.2, ...]') from error


def _picture_latent(path: Path, model: Path) -> _Asked:
    from spatial_rag_core.models.bundle import Bundle  # torch: seconds

    import cv2
    import numpy as np
    try:
        encoded = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise InputError(f'{path} cannot be read: {error.strerror}; check the path') from error
    bgr: Any = cv2.imdecode(encoded, cv2.IMREAD_COLOR) if len(encoded) else None
    if bgr is None:
        raise InputError(f'{path} is no picture; give a JPEG or PNG file')
    bundle = Bundle.load(model)
    return _Asked(bundle.encode_image(np.ascontiguousarray(bgr[..., ::-1])), bundle.model_id)


def _query_of(arguments: argparse.Namespace, asked: _Asked) -> MemoryQuery:
    """Raise ConfigurationError for values out of range."""
    pose, vector = _pose_of(arguments, asked), asked.vector
    moment = asked.memory.timestamp if asked.memory else time.time()
    return MemoryQuery(
        k=arguments.k, vector=vector, pose=pose, radius_m=arguments.radius,
        box=box_of(arguments.box), min_age_sec=arguments.min_age,
        timestamp=moment if arguments.at is None else arguments.at,
        after=arguments.after, before=arguments.before, session=arguments.session,
        robot=arguments.robot, map_id=arguments.map_id, labels=tuple(arguments.label),
        max_dz_m=arguments.max_dz, model_id=asked.model_id,
        rank_by=arguments.rank_by or ('pose' if vector is None else 'latent'),
        metric=arguments.metric, diversity=arguments.diversity)


def _pose_of(arguments: argparse.Namespace, asked: _Asked) -> Pose | None:
    if arguments.near is None:
        return asked.memory.pose if asked.memory else None
    point = point_of(arguments.near)
    assert point is not None
    return Pose(point, yaw_of(arguments.yaw_deg))


def _one_more(query: MemoryQuery, asked: Memory | None) -> MemoryQuery:
    """Room for the memory that is asked with: it is like itself, and that is no answer."""
    return query if asked is None else replace(query, k=min(query.k + 1, _MAX_K))


def _without(asked: Memory | None, query: MemoryQuery, hits: list[Hit]) -> list[Hit]:
    return [hit for hit in hits if asked is None or hit.memory.id != asked.id][:query.k]
