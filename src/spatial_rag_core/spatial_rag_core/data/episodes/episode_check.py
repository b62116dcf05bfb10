"""Whether a file of episodes is as it should be; every byte of it is read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from spatial_rag_core.check_report import CheckReport
from spatial_rag_core.data.episodes.episode import EpisodeFacts
from spatial_rag_core.data.episodes.episode_file import EpisodeReader
from spatial_rag_core.data.episodes.splits import maps_in_two_splits
from spatial_rag_core.errors import EpisodeError

OnProgress = Callable[[int, int], None]


def check(path: Path, on_progress: OnProgress | None = None) -> CheckReport:
    """Verify a file; one that cannot be opened at all is a problem too, a missing one raises."""
    if not path.exists():
        EpisodeReader(path)
    try:
        with EpisodeReader(path) as reader:
            return _checked(reader, on_progress)
    except EpisodeError as error:
        return CheckReport(0, (str(error),))


def _checked(reader: EpisodeReader, on_progress: OnProgress | None) -> CheckReport:
    names = reader.names()
    facts: list[EpisodeFacts] = []
    problems: list[str] = []
    for number, name in enumerate(names, start=1):
        try:
            reader.read(name)
            facts.append(reader.facts(name))
        except EpisodeError as error:
            problems.append(str(error))
        if on_progress is not None:
            on_progress(number, len(names))
    problems += _problems_of_the_whole(reader, facts, is_all=len(facts) == len(names))
    return CheckReport(len(facts), tuple(problems))


def _problems_of_the_whole(reader: EpisodeReader, facts: list[EpisodeFacts],
                           is_all: bool) -> list[str]:
    moments = sum(one.length for one in facts)
    problems = [f'{one.name} is in no split; nothing will be trained or judged with it'
                for one in facts if not one.splits]
    problems += [f'{one.name} is in {" and ".join(one.splits)}; take it out of one'
                 for one in facts if len(one.splits) > 1]
    problems += [f'map {map_id} is in {" and ".join(splits)}; a test on it is none'
                 for map_id, splits in maps_in_two_splits(facts).items()]
    problems += [f'{name} is in a split, but not in the file' for name in reader.missing]
    if is_all and moments != reader.total:
        problems.append(f'the episodes have {moments} moments, /data says {reader.total}')
    return problems
