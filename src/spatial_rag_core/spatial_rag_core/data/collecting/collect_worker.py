"""Reads recordings in processes of their own: what befalls one leaves the others alone."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
import contextlib
from dataclasses import dataclass, field
from functools import partial
import multiprocessing
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
import signal
import time
from typing import NamedTuple

from spatial_rag_core.data.collecting.bag_episodes import BagEpisodes
from spatial_rag_core.data.collecting.collect_config import CollectConfig
from spatial_rag_core.data.episodes.episode_writer import packed
from spatial_rag_core.errors import SpatialRagError

_REPORT_PERIOD_SEC = 0.2


class Task(NamedTuple):
    """A recording to read, and the sessions of it that are in the file already."""

    path: Path
    known_sessions: Collection[str]


class PackedEpisode(NamedTuple):
    """An episode as bytes of HDF5, and its number of moments."""

    content: bytes
    moments: int


class Reading(NamedTuple):
    """How much of a recording was read [s], of how much."""

    read_sec: float
    duration_sec: float


@dataclass(frozen=True)
class Ending:
    """
    How the reading of a recording ended.

    failure: what is wrong with it; empty where nothing is.  seen: episodes that it holds, those
    that were in the file already among them.  findings: kind → how often; reasons: kind → why.
    """

    failure: str = ''
    seen: int = 0
    start_ns: int = 0
    duration_sec: float = 0.0
    findings: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)


News = PackedEpisode | Ending
OnReading = Callable[[Task, Reading], None]


def read_all(tasks: Sequence[Task], config: CollectConfig, workers: int,
             on_reading: OnReading) -> Iterator[tuple[Task, News]]:
    """Give what the readings bring, as it comes; each task ends with an Ending."""
    if workers == 1:
        for task in tasks:
            for news in read(task, config, partial(on_reading, task)):
                yield task, news
        return
    waiting, running = list(tasks), dict[Connection, tuple[Task, SpawnProcess]]()
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                _start(waiting.pop(0), config, running)
            for ready in wait(list(running)):
                assert isinstance(ready, Connection)
                task, process = running[ready]
                received = _received(ready, process, task)
                if isinstance(received, Reading):
                    on_reading(task, received)
                    continue
                if isinstance(received, Ending):
                    del running[ready]
                    process.join()
                yield task, received
    finally:
        for _, process in running.values():
            process.kill()


def read(task: Task, config: CollectConfig,
         on_reading: Callable[[Reading], None]) -> Iterator[News]:
    """Read one recording; whatever is wrong with it is told in the Ending."""
    try:
        bag = BagEpisodes(task.path, config)
    except (SpatialRagError, OSError) as error:
        yield Ending(str(error))
        return
    bag.on_read = _seldom(lambda read_sec: on_reading(Reading(read_sec, bag.duration_sec)))
    seen, failure = 0, ''
    try:
        for episode in bag:
            seen += 1
            if episode.session not in task.known_sessions:
                yield PackedEpisode(packed(episode), len(episode))
        failure = '' if seen else bag.nothing()
    except (SpatialRagError, OSError, MemoryError) as error:
        failure = str(error) or type(error).__name__
    yield Ending(failure, seen, bag.start_ns, bag.duration_sec, dict(bag.findings.counts),
                 bag.findings.reasons)


def _seldom(tell: Callable[[float], None]) -> Callable[[float], None]:
    """Pass a figure on, but not too often."""
    told_sec = 0.0

    def sometimes(figure: float) -> None:
        nonlocal told_sec
        if time.monotonic() - told_sec > _REPORT_PERIOD_SEC:
            told_sec = time.monotonic()
            tell(figure)
    return sometimes


def _start(task: Task, config: CollectConfig,
           running: dict[Connection, tuple[Task, SpawnProcess]]) -> None:
    context = multiprocessing.get_context('spawn')
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(task, config, there), daemon=True)
    process.start()
    there.close()
    running[here] = task, process


def _received(connection: Connection, process: SpawnProcess, task: Task) -> News | Reading:
    try:
        news: News | Reading = connection.recv()
    except EOFError:  # it ended without a word
        process.join()
        return Ending(f'{task.path}: its process ended with code {process.exitcode}, of too '
                      'little memory maybe; try it alone, with --workers 1')
    return news


def _work(task: Task, config: CollectConfig, connection: Connection) -> None:
    """Run in a process of its own; Ctrl-C is the parent's to answer."""
    import cv2
    with contextlib.suppress(ValueError):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(1)
    with contextlib.suppress(BrokenPipeError):  # the parent is gone
        for news in read(task, config, connection.send):
            connection.send(news)
