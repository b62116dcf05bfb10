"""The moments of one unbroken run, and the episode that they make."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from spatial_rag_core.data.collecting.findings import Findings
from spatial_rag_core.data.episodes.episode import Episode
from spatial_rag_core.data.pictures import DepthMap, Rgb
from spatial_rag_core.records import Pose, Vector
from spatial_rag_core.streams.motion import BodyAxes, past_motion
from spatial_rag_core.streams.pose_buffer import interpolate

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Moment:
    """
    One frame with all that belongs to it.

    slot: which moment of the steady grid it stands for.  stamp_ns: the frame's own.
    steady_ns: what is written; see resample.py.
    action: None where none is recorded, and the past motion stands for it.
    """

    slot: int
    stamp_ns: int
    steady_ns: int
    rgb: Rgb  # [S, S, 3]
    pose: Pose
    depth_m: DepthMap | None = None  # [S, S]
    action: Vector | None = None  # [A]
    proprio: Vector | None = None  # [P]


@dataclass(frozen=True)
class RunLabels:
    """What an episode says of where it comes from; see Episode."""

    map_id: str = ''
    robot: str = ''
    source: str = ''


def moments_between(before: Moment, after: Moment) -> list[Moment]:
    """
    Moments that no frame stands for, each with the picture of the nearer neighbour.

    Pose and stamp are those of the moment itself; action and depth go with what was there.
    """
    steps = after.slot - before.slot
    filled = []
    for step in range(1, steps):
        part = step / steps
        shown = before if part <= 0.5 else after
        filled.append(replace(
            shown, slot=before.slot + step, action=before.action,
            stamp_ns=_between(before.stamp_ns, after.stamp_ns, part),
            steady_ns=_between(before.steady_ns, after.steady_ns, part),
            pose=interpolate(before.pose, after.pose, part)))
    return filled


def _between(start_ns: int, end_ns: int, part: float) -> int:
    return start_ns + round(part * (end_ns - start_ns))


def split_at_first_proprio(moments: list[Moment]) -> tuple[list[Moment], int]:
    """Return the moments from the first with proprioception on, and how many come before."""
    early = next((number for number, moment in enumerate(moments)
                  if moment.proprio is not None), 0)
    return moments[early:], early


def motion_actions(moments: Sequence[Moment], action_dim: int, axes: BodyAxes) -> Vector:
    """Return float32 [T, action_dim], the motion that led to each moment; see past_motion."""
    return past_motion(
        [moment.pose for moment in moments],
        [(after.stamp_ns - before.stamp_ns) / 1e9 for before, after in pairwise(moments)],
        action_dim, axes)


def episode_from_moments(moments: Sequence[Moment], actions: Vector, rate_hz: float,
                         labels: RunLabels, session: str, findings: Findings) -> Episode:
    """Stack the moments; what is known of some only is unknown (0) or left out, and noted."""
    return Episode(
        name='', rgb=np.stack([moment.rgb for moment in moments]), actions=actions,
        poses=np.array([(*moment.pose.position, *moment.pose.orientation)
                        for moment in moments], np.float64),
        stamps=np.array([moment.steady_ns / 1e9 for moment in moments], np.float64),
        rate_hz=rate_hz, map_id=labels.map_id, session=session, robot=labels.robot,
        source=labels.source, depth_m=_depth(moments, findings),
        proprio=_proprio(moments, findings),
        actions_from='past motion' if moments[0].action is None else 'commands')


def _depth(moments: Sequence[Moment], findings: Findings) -> NDArray[np.float32] | None:
    known = [moment.depth_m for moment in moments if moment.depth_m is not None]
    if not known:
        return None
    unknown = np.zeros_like(known[0])
    if len(known) < len(moments):
        findings.note('without_depth', 'frames have no depth of their moment; it is 0 there '
                      '(not known)', len(moments) - len(known))
    return np.stack([unknown if moment.depth_m is None else moment.depth_m
                     for moment in moments])


def _proprio(moments: Sequence[Moment], findings: Findings) -> Vector | None:
    known = [moment.proprio for moment in moments if moment.proprio is not None]
    if not known:
        return None
    sizes = {len(values) for values in known}
    if len(known) < len(moments) or len(sizes) > 1:
        findings.note('without_proprio', 'proprioception is not there for each frame, or changes '
                      'its length; the episode goes without', len(moments))
        return None
    return np.stack(known)
