"""Strips of frames and maps of errors for the report."""

from __future__ import annotations

import base64
from html import escape
from typing import Any

from spatial_rag_core.evaluation.report_figures import INK
from spatial_rag_core.evaluation.result_pictures import ErrorMap, Strip

import numpy as np
from numpy.typing import NDArray

_MOST_FRAMES = 12
_GAP_PX = 2
_ROWS = (('true', 'true'), ('with_memory', 'with memory'), ('without_memory', 'without memory'))


def strip_html(strip: Strip, step_sec: float) -> str:
    """Three rows of frames: as they were, imagined with memory, imagined without."""
    picked = np.unique(np.linspace(0, len(strip.horizons) - 1, _MOST_FRAMES).round().astype(int))
    head = ''.join(f'<span>{step}<small> {step * step_sec:g} s</small></span>'
                   for step in strip.horizons[picked].tolist())
    rows = [f'<div class="steps"><b>steps ahead</b><div>{head}</div></div>']
    for name, words in _ROWS:
        frames = getattr(strip, name)[picked]
        rows.append(f'<div class="frames"><b>{words}</b><img alt="{escape(strip.name)}, {words}" '
                    f'src="{png(_side_by_side(frames))}"></div>')
    width = f'calc(8.5rem + {6.5 * len(picked):g}rem)'
    return f'<figure class="strip" style="max-width:{width}">{"".join(rows)}</figure>'


def png(picture: NDArray[np.uint8]) -> str:
    """A picture [H, W, 3 or 4] as a data address."""
    import cv2
    ordered = picture[..., [2, 1, 0, *range(3, picture.shape[2])]]
    _, data = cv2.imencode('.png', ordered)
    return 'data:image/png;base64,' + base64.b64encode(data.tobytes()).decode()


def map_height(one: ErrorMap) -> float:
    """Height [inch] of a figure, 10 wide, in which its three maps leave no gap."""
    left, right, bottom, top = (float(edge) for edge in one.extent_m)
    return min(max(3.0 * (top - bottom) / (right - left), 1.0), 6.0) + 1.3


def draw_error_map(figure: Any, one: ErrorMap) -> None:
    """Errors without memory, with it, and what memory gains, each dot where a window begins."""
    import matplotlib as mpl
    panels = figure.subplots(1, 3, sharex=True, sharey=True)
    errors = np.concatenate([one.with_memory, one.without_memory])
    top = float(np.quantile(errors, 0.95)) if len(errors) else 1.0
    gains = one.without_memory - one.with_memory
    side = float(np.quantile(np.abs(gains), 0.95)) if len(gains) else 1.0
    for axes, title, values, low, high, colors in (
            (panels[0], 'error without memory', one.without_memory, 0.0, top, 'inferno'),
            (panels[1], 'error with memory', one.with_memory, 0.0, top, 'inferno'),
            (panels[2], 'gained by memory', gains, -side, side, 'RdBu')):
        axes.imshow(_paled(one.picture), extent=one.extent_m, origin='upper')
        norm = mpl.colors.Normalize(low, max(high, low + 1e-9))
        dots = axes.scatter(one.x, one.y, c=values, s=14, cmap=colors, norm=norm, linewidths=0.3,
                            edgecolors='#444444', rasterized=True)
        axes.set(title=title, xlabel='x [m]')
        figure.colorbar(dots, ax=axes, location='bottom', shrink=0.8).outline.set_edgecolor(INK)
    panels[0].set_ylabel('y [m]')


def _paled(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Grey and light, so that the dots speak."""
    grey = picture.mean(axis=2, keepdims=True)
    return np.repeat(130 + grey * 0.45, 3, axis=2).clip(0, 255).astype(np.uint8)


def _side_by_side(frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Frames [T, S, S, 3] in one picture with an alpha channel, clear gaps between them."""
    count, height, width, _ = frames.shape
    row = np.zeros((height, count * (width + _GAP_PX) - _GAP_PX, 4), np.uint8)
    for number, frame in enumerate(frames):
        left = number * (width + _GAP_PX)
        row[:, left:left + width, :3] = frame
        row[:, left:left + width, 3] = 255
    return row
