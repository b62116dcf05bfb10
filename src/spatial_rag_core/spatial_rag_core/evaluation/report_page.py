"""The report as one HTML page that needs nothing from anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from spatial_rag_core.evaluation.report_measures import Measures
from spatial_rag_core.evaluation.report_sections import (
    adaptation,
    calibration,
    controls,
    curves,
    groups,
    maps,
    repeat,
    strips,
    variants,
)
from spatial_rag_core.evaluation.report_style import STYLE
from spatial_rag_core.evaluation.report_tables import goal_table
from spatial_rag_core.evaluation.report_verdict import (
    BORNE_OUT,
    counts,
    Goal,
    NOT_BORNE_OUT,
    NOT_MEASURED,
)

_NOT_THERE = '<p class="pale">Not measured yet.</p>'


def page(measures: Measures, goals: Sequence[Goal]) -> str:
    """Return the whole page."""
    sections = [
        _head(measures, goals), _incomplete(measures),
        _section('What is borne out, and what is not', goal_table(goals)),
        _section('Learning curves', curves(measures)),
        _section('Revisited and novel places', groups(measures)),
        _section('All models, each with all its data', variants(measures)),
        _section('Controls', controls(measures)),
        _section('A changed map', adaptation(measures)),
        _section('Is the uncertainty what it says?', calibration(measures)),
        _section('True and imagined frames', strips(measures)),
        _section('Where memory helps', maps(measures)),
        _section('How to repeat it', repeat(measures))]
    return ('<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f'<title>Retrieval gain</title><style>{STYLE}</style></head><body>\n'
            + '\n'.join(sections) + '\n</body></html>\n')


def _section(title: str, content: str) -> str:
    return f'<section><h2>{title}</h2>\n{content or _NOT_THERE}</section>'


def _head(measures: Measures, goals: Sequence[Goal]) -> str:
    number, first = counts(goals), goals[0]
    said = (f'Examples, against the model without memory: {first.text}.' if first.text
            else 'How many examples it saves is not measured yet.')
    return ('<h1>Does a memory of places make a world model better?</h1>'
            f'<p class="lead">Of {len(goals)} goals {number[BORNE_OUT]} are borne out, '
            f'{number[NOT_BORNE_OUT]} are not, {number[NOT_MEASURED]} are not measured. '
            f'{escape(said)}</p>'
            '<p class="pale">Error: squared latent error of an open-loop prediction on maps never '
            'trained on, relative to copying the last latent. Intervals: 95 %, resampled over '
            'seeds and test maps together; with few seeds they are a little narrow.</p>')


def _incomplete(measures: Measures) -> str:
    words, missing = [], measures.results.missing()
    if measures.plan.quick:
        words.append('A quick run: small models, little data. It shows that everything works, '
                     'not how large the effect is.')
    if len(measures.plan.seeds) == 1:
        words.append('One seed: the intervals do not know how much training varies.')
    if missing:
        some = ', '.join(f'{variant} {maps} maps seed {seed}' for variant, maps, seed
                         in missing[:6])
        words.append('The verdicts are of what is there, not yet of the whole experiment. '
                     f'{len(missing)} of {len(measures.plan.cells())} planned cells are missing: '
                     f'{some}{" …" if len(missing) > 6 else "."}')
    words += [f'Not read: {reason}.' for reason in measures.results.not_read]
    return ''.join(f'<p class="warning">{escape(word)}</p>' for word in words)
