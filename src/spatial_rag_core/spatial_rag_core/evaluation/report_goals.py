"""The goals of the experiment, and what the results say of each."""

from __future__ import annotations

from dataclasses import replace

from spatial_rag_core.evaluation.examples_saved import ExamplesSaved
from spatial_rag_core.evaluation.report_measures import MAIN_STEP, Measures
from spatial_rag_core.evaluation.report_verdict import (
    BORNE_OUT,
    change_text,
    Claim,
    error_text,
    Goal,
    NOT_BORNE_OUT,
    NOT_MEASURED,
    percent_text,
)
from spatial_rag_core.evaluation.results import OtherGoal

import numpy as np

NOISE = 0.01  # differences of relative error below it are ignored
WIDE_MARGIN = 0.75  # of copy-last
MOST_SHARE, LEAST_SAVED = 0.25, 0.60
GAIN_RATIO = 5.0


def judged_goals(measures: Measures) -> list[Goal]:
    """Judge every goal; what other commands measured comes last."""
    return [_examples(measures), _revisited(measures), _novel(measures),
            *_harmless(measures), _no_help(measures, 'shuffled'), _no_help(measures, 'random'),
            _adaptation(measures), _one_step(measures), _main_step(measures),
            *map(_other, measures.results.goals)]


def _examples(measures: Measures) -> Goal:
    claim = Claim('examples_saved', f'The full-data error of the model without memory, '
                  f'{MAIN_STEP} steps ahead, is reached with fewer examples',
                  'at most 25 % of them, and the lower end of the interval at least 60 % saved')
    found = measures.saved()
    if found is None:
        return claim.not_measured('memory at two sizes or more, none at full data')
    share, note = found.share, _example_note(measures, found)
    if not found.reached:
        return replace(claim.judged(found.saved, 0.0, 'not reached', note),
                       verdict=NOT_BORNE_OUT, firm=found.not_reached > 0.95)
    met = share.estimate <= MOST_SHARE and found.saved.low >= LEAST_SAVED
    text = f'{"at least " if found.at_most else ""}{percent_text(found.saved)} saved'
    firm = met or share.low > MOST_SHARE  # the goal itself asks for an end of the interval
    return replace(claim.judged(found.saved, 1.0, text, note), firm=firm,
                   verdict=BORNE_OUT if met else NOT_BORNE_OUT)


def _example_note(measures: Measures, found: ExamplesSaved) -> str:
    full = max(measures.plan.sizes)
    seeds, maps = measures.shared(
        *((name, full) for name in measures.targets(full)),
        *(('memory', size) for size in measures.sizes('memory')))
    words = [f'{seeds} seeds, {maps} test maps']
    if found.at_most:
        words.append('the smallest size reaches it already: more may be saved')
    if found.not_reached > 0:
        words.append(f'{100 * found.not_reached:.0f} % of the replicates do not reach it with any '
                     'size')
    if any(cell.saturated is False for cell in measures.cells('none', full)):
        words.append('the model without memory was still improving: the target is that of the '
                     'best of its three trainings, and may be too easy yet')
    return '; '.join(words)


def _revisited(measures: Measures) -> Goal:
    return _difference(measures, Claim('revisited', 'At places seen before, memory predicts '
                                       'better', 'less error than without memory'),
                       'memory', 'none', 'revisited', most=0.0)


def _novel(measures: Measures) -> Goal:
    return _difference(measures, Claim('novel', 'At novel places memory costs nothing',
                                       f'at most {NOISE} more relative error'),
                       'memory', 'none', 'novel', most=NOISE)


def _no_help(measures: Measures, name: str) -> Goal:
    variant = f'memory_{name}'
    reference = 'memory_empty' if measures.sizes(variant, 'memory_empty') else 'none'
    words = 'the same model with an empty memory' if reference != 'none' else 'no memory'
    return _difference(measures, Claim(name, f'{name.capitalize()} memory does not help',
                                       f'at most {NOISE} less relative error than {words}'),
                       reference, variant, 'all', most=NOISE)


def _difference(measures: Measures, claim: Claim, variant: str, other: str, group: str,
                most: float) -> Goal:
    pair = measures.pair(variant, other, group)
    if pair is None:
        return claim.not_measured(f'{variant} and {other}, {group} places')
    gap = (pair[0] - pair[1]).interval()
    return claim.judged(gap, most, f'{variant} {pair[0].value:.3f}, {other} {pair[1].value:.3f}: '
                        f'{change_text(gap)}', _where(measures, variant, other))


