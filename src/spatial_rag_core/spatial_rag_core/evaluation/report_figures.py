"""Figures of the report as SVG that takes the page's own colour of ink, light or dark."""

from __future__ import annotations

from collections.abc import Sequence
import io
import re
from typing import Any

from spatial_rag_core.evaluation.bootstrap import Sample
from spatial_rag_core.evaluation.gain_config import CONTROLS
from spatial_rag_core.evaluation.report_measures import MAIN_STEP, Measures

import numpy as np

INK = '#010203'  # replaced by currentColor
COLORS = {'memory': '#2b7bd9', 'none': '#d9682b', 'none_long': '#8d63c9', 'plain': '#2f9e6b',
          'pose_only': '#b8860b', 'latent_only': '#c2478f', 'oracle': '#3aa6ad', 'knn': '#9a7b5f'}
OTHER_COLOR = '#8a8d91'
STYLE: Any = {
    'svg.fonttype': 'none', 'font.family': 'sans-serif', 'font.size': 10, 'text.color': INK,
    'axes.edgecolor': INK, 'axes.labelcolor': INK, 'xtick.color': INK, 'ytick.color': INK,
    'axes.spines.top': False, 'axes.spines.right': False, 'axes.linewidth': 0.7,
    'axes.titlesize': 10.5, 'axes.titleweight': 'bold', 'axes.titlelocation': 'left',
    'legend.frameon': False, 'figure.facecolor': 'none', 'axes.facecolor': 'none',
    'savefig.facecolor': 'none', 'lines.linewidth': 1.9, 'lines.markersize': 4.5}


