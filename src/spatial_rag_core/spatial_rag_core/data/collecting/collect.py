"""Recordings into a file of episodes: in parallel, to be continued, each split by map."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from spatial_rag_core.data.bags.bag_source import BagSource
from spatial_rag_core.data.collecting.assembly_config import meaning_of_actions
from spatial_rag_core.data.collecting.bag_episodes import recording_name
from spatial_rag_core.data.collecting.collect_config import CollectConfig
from spatial_rag_core.data.collecting.collect_worker import (
    Ending,
    PackedEpisode,
    read_all,
    Reading,
    Task,
)
from spatial_rag_core.data.collecting.collected_list import DoneList
from spatial_rag_core.data.episodes.episode import EpisodeFacts
from spatial_rag_core.data.episodes.episode_writer import EpisodeWriter
from spatial_rag_core.data.episodes.known_splits import facts_in, SplitChoice, splits_of_maps
from spatial_rag_core.errors import BagError, ConfigurationError

OnProgress = Callable[[int, int], None]
_IN_RECIPE = ('rate_hz', 'image_size', 'action_dim', 'action_source', 'pose_axes', 'max_gap_sec',
              'max_episode_sec', 'min_episode_sec', 'with_depth')


@dataclass
class BagReport:
    """
    What became of one recording: 'collected', 'passed over' (it was there already) or 'failed'.

    episodes, frames: added now.  findings: what was left out or changed → how often; reasons:
    the first reason of each.
    """

    path: str
    status: Literal['collected', 'passed over', 'failed'] = 'failed'
    reason: str = ''
    split: str = ''
    episodes: int = 0
    frames: int = 0
    duration_sec: float = 0.0
    findings: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)


def collect(path: Path, bags: Sequence[Path], config: CollectConfig,
            split: SplitChoice = 'auto', workers: int = 1,
            on_progress: OnProgress | None = None) -> list[BagReport]:
    """
    Add the episodes of recordings to a file, and tell of each recording what became of it.

    What is in the file already is not added twice; a recording that was read to its end is
    passed over. A damaged one is told as 'failed', what lay before the damage is kept. Raises
    EpisodeError where the file cannot be written or was made otherwise.
    """
    if not 1 <= workers <= 256:
        raise ConfigurationError(f'workers must lie between 1 and 256, got {workers}')
    bags = list(dict.fromkeys(bag.resolve() for bag in bags))
    recipe = {'command': 'collect', **meaning_of_actions(config.action_source),
              **{name: getattr(config, name) for name in _IN_RECIPE}}
    there = facts_in(path)
    with EpisodeWriter(path, recipe) as writer:
        job = _Job(writer, there, bags, config, split, on_progress or (lambda done, total: None))
        job.run(workers)
    return list(job.reports.values())


class _Job:
    """One call of `collect`."""

    def __init__(self, writer: EpisodeWriter, there: Sequence[EpisodeFacts],
                 bags: Sequence[Path], config: CollectConfig, split: SplitChoice,
                 on_progress: OnProgress) -> None:
        self.reports = {bag: BagReport(str(bag)) for bag in bags}
        self._writer, self._config, self._on_progress = writer, config, on_progress
        self._done = DoneList(writer.path)
        self._starts_ns: dict[Path, int] = {}
        self._read: dict[Path, Reading] = {}
        self._tasks = [Task(bag, {one.session for one in there if one.source == name})
                       for bag, name in zip(bags, map(recording_name, bags), strict=True)
                       if self._is_to_be_read(bag)]
        self._map_of = {bag: recording_name(bag) if config.map_id is None else config.map_id
                        for bag in self._starts_ns}
        self._splits = splits_of_maps(there, self._map_of.values(), split)

    def _is_to_be_read(self, bag: Path) -> bool:
        """Open a recording; it may be no recording, or in the file or in the list already."""
        report = self.reports[bag]
        try:
            with BagSource(bag) as source:
                start_ns, duration_sec = source.start_ns, source.duration_sec
        except BagError as error:
            report.reason = str(error)
            return False
        twins = {(recording_name(other), start) for other, start in self._starts_ns.items()}
        self._starts_ns[bag] = start_ns
        if (key := (recording_name(bag), start_ns)) in twins or key in self._done:
            report.status = 'passed over'
            return False
        self._read[bag] = Reading(0.0, duration_sec)
        return True

    def run(self, workers: int) -> None:
        """Read what was not read to its end before."""
        workers = min(workers, max(1, len(self._tasks)))
        for task, news in read_all(self._tasks, self._config, workers, self._tell):
            report = self.reports[task.path]
            if isinstance(news, PackedEpisode):
                self._add(task.path, report, news)
            else:
                self._end(task, report, news)

    def _add(self, bag: Path, report: BagReport, episode: PackedEpisode) -> None:
        map_id = self._map_of[bag]
        split = self._splits[map_id]
        self._writer.append_packed(episode.content, map_id, split)
        report.split = split
        report.episodes += 1
        report.frames += episode.moments

    def _end(self, task: Task, report: BagReport, ending: Ending) -> None:
        report.reason, report.duration_sec = ending.failure, ending.duration_sec
        report.findings, report.reasons = ending.findings, ending.reasons
        whole_sec = self._read[task.path].duration_sec
        self._tell(task, Reading(whole_sec, whole_sec))
        if not ending.failure:
            report.status = 'collected'
            self._done.add(recording_name(task.path), ending.start_ns)

    def _tell(self, task: Task, reading: Reading) -> None:
        self._read[task.path] = reading
        self._on_progress(round(sum(one.read_sec for one in self._read.values())),
                          round(sum(one.duration_sec for one in self._read.values())))
