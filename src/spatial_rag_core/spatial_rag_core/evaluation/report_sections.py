"""What stands in the sections of the report, as HTML; an empty text where nothing is measured."""

from __future__ import annotations

from html import escape
import json
from typing import Any

from spatial_rag_core.evaluation.report_figures import (
    curve_variants,
    draw_adaptation,
    draw_calibration,
    draw_curves,
    draw_groups,
    draw_saved,
    svg,
)
from spatial_rag_core.evaluation.report_measures import MAIN_STEP, Measures
from spatial_rag_core.evaluation.report_pictures import draw_error_map, map_height, strip_html
from spatial_rag_core.evaluation.report_tables import (
    adaptation_table,
    control_table,
    table,
    variant_table,
)

CONDITION_WORDS = {
    'before': 'an empty memory', 'finetune_before': 'trained without memory',
    'finetune_best': 'the same, fine-tuned on the tour',
    'stale': 'memories of the old map', 'stale_and_new': 'old memories and the tour',
    'memory_after': 'memories of one new tour'}


def curves(measures: Measures) -> str:
    """Learning curves, and the examples that are saved."""
    if not curve_variants(measures):
        return ''
    return (_figure(svg(draw_saved, 6.4, 4.0, 'saved', measures),
                    f'{MAIN_STEP} steps ahead. Broken line: without memory, with all examples '
                    'and the longest training that helped. Circle: where memory comes down to it; '
                    'band: its interval.',
                    'narrow')
            + _figure(svg(draw_curves, 10.0, 7.2, 'curves', measures),
                      'All places. At 1 the prediction is no better than copying the last frame.'))


def groups(measures: Measures) -> str:
    """Revisited and novel places."""
    if not any(measures.error(variant, size, group) for variant in ('memory', 'none')
               for size in measures.sizes(variant) for group in ('revisited', 'novel')):
        return ''
    return _figure(svg(draw_groups, 10.0, 3.9, 'groups', measures),
                   'Revisited: a memory was made near the predicted place. Novel: none was.')


def variants(measures: Measures) -> str:
    """Every model at its full data."""
    words = (f'Revisited and novel: {MAIN_STEP} steps ahead. Under the '
             'parameters: mean time of training.')
    return f'<p class="pale">{words}</p>{variant_table(measures)}' if measures.variants else ''


def controls(measures: Measures) -> str:
    """The model with memories that are none."""
    return control_table(measures)


def adaptation(measures: Measures) -> str:
    """What a changed map costs, and what brings it back."""
    found = measures.adaptation()
    if not found:
        return ''
    words = {name: text for name, text in CONDITION_WORDS.items() if name in found}
    drawn = svg(draw_adaptation, 6.4, 0.5 * len(words) + 0.9, 'adaptation', found, words)
    return (_figure(drawn, f'{len(measures.results.adaptation)} seeds; no gradient step but in '
                    'fine-tuning.', 'narrow') + adaptation_table(found, words)
            + _finetuning(measures))


def _finetuning(measures: Measures) -> str:
    tried: dict[tuple[float, int], list[float]] = {}
    for run in measures.results.adaptation:
        for one in run.finetune:
            tried.setdefault((one.lr, one.steps), []).append(one.error)
    rows = [(f'{lr:g}', str(steps), f'{sum(errors) / len(errors):.3f}', str(len(errors)))
            for (lr, steps), errors in sorted(tried.items())]
    head = ('learning rate', 'steps', 'error', 'seeds')
    return (f'<details><summary>All fine-tuning that was tried ({len(rows)})</summary>'
            f'{table(head, rows, 0)}</details>' if rows else '')


def calibration(measures: Measures) -> str:
    """Predicted and observed errors."""
    pairs: dict[str, list[tuple[float, float]]] = {}
    for variant in measures.variants:
        for cell in measures.cells(variant, measures.sizes(variant)[-1]):
            pairs.setdefault(variant, []).extend(cell.sigma)
    pairs = {variant: points for variant, points in pairs.items() if points}
    if not pairs:
        return ''
    return _figure(svg(draw_calibration, 4.6, 4.4, 'calibration', pairs),
                   'Predictions sorted by their predicted standard deviation, in groups. Above '
                   'the diagonal it is too sure of itself.', 'square')


def strips(measures: Measures) -> str:
    """Frames as they were and as they were imagined."""
    return ''.join(strip_html(strip, measures.plan.step_sec) for strip in measures.results.strips)


def maps(measures: Measures) -> str:
    """Errors where they happen."""
    return ''.join(_figure(svg(draw_error_map, 10.0, map_height(one), f'map-{one.name}', one),
                           f'{escape(one.name)}: a dot where each window begins; errors relative '
                           'to copy-last.')
                   for one in measures.results.maps)


def repeat(measures: Measures) -> str:
    """Command, date, machine, time."""
    plan, cells = measures.plan, measures.results.cells
    hours = sum(cell.seconds for cell in cells) / 3600
    facts: dict[str, Any] = {
        'date': plan.date, 'machine': plan.machine,
        'training': f'{hours:.2f} h, {len(cells)} cells',
        'sizes': f'{", ".join(map(str, plan.sizes))} maps of {plan.frames_per_map} frames',
        'seeds': ', '.join(map(str, plan.seeds)), 'step': f'{plan.step_sec:g} s',
        'software': ', '.join(f'{name} {version}' for name, version in plan.software.items()),
        **{name: value if isinstance(value, str) else json.dumps(value)
           for name, value in plan.notes.items()}}
    rows = [(escape(name), escape(str(value))) for name, value in facts.items() if value]
    return f'<pre>{escape(plan.command)}\nspatial-rag report</pre>' + table(('', ''), rows, 9)


def _figure(drawing: str, caption: str, kind: str = '') -> str:
    return f'<figure class="{kind}">{drawing}<figcaption>{caption}</figcaption></figure>'