def svg(draw: Any, width: float, height: float, name: str, *arguments: Any) -> str:
    """Let `draw(figure, …)` fill a figure of a size [inch]; name makes its ids its own."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure
    with mpl.rc_context({**STYLE, 'svg.hashsalt': name}):
        figure = Figure(figsize=(width, height), layout='constrained')
        FigureCanvasSVG(figure)
        draw(figure, *arguments)
        stream = io.StringIO()
        figure.savefig(stream, format='svg', metadata={'Date': None, 'Creator': None})
    return _for_the_page(stream.getvalue())


def _for_the_page(text: str) -> str:
    text = text[text.index('<svg'):].replace(INK, 'currentColor')
    text = re.sub(r'<metadata>.*?</metadata>', '', text, flags=re.DOTALL)
    text = re.sub(r'<g id="[^"]*"', '<g', text)  # they would stand twice on a page
    return re.sub(r'width="[^"]*pt" height="[^"]*pt"', '', text, count=1)


def color(variant: str) -> str:
    """Each known variant has its own, the same in every figure."""
    return COLORS.get(variant, OTHER_COLOR)


def curve_variants(measures: Measures) -> list[str]:
    """Those with a curve, of two sizes or more; the model is in it from its first cell."""
    return [variant for variant in measures.variants if variant not in CONTROLS
            and (len(measures.sizes(variant)) > 1 or variant in {'memory', 'none'})]


def draw_curves(figure: Any, measures: Measures) -> None:
    """Learning curves, one panel for each number of steps ahead."""
    steps = measures.steps()
    panels = figure.subplots(-(-len(steps) // 2), 2, squeeze=False).ravel()
    for axes in panels[len(steps):]:
        axes.remove()
    for axes, step in zip(panels, steps, strict=False):
        seconds = step * measures.plan.step_sec
        axes.set_title(f'{step} step{"s" if step > 1 else ""} ahead ({seconds:g} s)')
        for variant in curve_variants(measures):
            draw_curve(axes, measures, variant, 'all', step)
        finish(axes, measures)
    _legend(panels[0])


def draw_groups(figure: Any, measures: Measures) -> None:
    """Revisited and novel places, side by side, on one scale."""
    panels = figure.subplots(1, 2, sharey=True)
    for axes, group in zip(panels, ('revisited', 'novel'), strict=True):
        axes.set_title(f'{group} places, {MAIN_STEP} steps ahead')
        for variant in curve_variants(measures):
            draw_curve(axes, measures, variant, group, MAIN_STEP)
        finish(axes, measures)
    _legend(panels[0])


def draw_saved(figure: Any, measures: Measures) -> None:
    """The learning curve of memory, the target, and the share of examples at the crossing."""
    axes, full = figure.subplots(), max(measures.plan.sizes)
    for variant in ('none', 'memory'):
        draw_curve(axes, measures, variant, 'all', MAIN_STEP)
    found = measures.saved()
    if found is not None:
        axes.axhline(found.target, color=color('none'), linewidth=1, linestyle=(0, (4, 3)))
        if found.reached:
            ends = [min(end, 1.0) * full for end in (found.share.low, found.share.high)]
            axes.axvspan(*ends, color=color('memory'), alpha=0.13, linewidth=0)
            axes.plot([found.share.estimate * full], [found.target], 'o', color=INK, markersize=7,
                      markerfacecolor='none', zorder=5)
    finish(axes, measures)
    _legend(axes)


def draw_curve(axes: Any, measures: Measures, variant: str, group: str, step: int) -> None:
    """One variant: estimates as a line, intervals as a band."""
    found = [(size, measures.error(variant, size, group, step))
             for size in measures.sizes(variant)]
    known = [(size, sample.interval()) for size, sample in found if sample is not None]
    if not known:
        return
    sizes, inside = zip(*known, strict=True)
    axes.plot(sizes, [one.estimate for one in inside], 'o-', color=color(variant), label=variant)
    axes.fill_between(sizes, [one.low for one in inside], [one.high for one in inside],
                      color=color(variant), alpha=0.17, linewidth=0)


def _legend(axes: Any) -> None:
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=9)


def finish(axes: Any, measures: Measures) -> None:
    """Scale of doublings, grid, names."""
    sizes = sorted(measures.plan.sizes)
    axes.set_xscale('log', base=2)
    axes.minorticks_off()
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.set_xlabel('training maps')
    axes.set_ylabel('error / copy-last')
    axes.grid(color=INK, alpha=0.12, linewidth=0.6)


def draw_adaptation(figure: Any, found: dict[str, Sample], words: dict[str, str]) -> None:
    """One line for each condition: estimate and interval."""
    axes = figure.subplots()
    names = [name for name in words if name in found]
    for row, name in enumerate(reversed(names)):
        inside = found[name].interval()
        shade = color('memory' if name.startswith(('memory', 'stale')) else 'none')
        axes.plot([inside.low, inside.high], [row, row], color=shade, linewidth=5, alpha=0.35,
                  solid_capstyle='butt')
        axes.plot([inside.estimate], [row], 'o', color=shade, markersize=7)
        axes.annotate(f'{inside.estimate:.3f}', (inside.estimate, row), (0, 8), ha='center',
                      textcoords='offset points', fontsize=9)
    axes.set_yticks(range(len(names)), [words[name] for name in reversed(names)])
    axes.set_ylim(-0.5, len(names) - 0.3)
    axes.set_xlabel(f'error / copy-last, {MAIN_STEP} steps ahead')
    axes.grid(axis='x', color=INK, alpha=0.12, linewidth=0.6)


def draw_calibration(figure: Any, pairs: dict[str, Sequence[tuple[float, float]]]) -> None:
    """Predicted against observed errors; on the diagonal the uncertainty is what it says."""
    axes = figure.subplots()
    for variant, points in pairs.items():
        sigma, error = np.array(points).T
        axes.plot(sigma, error, 'o', color=color(variant), label=variant, alpha=0.8)
    every = np.array([number for points in pairs.values() for pair in points for number in pair])
    ends = float(every[every > 0].min(initial=1.0)) * 0.8, float(every.max()) * 1.25
    axes.plot(ends, ends, color=INK, linewidth=0.9, alpha=0.6)
    axes.set(xscale='log', yscale='log', xlim=ends, ylim=ends, aspect='equal',
             xlabel='predicted standard deviation', ylabel='observed RMS error')
    axes.grid(color=INK, alpha=0.12, linewidth=0.6)
    _legend(axes)