def _harmless(measures: Measures) -> list[Goal]:
    """Both trained as long as `memory` is everywhere, and both four times as long."""
    goals = []
    for variant, other, words in (
            ('memory', 'none', ''),
            ('memory_four', 'none_four', ', both trained four times as long')):
        key = variant.removeprefix('memory')
        goals += [
            _ratio(measures, Claim('empty' + key, 'With an empty memory it is as good as without'
                                   + words, 'at most 3 % more error than the model without '
                                   'memory'), f'{variant}_empty', other, most=0.03),
            _ratio(measures, Claim('wrong_map' + key, "Another map's memories harm little" + words,
                                   'at most 5 % more error than the model without memory'),
                   f'{variant}_wrong_map', other, most=0.05)]
    return goals


def _ratio(measures: Measures, claim: Claim, variant: str, other: str, most: float) -> Goal:
    pair = measures.pair(variant, other)
    if pair is None:
        return claim.not_measured(f'{variant} and {other}')
    more = (pair[0] / pair[1]).each(lambda ratio: ratio - 1).interval()
    return claim.judged(more, most, f'{more.estimate:+.1%} [{more.low:+.1%}, {more.high:+.1%}]',
                        _where(measures, variant, other))


def _adaptation(measures: Measures) -> Goal:
    claim = Claim('adaptation', 'After a map changed, one tour in the memory gains more than '
                  'fine-tuning on it', 'at least five times the gain, with no gradient step')
    found = measures.adaptation()
    if not {'before', 'memory_after', 'finetune_best'} <= set(found):
        return claim.not_measured('adaptation, with fine-tuning')
    untuned = found.get('finetune_before', found['before'])
    # From the better of the two beginnings: a weak empty memory is no merit.
    gain = found['before'].lower(untuned) - found['memory_after']
    tuned = (untuned - found['finetune_best']).each(lambda values: np.maximum(values, 0.0))
    lacking = (tuned * GAIN_RATIO - gain).interval()
    ratio = f'{gain.value / tuned.value:.1f} times' if tuned.value > 0 else 'fine-tuning: no gain'
    text = (f'{error_text(gain.interval())} against {error_text(tuned.interval())}: {ratio}')
    judged = claim.judged(lacking, 0.0, text, 'gain of relative error')
    if gain.value <= 0:
        judged = replace(judged, verdict=NOT_BORNE_OUT)
    if gain.interval().low <= 0:
        judged = replace(judged, firm=False)
    return replace(judged, measured=gain.interval())


def _one_step(measures: Measures) -> Goal:
    return _against_copy(measures, Claim(
        'one_step', 'One step ahead is better than copying the last frame by a wide margin',
        f'at most {WIDE_MARGIN} of its error'), 1, WIDE_MARGIN)


def _main_step(measures: Measures) -> Goal:
    return _against_copy(measures, Claim(
        'main_step', f'{MAIN_STEP} steps ahead is better than copying the last frame',
        'less than its error'), MAIN_STEP, 1.0)


def _against_copy(measures: Measures, claim: Claim, step: int, most: float) -> Goal:
    sizes = measures.sizes('memory')
    found = measures.error('memory', sizes[-1], step=step) if sizes else None
    if found is None:
        return claim.not_measured(f'memory, {step} steps ahead')
    return claim.judged(found.interval(), most, error_text(found.interval()),
                        _where(measures, 'memory'))


def _where(measures: Measures, *variants: str) -> str:
    maps = measures.sizes(*variants)[-1]
    seeds, tests = measures.shared(*((variant, maps) for variant in variants))
    full = '' if maps == max(measures.plan.sizes) else f', not all of {max(measures.plan.sizes)}'
    return f'{maps} training maps{full}; {seeds} seeds, {tests} test maps'


def _other(goal: OtherGoal) -> Goal:
    verdict = {True: BORNE_OUT, False: NOT_BORNE_OUT, None: NOT_MEASURED}[goal.met]
    return Goal(goal.key, goal.claim, goal.goal, verdict, goal.measured, note=goal.command)
