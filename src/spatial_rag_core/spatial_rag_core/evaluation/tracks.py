"""An episode as a model sees it: latents, and the actions of its steps."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from spatial_rag_core.data.episodes.episode import Episode
from spatial_rag_core.data.episodes.model_steps import moments_per_step, step_actions
from spatial_rag_core.evaluation.earlier_memories import Seen
from spatial_rag_core.models.imagined import History
from spatial_rag_core.records import Vector

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from spatial_rag_core.models.bundle import Bundle  # torch: seconds

STEPS_AHEAD = (1, 5, 15)


@dataclass(frozen=True, eq=False)
class Track:
    """
    An episode in latents: what a prediction starts from, and what it should have been.

    every: frames in a step.  z: float32 [T, z_dim].  actions: float32 [T, action_dim], of a
    step as it stands at each frame: see the episode's actions_from, and step_actions.
    """

    episode: Episode
    every: int
    z: Vector
    actions: Vector

    @cached_property
    def mean_z(self) -> Vector:
        """The mean latent, float32 [z_dim]."""
        return np.asarray(self.z.mean(axis=0), np.float32)

    @cached_property
    def mean_rgb(self) -> NDArray[np.float64]:
        """The mean picture, [S, S, 3] in 0..1."""
        return np.asarray(self.episode.rgb.mean(axis=0, dtype=np.float64) / 255.0)

    @classmethod
    def of(cls, episode: Episode, bundle: Bundle) -> Track:
        """Encode an episode; raises ConfigurationError where its rate does not fit the model."""
        every = moments_per_step(episode.rate_hz, bundle.metadata.step_sec)
        return cls(episode, every, bundle.encode_images(episode.rgb),
                   step_actions(episode, every))

    def starts(self, asked: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Return frames from which STEPS_AHEAD[-1] steps lie in it, all of them asked about."""
        reach = STEPS_AHEAD[-1] * self.every
        rows = np.arange(max(len(self.z) - reach, 0))
        outside = np.concatenate([[0], np.cumsum(~asked)])
        return np.flatnonzero(outside[rows + reach + 1] == outside[rows])

    def seen(self) -> Seen:
        """Return every step of it as a memory, with the action that led there."""
        rows = np.arange(0, len(self.z), self.every)
        led = np.full((len(rows), self.actions.shape[1]), np.nan, np.float32)
        led[1:] = self.actions[
            rows[1:] if self.episode.actions_from == 'past motion' else rows[:-1]]
        return Seen(self.z[rows], self.episode.poses[rows], led, self.episode.stamps[rows])

    def history(self, start: int, length: int) -> History:
        """Return at most `length` steps before a frame."""
        rows = np.arange(start - length * self.every, start, self.every)
        rows = rows[rows >= 0]
        return History(self.z[rows], self.actions[rows])

    def plan(self, start: int) -> Vector:
        """Return the actions of the steps from a frame on, [STEPS_AHEAD[-1], action_dim]."""
        return self.actions[start:start + STEPS_AHEAD[-1] * self.every:self.every]

    def ahead(self, start: int) -> NDArray[np.int64]:
        """Return the frames that are to be foreseen, int [len(STEPS_AHEAD)]."""
        return start + self.every * np.array(STEPS_AHEAD)
