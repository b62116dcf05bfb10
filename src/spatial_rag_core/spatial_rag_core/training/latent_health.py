"""Whether latents use all their numbers, and whether they know places."""

from __future__ import annotations

from dataclasses import dataclass
import math

from spatial_rag_core.records import Vector
from spatial_rag_core.training.frames import FrameSet
from spatial_rag_core.training.pair_sampler import separations

import numpy as np

HIT_M, HIT_DEG = 0.5, 30.0
"""A retrieved view this near shows the same place."""
APART_SEC = 5.0
"""Views of one drive nearer in time than this are not looked up."""
_DEAD = 0.05
_POOR_SHARE = 0.25
_ENOUGH = 4.0  # position and heading take four (x, y, cos, sin), in every data set
_MOST_QUERIES = 2000
_QUERIES_AT_ONCE = 64


@dataclass(frozen=True)
class LatentHealth:
    """
    Spread of latents.

    smallest_deviation, largest_deviation: of the numbers.  effective_rank: exp of the entropy of
    the covariance's eigenvalues (Roy and Vetterli 2007): z_dim where all tell different things.
    dead: numbers that hardly change.
    """

    z_dim: int
    smallest_deviation: float
    largest_deviation: float
    effective_rank: float
    dead: int

    @property
    def warning(self) -> str | None:
        """What is wrong and what to do, or None."""
        if not math.isfinite(self.effective_rank):
            return 'the latents are not finite; lower learning_rate'
        if self.dead:
            return (f'{self.dead} of {self.z_dim} numbers of the latent hardly change; raise '
                    'covariance_weight, or train on more and more varied pictures')
        if self.effective_rank < min(_POOR_SHARE * self.z_dim, _ENOUGH):
            return (f'the latent has collapsed: its {self.z_dim} numbers tell as much as '
                    f'{self.effective_rank:.1f} would; raise covariance_weight or '
                    'reconstruction_weight, or lower place_weight')
        return None


def latent_health(z: Vector, scale: Vector | None = None) -> LatentHealth:
    """Measure latents [N, z_dim]; scale: deviations before they were made 1, to find dead ones."""
    deviation = z.std(axis=0)
    raw = deviation if scale is None else deviation * scale
    rank = effective_rank(z) if np.isfinite(z).all() else math.nan
    return LatentHealth(z.shape[1], float(deviation.min()), float(deviation.max()), rank,
                        int((raw < _DEAD * np.median(raw)).sum()))


def effective_rank(z: Vector) -> float:
    """Exp of the entropy of the shares of the covariance's eigenvalues, 1 … z_dim."""
    spectrum = np.maximum(np.linalg.eigvalsh(np.atleast_2d(np.cov(z.T.astype(np.float64)))), 0.0)
    if not spectrum.sum():
        return 0.0
    share = spectrum[spectrum > 0] / spectrum.sum()
    return float(np.exp(-(share * np.log(share)).sum()))


@dataclass(frozen=True)
class PlaceFigures:
    """
    How well the nearest latent finds the place again, among views of the same map.

    recall_at_1: share of queries whose nearest latent, of another time, is within HIT_M and
    HIT_DEG; nan where no view was seen twice.  queries: those for which there is such a view;
    of a map at most _MOST_QUERIES are tried, evenly taken, each among all of its views.
    near_far_auc: how often a view of the same place is nearer than one of another, 0.5 by chance.
    """

    recall_at_1: float
    near_far_auc: float
    queries: int


def place_figures(z: Vector, frames: FrameSet) -> PlaceFigures:
    """Measure latents [N, z_dim] of frames, map by map."""
    hits: list[np.ndarray] = []
    aucs: list[float] = []
    for index in np.unique(frames.map_index):
        rows = np.flatnonzero(frames.map_index == index)
        views = frames.take(rows)
        for asked in _queries(len(rows)):
            hit, auc = _figures_of(asked, z[rows], views)
            hits.append(hit)
            aucs.extend(auc)
    found = np.concatenate(hits)
    return PlaceFigures(float(found.mean()) if len(found) else math.nan,
                        float(np.mean(aucs)) if aucs else math.nan, len(found))


def _queries(views: int) -> list[np.ndarray]:
    """Rows to ask about, in chunks: memory and time go with the views, not with their pairs."""
    asked = np.linspace(0, views - 1, min(views, _MOST_QUERIES)).round().astype(np.int64)
    return np.array_split(asked, -(-len(asked) // _QUERIES_AT_ONCE))


def _figures_of(asked: np.ndarray, z: Vector,
                views: FrameSet) -> tuple[np.ndarray, list[float]]:
    """Hit or miss of each query among some views of one map, and the area for each."""
    squares = np.square(z).sum(axis=1)
    distance = squares[asked, None] + squares - 2.0 * z[asked] @ z.T
    apart_m, angle = separations(views.poses[asked], views.poses)
    is_near = (apart_m <= HIT_M) & (angle <= math.radians(HIT_DEG))
    later = np.abs(views.stamps[asked, None] - views.stamps) >= APART_SEC
    allowed = later | (views.episode_index[asked, None] != views.episode_index)
    queries = np.flatnonzero((is_near & allowed).any(axis=1))
    best = np.where(allowed, distance, np.inf)[queries].argmin(axis=1)
    return is_near[queries, best], [
        _area(distance[q][allowed[q]], is_near[q][allowed[q]]) for q in queries
        if not is_near[q][allowed[q]].all()]


def _area(distance: Vector, is_near: np.ndarray) -> float:
    """Area under the curve of hits over false alarms: Mann and Whitney's statistic."""
    ranks = np.empty(len(distance))
    ranks[np.argsort(distance)] = np.arange(1, len(distance) + 1)
    near = int(is_near.sum())
    far = len(distance) - near
    return float(1.0 - (ranks[is_near].sum() - near * (near + 1) / 2) / (near * far))
