"""`spatial-rag evaluate predict`: how well a model foresees a recording."""

from __future__ import annotations

import argparse
from dataclasses import asdict
import math
from pathlib import Path
from typing import Any, TYPE_CHECKING

from spatial_rag_core.data.commands.recording_options import add_recording_options
from spatial_rag_core.evaluation.asked_recording import AskedRecording
from spatial_rag_core.evaluation.time_split import (
    add_split_options,
    SEEN_WORDS,
    split_of,
    unseen_in_training,
)
from spatial_rag_core.memory.commands.command import report
from spatial_rag_core.memory.commands.progress import progress

if TYPE_CHECKING:  # torch, Faiss, OpenCV: only who runs the command loads them
    from spatial_rag_core.evaluation.predict_recording import Errors, Foresight
    from spatial_rag_core.models.bundle import Bundle

_EXAMPLES = """examples:
  spatial-rag evaluate predict tour --bundle model.pt
  spatial-rag evaluate predict tour --bundle model.pt --axes optical --json
  spatial-rag evaluate predict episodes.h5 --bundle model.pt --min-age-sec 10"""
_LEAST_AGE_SEC = 1.0
_SOURCES = ('without_memory', 'with_memory', 'memory_gain', 'mean', 'reconstruction')
_NAMES = {'without_memory': 'without memory', 'with_memory': 'with memory',
          'reconstruction': 'decoded from the true latent', 'memory_gain': 'with less without',
          'mean': 'always the mean of the episode'}


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `predict`."""
    command = commands.add_parser(
        'predict', help='how well a model foresees a recording', allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter, epilog=_EXAMPLES,
        description='Squared error of predictions 1, 5 and 15 steps ahead, open loop, relative to '
                    'copying the\nlast frame (1: no better), in latents and in decoded pictures, '
                    'with and without memories\nof the same recording that were old enough then.')
    command.add_argument('path', type=Path, metavar='BAG|EPISODES.h5|FOLDER',
                         help='recording, file of episodes, or folder of pictures with poses.csv')
    command.add_argument('--bundle', type=Path, required=True, metavar='FILE',
                         help='the model file')
    command.add_argument('--min-age-sec', type=float, default=5.0, metavar='SEC',
                         help='memories are at least so much older than the start of a '
                              'prediction (default: 5 s)')
    command.add_argument('--max-windows', type=int, default=2000, metavar='N',
                         help='predict from at most N frames (default: 2000)')
    add_split_options(command)
    add_recording_options(command)
    command.add_argument('--json', action='store_true', help='print one JSON object')
    command.add_argument('--quiet', action='store_true',
                         help='show no progress; without a terminal there is none anyway')
    command.set_defaults(run=_run, usage_error=command.error)


def _run(arguments: argparse.Namespace) -> None:
    if arguments.max_windows < 1:
        arguments.usage_error(f'--max-windows must be > 0, got {arguments.max_windows}')
    if not arguments.min_age_sec >= _LEAST_AGE_SEC:
        arguments.usage_error(f'--min-age-sec must be >= {_LEAST_AGE_SEC:g} s, or a prediction '
                              f'looks up what it just saw, got {arguments.min_age_sec}')
    split = split_of(arguments)
    from spatial_rag_core.training.map_memory import FenceConfig
    fence = FenceConfig(arguments.min_age_sec)
    from spatial_rag_core.evaluation.predict_recording import foresee
    from spatial_rag_core.evaluation.recordings import grouped, read_episodes
    from spatial_rag_core.models.bundle import Bundle
    bundle = Bundle.load(arguments.bundle)
    episodes = read_episodes(arguments.path, arguments, bundle.metadata)
    with progress(arguments, 'predicting', 'windows') as on_progress:
        found = foresee(bundle, grouped(episodes), fence, split, arguments.max_windows,
                        on_progress)
    asked = [AskedRecording.of(arguments.path, one.stamps) for one in episodes]
    values = _values(arguments, bundle, found, asked)
    report(arguments, values, _text(values))


def _values(arguments: argparse.Namespace, bundle: Bundle, found: Foresight,
            asked: list[AskedRecording]) -> dict[str, Any]:
    from spatial_rag_core.evaluation.predict_recording import block_sec_of
    had = found.memories > 0
    split = split_of(arguments)
    groups = {'all': found, 'with_memories': found.only(had)}
    return {
        'path': arguments.path, 'bundle': arguments.bundle, 'model_id': bundle.model_id,
        'trained': bundle.metadata.trained, 'step_sec': bundle.metadata.step_sec,
        'unseen_in_training': unseen_in_training([bundle.metadata], [split], *asked),
        'split': None if split is None else split.facts(),
        'min_age_sec': arguments.min_age_sec,
        'mean_memories': float(found.memories[had].mean()) if had.any() else 0.0,
        'windows': {name: len(group.blocks) for name, group in groups.items()},
        'block_sec': block_sec_of(bundle.metadata.step_sec),
        'blocks': {name: len(set(group.blocks.tolist())) for name, group in groups.items()},
        'latent': {name: _relative(group.latent, group) for name, group in groups.items()},
        'picture': {name: _relative(group.picture, group) for name, group in groups.items()},
    }


def _relative(errors: Errors, group: Foresight) -> dict[str, Any]:
    """By steps ahead: RMS error of copying, and what others make of its square."""
    from spatial_rag_core.evaluation.block_bootstrap import block_ratio
    from spatial_rag_core.evaluation.tracks import STEPS_AHEAD
    found: dict[str, Any] = {}
    for column, step in enumerate(STEPS_AHEAD):
        at: dict[str, Any] = {name: values[:, column] for name, values in errors.items()}
        copied = at.pop('copy_last')
        at['memory_gain'] = at['with_memory'] - at['without_memory']
        found[str(step)] = {
            'copy_last_rms': math.sqrt(copied.mean()) if len(copied) else math.nan,
            **{name: asdict(block_ratio(values, copied, group.blocks))
               for name, values in at.items()}}
    return found


def _text(values: dict[str, Any]) -> str:
    from spatial_rag_core.evaluation.block_bootstrap import interval_note
    windows, a_block = values['windows'], f'{values["block_sec"]:g} s'
    lines = [f'recording  {values["path"]}, steps of {values["step_sec"]:g} s',
             f'windows    {windows["all"]}, {windows["with_memories"]} of them with memories '
             f'(at least {values["min_age_sec"]:g} s old; {values["mean_memories"]:.0f} on '
             'average)']
    for group, title in (('all', 'all windows'), ('with_memories', 'windows with memories')):
        if windows[group]:
            lines += ['', f'{title}: squared error relative to copying the last frame',
                      _table(values, group), interval_note(values['blocks'][group], a_block)]
    return '\n'.join([*lines, '', *_notes(values)])


def _table(values: dict[str, Any], group: str) -> str:
    from spatial_rag_core.memory.commands.text import table
    kinds = (('latent', 'latents'), ('picture', 'pictures'))
    steps = list(values['latent'][group])
    rows = []
    for kind, title in kinds:
        by_step = values[kind][group]
        rows.append((f'{title}: copy last, RMS',
                     *(f'{by_step[step]["copy_last_rms"]:.3f}' for step in steps)))
        rows += [(f'{title}: {_NAMES[name]}', *(_cell(by_step[step][name]) for step in steps))
                 for name in _SOURCES if name in by_step[steps[0]]]
    return table(('', *(f'{step} ahead' for step in steps)), rows)


def _notes(values: dict[str, Any]) -> list[str]:
    model = SEEN_WORDS[values['unseen_in_training']] if values['trained'] else 'is not trained'
    return ['RMS of latents in their own unit, of pictures in brightness 0 to 1',
            f'the model {model}']


def _cell(one: dict[str, float]) -> str:
    value, low, high = one['estimate'], one['low'], one['high']
    return f'{value:.3f}' + (f' ({low:.3f} to {high:.3f})' if math.isfinite(low) else '')
