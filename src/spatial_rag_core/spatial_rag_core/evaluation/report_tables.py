"""Tables of the report: goals, variants, controls, adaptation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from spatial_rag_core.evaluation.bootstrap import Sample
from spatial_rag_core.evaluation.gain_config import CONTROLS
from spatial_rag_core.evaluation.report_measures import MAIN_STEP, Measures
from spatial_rag_core.evaluation.report_verdict import (
    BORNE_OUT,
    change_text,
    Goal,
    NOT_BORNE_OUT,
)

MEANINGS = {
    'memory': 'the model, memories of the same map',
    'none': 'no memory, as many parameters',
    'none_long': 'no memory, longer context',
    'plain': 'the bare formula: latents only, looked up once',
    'knn': 'nearest neighbour, nothing learned',
    'none_twice': 'no memory, trained twice as long',
    'none_four': 'no memory, trained four times as long',
    'memory_four': 'the model, trained four times as long',
    'memory_four_empty': 'trained four times as long, the memory is empty',
    'memory_four_wrong_map': 'trained four times as long, memories of another map',
    'pose_only': 'chosen by pose, latents alone',
    'latent_only': 'chosen by latent, all fields',
    'no_agreement': 'less the look whether memories agree with what is seen',
    'no_pointer': 'less the pointer to the latent of a memory',
    'no_displacement': 'less the learned way: dead reckoning alone',
    'no_state': 'less the state carried from step to step',
    'with_action': 'and the action that led to each memory',
    'oracle': 'the best that memories could give',
    'memory_empty': 'the memory is empty',
    'memory_random': 'every field of every memory scrambled',
    'memory_shuffled': 'memories of the map, mixed up',
    'memory_wrong_map': 'memories of another map',
}
_MARKS = {BORNE_OUT: ('good', '✓'), NOT_BORNE_OUT: ('bad', '✗')}


def table(head: Sequence[str], rows: Iterable[Sequence[str]], numbers: int) -> str:
    """Rows of HTML; the columns from `numbers` on hold numbers."""
    def line(tag: str, cells: Sequence[str]) -> str:
        return '<tr>' + ''.join(
            f'<{tag} class="n">{cell}</{tag}>' if column >= numbers else f'<{tag}>{cell}</{tag}>'
            for column, cell in enumerate(cells)) + '</tr>'
    body = ''.join(line('td', row) for row in rows)
    return f'<div class="wide"><table>{line("th", head)}{body}</table></div>'


def goal_table(goals: Iterable[Goal]) -> str:
    """One goal a row."""
    rows = [(f'{escape(goal.claim)}<small>Goal: {escape(goal.goal)}.</small>',
             f'{escape(goal.text)}<small>{escape(goal.note)}</small>', _verdict(goal))
            for goal in goals]
    return table(('claim', 'measured [95 % interval]', 'verdict'), rows, 9)


def variant_table(measures: Measures) -> str:
    """Every model at the largest size that it was trained with."""
    steps = measures.steps()
    names = [name for name in measures.variants if name not in CONTROLS]
    head = ['model', *(f'{step} step{"s" if step > 1 else ""}' for step in steps), 'revisited',
            'novel', 'parameters']
    return table(head, [_variant_row(measures, name, steps) for name in names], 1)


def control_table(measures: Measures) -> str:
    """The same trained model with other memories, beside memory and none."""
    names = [name for name in measures.variants if name in CONTROLS]
    rows = []
    for name in names:
        maps = measures.sizes(name)[-1]
        found = measures.error(name, maps)
        rows.append((_named(measures, name, maps), _text(found),
                     *(_gap(measures, name, other) for other in ('none', 'memory'))))
    head = ('the model with', f'{MAIN_STEP} steps', 'against none', 'against memory')
    return table(head, rows, 1) if rows else ''


def adaptation_table(found: dict[str, Sample], words: dict[str, str]) -> str:
    """Conditions after the map changed, and what each gains."""
    rows = []
    for name in (name for name in words if name in found):
        start = 'finetune_before' if name.startswith('finetune') else 'before'
        gain = '' if name == start or start not in found else change_text(
            (found[start] - found[name]).interval())
        rows.append((words[name], _text(found[name]), gain))
    return table(('', f'error, {MAIN_STEP} steps', 'gain'), rows, 1)


def _variant_row(measures: Measures, name: str, steps: Sequence[int]) -> list[str]:
    maps = measures.sizes(name)[-1]
    cells = measures.cells(name, maps)
    wanted = [('all', step) for step in steps] + [('revisited', MAIN_STEP), ('novel', MAIN_STEP)]
    minutes = sum(cell.seconds for cell in cells) / len(cells) / 60
    return [_named(measures, name, maps),
            *(_text(measures.error(name, maps, *one)) for one in wanted),
            f'{max(cell.parameters for cell in cells):,}<small>{minutes:.1f} min</small>']


def _named(measures: Measures, name: str, maps: int) -> str:
    meaning = escape(MEANINGS.get(name, ''))
    seeds, where = len(measures.cells(name, maps)), ''
    if maps != max(measures.plan.sizes):
        where = f', {maps} maps only'
    return f'{escape(name)}<small>{meaning}; {seeds} seeds{where}</small>'


def _text(found: Sample | None) -> str:
    if found is None:
        return '–'
    inside = found.interval()
    return f'{inside.estimate:.3f}<small>{inside.low:.3f} – {inside.high:.3f}</small>'


def _gap(measures: Measures, name: str, other: str) -> str:
    pair = measures.pair(name, other)
    return change_text((pair[0] - pair[1]).interval()) if pair else '–'


def _verdict(goal: Goal) -> str:
    kind, mark = _MARKS.get(goal.verdict, ('open', '?'))
    doubt = '<small>the interval reaches past the goal</small>' if goal.firm is False else ''
    return f'<span class="verdict {kind}">{mark} {goal.verdict}</span>{doubt}'
