"""Puts the streams of a robot, live or recorded, together into episodes of a steady rate."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from datetime import datetime, timezone
from typing import NamedTuple

from spatial_rag_core.data.collecting.assembly_config import AssemblyConfig
from spatial_rag_core.data.collecting.episode_run import (
    episode_from_moments,
    Moment,
    moments_between,
    motion_actions,
    split_at_first_proprio,
)
from spatial_rag_core.data.collecting.findings import Findings
from spatial_rag_core.data.collecting.resample import Slotted, SteadyGrid
from spatial_rag_core.data.episodes.episode import Episode, MAX_DEPTH_M
from spatial_rag_core.data.pictures import DepthMap, Rgb
from spatial_rag_core.errors import InputError, PoseError
from spatial_rag_core.models.model_input import resized_depth, resized_rgb
from spatial_rag_core.records import Pose, Vector
from spatial_rag_core.streams.action_track import ActionTrack
from spatial_rag_core.streams.pose_buffer import PoseBuffer
from spatial_rag_core.streams.stamp_order import StampOrder, Step

import numpy as np

POSE_WAIT_SEC = 0.5
"""So much later frames are awaited, by their stamps, for the pose after a frame."""
_DEPTHS_KEPT = 16
"""They are kept as they came, which may be megabytes each."""

Decode = Callable[[], Rgb]
DecodeDepth = Callable[[], DepthMap]


class _Frame(NamedTuple):
    """A picture of the right size that waits for its pose."""

    slot: int
    stamp_ns: int
    steady_ns: int
    rgb: Rgb


class EpisodeAssembler:
    """
    Takes in frames, depth, poses, actions and proprioception as they come; gives episodes.

    Stamps are Unix times [ns] of the sender. What cannot be used is noted in `findings` and
    never ends the work. Pictures are given as functions, called only where a frame is chosen.
    """

    def __init__(self, config: AssemblyConfig, findings: Findings | None = None) -> None:
        self.config = config
        self.findings = Findings() if findings is None else findings
        self.frame_count = 0  # of completed episodes
        self._poses = PoseBuffer(tolerance_sec=config.pose_tolerance_sec)
        self._actions = ActionTrack(config.action_timeout_sec)
        self._proprio = ActionTrack(config.action_timeout_sec)
        self._depths: deque[tuple[int, DecodeDepth]] = deque(maxlen=_DEPTHS_KEPT)
        self._order = StampOrder()
        self._grid: SteadyGrid[Decode] = SteadyGrid(config.rate_hz)
        self._waiting: deque[_Frame] = deque()
        self._run: list[Moment] = []
        self._made: list[Episode] = []

    @property
    def running_frames(self) -> int:
        """Frames of the running episode."""
        return len(self._run)

    def add_frame(self, stamp_ns: int, decode: Decode) -> None:
        """Take in a frame; decode gives it as uint8 [H, W, 3], or raises InputError."""
        step = self._order.follow(stamp_ns)
        if step in (Step.REPEATED, Step.LATE):
            self.findings.note('frames_out_of_order', 'the stamp is not later than that of the '
                               'frame before')
            return
        if step is Step.JUMPED_BACK:
            self.findings.note('time_jumps', 'time ran backwards; a new episode begins')
            self.finish()
        self._choose(self._grid.offer(stamp_ns, decode))
        self._settle()

    def add_depth(self, stamp_ns: int, decode: DecodeDepth) -> None:
        """Take in a depth map; decode gives it as float32 [H, W] in metres."""
        self._depths.append((stamp_ns, decode))

    def add_pose(self, stamp_ns: int, pose: Pose) -> None:
        """Take in a pose in the map frame."""
        self._poses.insert(stamp_ns, pose)
        self._settle()

    def add_action(self, action: Vector) -> None:
        """Take in an action float32 [action_dim], which is dated by the newest pose."""
        self._actions.add(action, self._poses.newest_ns)

    def add_proprio(self, proprio: Vector) -> None:
        """Take in a state float32 [P], which is dated by the newest pose."""
        self._proprio.add(proprio, self._poses.newest_ns)

    def take(self) -> list[Episode]:
        """Hand over the episodes that were completed since the last call."""
        made, self._made = self._made, []
        return made

    def finish(self) -> None:
        """Complete the running episode; what comes next begins another."""
        self._choose(self._grid.finish())
        while self._waiting:
            self._place(self._waiting.popleft())
        self._close_run()

    def _choose(self, chosen: Slotted[Decode] | None) -> None:
        if chosen is None:
            return
        try:
            rgb = resized_rgb(chosen.item(), self.config.image_size)
        except InputError as error:
            self.findings.note('undecodable_frames', error)
            return
        self._waiting.append(_Frame(chosen.slot, chosen.stamp_ns, chosen.steady_ns, rgb))

    def _settle(self) -> None:
        while self._waiting and self._is_due(self._waiting[0].stamp_ns):
            self._place(self._waiting.popleft())

    def _is_due(self, stamp_ns: int) -> bool:
        """Whether a later pose is there, before which all its actions came; or never will be."""
        newest_ns = self._poses.newest_ns
        if newest_ns is not None and newest_ns > stamp_ns and self._poses.brackets(stamp_ns):
            return True
        return (self._order.newest_ns or 0) - stamp_ns > POSE_WAIT_SEC * 1e9

    def _place(self, frame: _Frame) -> None:
        """Give a frame its pose and action, or leave it out."""
        try:
            pose = self._poses.at(frame.stamp_ns)
        except PoseError as error:
            self.findings.note('frames_without_pose', error)
            return
        action = None
        if self.config.action_source == 'topic':
            action = self._actions.leading_to(frame.stamp_ns + 1)
            if action is None:
                self.findings.note('frames_without_action', 'no action is in force; see '
                                   'action_timeout_sec, or derive actions from motion')
                return
        self._join(Moment(*frame, pose,
                          self._depth_at(frame.stamp_ns), action,
                          self._proprio.leading_to(frame.stamp_ns + 1)))

    def _depth_at(self, stamp_ns: int) -> DepthMap | None:
        near = min(self._depths, key=lambda depth: abs(depth[0] - stamp_ns), default=None)
        if near is None or abs(near[0] - stamp_ns) > self.config.depth_tolerance_sec * 1e9:
            return None
        try:
            return _storable(resized_depth(near[1](), self.config.image_size))
        except InputError as error:
            self.findings.note('undecodable_depths', error)
            return None

    def _join(self, moment: Moment) -> None:
        if self._run:
            steps = moment.slot - self._run[-1].slot
            if steps > max(1.0, self.config.max_gap_sec * self.config.rate_hz + 1e-6):
                self.findings.note('gaps', f'{steps / self.config.rate_hz:.2f} s without a usable '
                                   'frame; a new episode begins')
                self._close_run()
            elif steps > 1:
                self._repeat(moment)
        self._run.append(moment)
        if len(self._run) >= self.config.max_frames:
            self._close_run()

    def _repeat(self, after: Moment) -> None:
        between = moments_between(self._run[-1], after)
        self.findings.note('frames_repeated', 'no frame came within half a period of its '
                           'moment; the nearest one stands for it', len(between))
        self._run += between

    def _close_run(self) -> None:
        run, early = split_at_first_proprio(self._run)
        self._run = []
        if early:
            self.findings.note('frames_before_proprio', 'proprioception comes later; the episode '
                               'begins with it', early)
        if len(run) < self.config.min_frames:
            if run:
                self.findings.note('frames_in_short_runs', 'an unbroken run is shorter than '
                                   f'min_episode_sec {self.config.min_episode_sec:g}', len(run))
            return
        self.frame_count += len(run)
        self._made.append(episode_from_moments(
            run, self._actions_of(run), self.config.rate_hz, self.config.labels,
            session_name(run[0].stamp_ns), self.findings))

    def _actions_of(self, run: list[Moment]) -> Vector:
        if self.config.action_source == 'motion':
            return motion_actions(run, self.config.action_dim, self.config.pose_axes)
        return np.stack([moment.action for moment in run if moment.action is not None])


def _storable(depth_m: DepthMap) -> DepthMap:
    """With 0 (not known) where it is negative or beyond what a file of episodes can say."""
    return np.where((depth_m > 0) & (depth_m <= MAX_DEPTH_M), depth_m, np.float32(0.0))


def session_name(stamp_ns: int) -> str:
    """Name of what began at that Unix time [ns], to the millisecond: 20231114T221320.000Z."""
    begun = datetime.fromtimestamp(stamp_ns // 1_000_000_000, timezone.utc)
    return f'{begun:%Y%m%dT%H%M%S}.{stamp_ns % 1_000_000_000 // 1_000_000:03}Z'
