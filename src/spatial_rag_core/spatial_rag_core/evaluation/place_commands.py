"""`spatial-rag evaluate places`: how often a picture finds the pictures of its place."""

from __future__ import annotations

import argparse
from dataclasses import asdict
import math
from pathlib import Path
from typing import Any, TYPE_CHECKING

from spatial_rag_core.data.commands.recording_options import add_recording_options
from spatial_rag_core.errors import ConfigurationError
from spatial_rag_core.evaluation.asked_recording import AskedRecording
from spatial_rag_core.evaluation.time_split import (
    add_split_options,
    SEEN_WORDS,
    split_of,
    TimeSplit,
    unseen_in_training,
)
from spatial_rag_core.memory.commands.command import report

if TYPE_CHECKING:  # torch, Faiss, OpenCV: only who runs the command loads them
    from spatial_rag_core.evaluation.image_folders import PictureSet
    from spatial_rag_core.evaluation.place_trial import PlaceTrial
    from spatial_rag_core.evaluation.places import Answers, Right
    from spatial_rag_core.models.bundle import Bundle

_EXAMPLES = """examples:
  spatial-rag evaluate places --map monday --query tuesday --bundle model.pt
  spatial-rag evaluate places --map tour --query tour --bundle model.pt --leave-out-sec 1
  spatial-rag evaluate places --map a/ --query b/ --matches pairs.csv --bundle model.pt --json"""


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `places`."""
    command = commands.add_parser(
        'places', help='how often a picture finds the pictures of its place', allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter, epilog=_EXAMPLES,
        description='Recall@1, 5, 10 of pictures that are looked up by latent, and by 32x24 grey '
                    'values,\nwith 95 % intervals. A map picture is a right answer within radius '
                    'and angle,\nor where a list of matches says so.')
    for name, what in (('map', 'to be found in'), ('query', 'to ask with')):
        command.add_argument(f'--{name}', type=Path, required=True, metavar='BAG|FOLDER',
                             help=f'recording, or folder of pictures, {what}')
    command.add_argument('--bundle', type=Path, required=True, nargs='+', metavar='FILE',
                         help='the model file; or one for each fold, trained without its queries')
    command.add_argument('--radius-m', type=float, default=0.25, metavar='M',
                         help='right answers lie no farther away [m] (default: 0.25)')
    command.add_argument('--angle-deg', type=float, default=20.0, metavar='D',
                         help='and are turned by no more [deg] (default: 20)')
    command.add_argument('--matches', type=Path, metavar='CSV',
                         help='right answers of two folders: lines "query picture,map picture"')
    command.add_argument('--metric', choices=('l2', 'cosine'), default='l2',
                         help='distance of latents (default: l2)')
    add_split_options(command)
    add_recording_options(command)
    command.add_argument('--json', action='store_true', help='print one JSON object')
    command.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> None:
    from spatial_rag_core.evaluation.place_trial import PlaceTrial
    folds = _folds(arguments)
    bundles = _load_bundles(arguments.bundle)
    places, queries = _sources(arguments, bundles)
    right = _right(arguments, places, queries)
    trial = PlaceTrial(places, queries, right, folds, arguments.metric)
    values = _values(arguments, trial, trial.run(bundles), bundles)
    report(arguments, values, _text(values))


def _folds(arguments: argparse.Namespace) -> tuple[TimeSplit | None, ...]:
    split = split_of(arguments)
    if split is None or arguments.fold is not None:
        return (split,)
    return split.folds()


def _load_bundles(paths: list[Path]) -> list[Bundle]:
    from spatial_rag_core.models.bundle import Bundle
    bundles = [Bundle.load(path) for path in paths]
    if len(sides := {bundle.metadata.image_size for bundle in bundles}) > 1:
        raise ConfigurationError(f'--bundle names models with image_size {sorted(sides)} px; give '
                                 'models that see pictures of one size')
    return bundles


def _sources(arguments: argparse.Namespace,
             bundles: list[Bundle]) -> tuple[PictureSet, PictureSet]:
    """Read map and query, once where they are the same."""
    from spatial_rag_core.evaluation.recordings import read_pictures
    places = read_pictures(arguments.map, arguments, bundles[0].metadata)
    if arguments.map.resolve() == arguments.query.resolve():
        return places, places
    return places, read_pictures(arguments.query, arguments, bundles[0].metadata)


def _right(arguments: argparse.Namespace, places: PictureSet, queries: PictureSet) -> Right:
    from spatial_rag_core.evaluation.image_folders import read_matches
    from spatial_rag_core.evaluation.places import PlaceTolerance
    tolerance = PlaceTolerance(arguments.radius_m, arguments.angle_deg)
    for pictures in (places, queries):
        if arguments.matches is not None and not pictures.names:
            raise ConfigurationError(f'--matches names pictures, and {pictures.path} is a '
                                     'recording; take it away, or name a folder of pictures')
        if arguments.matches is None and pictures.poses is None:
            raise ConfigurationError(f'{pictures.path} has no poses to tell right answers by; '
                                     'give --matches CSV, or a poses.csv beside the pictures')
    if arguments.matches is not None:
        return read_matches(arguments.matches, queries, places)
    assert places.poses is not None
    assert queries.poses is not None
    return tolerance.right(queries.poses, places.poses)


def _values(arguments: argparse.Namespace, trial: PlaceTrial, answers: Answers,
            bundles: list[Bundle]) -> dict[str, Any]:
    folds = [fold for fold in trial.folds if fold is not None]
    models = [bundle.metadata for bundle in bundles]
    places, queries = (AskedRecording.of(pictures.path, pictures.stamps)
                       for pictures in (trial.places, trial.queries))
    return {
        'map': arguments.map, 'query': arguments.query, 'bundle': arguments.bundle,
        'model_id': [bundle.model_id for bundle in bundles],
        'trained': all(model.trained for model in models),
        'unseen_in_training': unseen_in_training(models, trial.folds, queries),
        'map_unseen_in_training': unseen_in_training(models, [None] * len(models), places),
        'matches': arguments.matches,
        'radius_m': None if arguments.matches else arguments.radius_m,
        'angle_deg': None if arguments.matches else arguments.angle_deg,
        'split': None if not folds else {
            **folds[0].facts(), 'fold': [fold.fold for fold in folds]},
        'map_frames': len(trial.places.rgb), 'query_frames': len(trial.queries.rgb),
        'with_answer': len(answers.chance), 'without_answer': answers.without_answer,
        'blocks': len(set(answers.blocks.tolist())),
        'chance_at_1': float(answers.chance.mean()), 'metric': arguments.metric,
        'recall': _recalls(answers), 'gain_at_1': _gains(answers),
        'times_ms': trial.watch.means_ms(),
    }


def _recalls(answers: Answers) -> dict[str, Any]:
    from spatial_rag_core.evaluation.block_bootstrap import block_mean
    from spatial_rag_core.evaluation.places import RANKS
    return {name: {k: asdict(block_mean((ranks < k).astype(float), answers.blocks))
                   for k in RANKS} for name, ranks in answers.ranks.items()}


def _gains(answers: Answers) -> dict[str, Any]:
    """Recall@1 by latent less that by grey values, query by query."""
    from spatial_rag_core.evaluation.block_bootstrap import block_mean
    first = {name: (ranks < 1).astype(float) for name, ranks in answers.ranks.items()}
    return {f'over_{name}': asdict(block_mean(first['latent'] - first[name], answers.blocks))
            for name in ('grey', 'grey_centred')}


def _text(values: dict[str, Any]) -> str:
    from spatial_rag_core.memory.commands.text import table
    names = {'latent': f'latent ({values["metric"]})', 'grey': '32x24 grey (cosine)',
             'grey_centred': '32x24 grey less its mean (cosine)'}
    rows = [(names[name], *(_percent(one) for one in recalls.values()))
            for name, recalls in values['recall'].items()]
    gains = [(f'latent less {names[name.removeprefix("over_")]}', _percent(one, '+'), '', '')
             for name, one in values['gain_at_1'].items()]
    header = ('looked up by', 'recall@1 [%]', 'recall@5 [%]', 'recall@10 [%]')
    return '\n'.join([*_facts(values), '', table(header, [*rows, *gains]), '', *_notes(values)])


def _facts(values: dict[str, Any]) -> list[str]:
    lines = [f'map      {values["map"]}, {values["map_frames"]} frames',
             f'query    {values["query"]}, {values["query_frames"]} frames']
    if split := values['split']:
        lines.append(f'split    {split["stretch_sec"]:g} s in every {split["period_sec"]:g} s '
                     f'left out and asked about, guard {split["guard_sec"]:g} s, '
                     f'fold {", ".join(map(str, split["fold"]))}')
    lines.append('right    ' + (
        f'as {values["matches"]} says' if values['matches'] else
        f'within {values["radius_m"]:g} m and {values["angle_deg"]:g} deg'))
    lines.append(f'queries  {values["with_answer"]} with a right answer, '
                 f'{values["without_answer"]} without (not counted)')
    return lines


def _notes(values: dict[str, Any]) -> list[str]:
    from spatial_rag_core.evaluation.block_bootstrap import interval_note
    model = SEEN_WORDS[values['unseen_in_training']] if values['trained'] else 'is not trained'
    if values['split'] is None and values['map_unseen_in_training'] is False:
        model += '; it was trained on the map'
    times = ', '.join(f'{name} {ms:.2f} ms' for name, ms in values['times_ms'].items())
    return [f'by chance recall@1 would be {100 * values["chance_at_1"]:.1f} %',
            interval_note(values['blocks'], 'neighbouring frames'),
            f'the model {model}', f'a picture takes: {times}']


def _percent(one: dict[str, float], sign: str = '') -> str:
    value, low, high = (100 * one[name] for name in ('estimate', 'low', 'high'))
    text = f'{value:{sign}.1f}'
    return text if not math.isfinite(low) else f'{text} ({low:{sign}.1f} to {high:{sign}.1f})'
