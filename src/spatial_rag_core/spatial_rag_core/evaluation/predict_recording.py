"""How well a model foresees a recording, against copying the last frame; with memory, without."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TYPE_CHECKING

from spatial_rag_core.data.episodes.episode import Episode
from spatial_rag_core.errors import InputError
from spatial_rag_core.evaluation.earlier_memories import EarlierMemories, pose_of, Seen
from spatial_rag_core.evaluation.time_split import in_pieces, TimeSplit
from spatial_rag_core.evaluation.tracks import STEPS_AHEAD, Track
from spatial_rag_core.models.memory_bank import MemoryBank
from spatial_rag_core.records import Vector
from spatial_rag_core.training.map_memory import FenceConfig

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from spatial_rag_core.models.bundle import Bundle  # torch: seconds

MAX_WINDOWS = 2000
_LEAST_BLOCK_SEC = 10.0
_LEAST_PREDICTIONS = 3

Source = Literal['copy_last', 'without_memory', 'with_memory', 'mean', 'reconstruction']
Errors = dict[Source, NDArray[np.float64]]
"""
Mean squared errors, [windows, len(STEPS_AHEAD)].

mean: of the episode, its future included; what says always the same comes so far.
"""
OnProgress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Foresight:
    """
    What predictions were worth.

    latent, picture: errors by source, the former in units of the latents, the latter of squared
    brightness 0..1.  blocks: int [windows], equal for windows that are not independent, see
    block_sec_of.  memories: how many each could look up, int [windows].
    """

    latent: Errors
    picture: Errors
    blocks: NDArray[np.int64]
    memories: NDArray[np.int64]

    def only(self, chosen: NDArray[np.bool_]) -> Foresight:
        """Return that of some windows."""
        latent, picture = ({name: values[chosen] for name, values in errors.items()}
                           for errors in (self.latent, self.picture))
        return Foresight(latent, picture, self.blocks[chosen], self.memories[chosen])


class _Window(NamedTuple):
    """A prediction to make: from which frame of which track, of which recording."""

    recording: int
    track: Track
    start: int


def block_sec_of(step_sec: float) -> float:
    """
    Return how long a block of the bootstrap is [s], for a model of such steps.

    10 s, and at least three predictions: windows that begin within one prediction of each other
    share frames, and for seconds beyond a place stays as easy or as hard as it is. Of errors that
    stay alike for 3 s, over 5 minutes, intervals of such blocks hold the truth 85 times in 100,
    those of blocks of one prediction (3 s) 76 times.
    """
    return max(_LEAST_BLOCK_SEC, _LEAST_PREDICTIONS * STEPS_AHEAD[-1] * step_sec)


def open_loop(bundle: Bundle, track: Track, start: int, bank: MemoryBank | None) -> Vector:
    """Return the latents foreseen from a frame, float32 [len(STEPS_AHEAD), z_dim]."""
    found = bundle.rollout(track.z[start], track.plan(start)[None], bank,
                           track.history(start, bundle.metadata.history))
    return np.asarray(found.z[0, np.array(STEPS_AHEAD) - 1], np.float32)


def foresee(bundle: Bundle, recordings: Sequence[Sequence[Episode]],
            fence: FenceConfig, split: TimeSplit | None = None,
            max_windows: int = MAX_WINDOWS,
            on_progress: OnProgress = lambda done, total: None) -> Foresight:
    """
    Predict from many frames, open loop; recordings: the episodes of each.

    Memories are what the same recording holds that is older than the fence allows: never the
    moment itself, its future, or the last seconds.  Raises InputError for episodes that are too
    short, ConfigurationError for a rate that does not fit.
    """
    tracks = [[Track.of(episode, bundle) for episode in episodes] for episodes in recordings]
    windows = [_Window(number, track, start) for number, parts in enumerate(tracks)
               for track, asked in zip(parts, _asked(recordings[number], split), strict=True)
               for start in track.starts(asked).tolist()]
    if not windows:
        raise InputError(f'no stretch of {STEPS_AHEAD[-1] * bundle.metadata.step_sec:g} s to '
                         'predict; give a longer recording, or leave out longer stretches')
    chosen = windows[::-(-len(windows) // max_windows)]
    found: list[Foresight] = []
    for number, parts in enumerate(tracks):
        seen = Seen.joined(track.seen() for track in parts)
        with EarlierMemories(seen, bundle.model_id, fence) as memories:
            for window in (one for one in chosen if one.recording == number):
                found.append(_foreseen(bundle, window, memories))
                on_progress(len(found), len(chosen))
    return _joined(found)


def _asked(episodes: Sequence[Episode], split: TimeSplit | None) -> list[NDArray[np.bool_]]:
    stamps = np.concatenate([one.stamps for one in episodes])
    return in_pieces(np.ones(len(stamps), bool) if split is None else split.asked(stamps),
                     episodes)


def _foreseen(bundle: Bundle, window: _Window, memories: EarlierMemories) -> Foresight:
    track, start = window.track, window.start
    stamp = float(track.episode.stamps[start])
    bank = memories.bank(stamp, pose_of(track.episode.poses[start]))
    without = open_loop(bundle, track, start, None)
    latent, picture = _errors(bundle, track, start, {
        'without_memory': without,
        'with_memory': open_loop(bundle, track, start, bank) if len(bank) else without})
    block = int(stamp // block_sec_of(bundle.metadata.step_sec))
    return Foresight(latent, picture, np.array([[window.recording, block]]),
                     np.array([len(bank)]))


def _errors(bundle: Bundle, track: Track, start: int,
            foreseen: dict[Source, Vector]) -> tuple[Errors, Errors]:
    """Errors of latents and of pictures; what copies and what only reconstructs among them."""
    ahead = track.ahead(start)
    true_z, true_rgb = track.z[ahead], track.episode.rgb[ahead] / 255.0
    latent: Errors = {'copy_last': _squared(track.z[start], true_z),
                      'mean': _squared(track.mean_z, true_z)}
    picture: Errors = {'copy_last': _squared(track.episode.rgb[start] / 255.0, true_rgb),
                       'mean': _squared(track.mean_rgb, true_rgb),
                       'reconstruction': _squared(_decoded(bundle, true_z), true_rgb)}
    for name, z in foreseen.items():
        latent[name] = _squared(z, true_z)
        picture[name] = _squared(_decoded(bundle, z), true_rgb)
    return latent, picture


def _decoded(bundle: Bundle, z: Vector) -> NDArray[np.float64]:
    return np.stack([bundle.decode_image(one) for one in z]) / 255.0


def _squared(foreseen: NDArray[Any], true: NDArray[Any]) -> NDArray[np.float64]:
    """Mean squared error of each step ahead, [1, len(STEPS_AHEAD)]."""
    offset = np.asarray(foreseen, np.float64) - true
    return np.asarray((offset ** 2).reshape(len(true), -1).mean(axis=1)[None], np.float64)


def _joined(parts: Sequence[Foresight]) -> Foresight:
    latent, picture = ({name: np.concatenate([getattr(part, kind)[name] for part in parts])
                        for name in getattr(parts[0], kind)} for kind in ('latent', 'picture'))
    _, blocks = np.unique(np.concatenate([part.blocks for part in parts]), axis=0,
                          return_inverse=True)
    return Foresight(latent, picture, blocks.ravel(),
                     np.concatenate([part.memories for part in parts]))
