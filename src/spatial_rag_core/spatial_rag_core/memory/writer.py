"""Joins each latent with its pose and its action, and has it stored where it is worth it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
import time
from typing import NamedTuple

from spatial_rag_core.errors import ConfigurationError, LatentError, PoseError
from spatial_rag_core.memory.admission import Admission
from spatial_rag_core.memory.storing.committer import Committer
from spatial_rag_core.memory.storing.identifiers import new_memory_id
from spatial_rag_core.memory.storing.recording import Recording
from spatial_rag_core.records import (
    as_latent,
    check_labels,
    Memory,
    NO_ACTION,
    Pose,
    Vector,
)
from spatial_rag_core.spatial.h3_cells import H3Grid
from spatial_rag_core.spatial.local_frame import LocalFrame
from spatial_rag_core.streams.pose_buffer import PoseBuffer
from spatial_rag_core.streams.stamp_order import StampOrder, Step

_MOST_THUMBNAIL_BYTES = 1 << 20
_LONGEST_MODEL_ID = 64


@dataclass(frozen=True, eq=False)
class LatentSample:
    """
    A latent as the encoder sent it: z float32 [z_dim], stamp of its frame [ns].

    Raises LatentError for a thumbnail of more than 1 MiB and a model_id beyond 64 characters: they
    are written to the memory file, once each frame.
    """

    stamp_ns: int
    z: Vector
    model_id: str
    thumbnail: bytes = b''

    def __post_init__(self) -> None:
        if len(self.thumbnail) > _MOST_THUMBNAIL_BYTES:
            raise LatentError(f'thumbnail has {len(self.thumbnail)} bytes, the largest has '
                              f'{_MOST_THUMBNAIL_BYTES}; lower thumbnail_quality of the encoder')
        if len(self.model_id) > _LONGEST_MODEL_ID:
            raise LatentError(f'model_id has {len(self.model_id)} characters, the longest has '
                              f'{_LONGEST_MODEL_ID}; check the sender')


@dataclass(frozen=True)
class WriterConfig:
    """
    How memories are made.

    robot, map_id: written into each memory.  session, labels: those to begin with, see Recording;
    session empty: a name is made up.  pose_wait_sec: how long a latent waits for the pose that
    follows it [s].
    """

    robot: str = ''
    map_id: str = ''
    session: str = ''
    labels: tuple[str, ...] = ()
    pose_wait_sec: float = 0.2

    def __post_init__(self) -> None:
        if not 0.0 <= self.pose_wait_sec <= 10.0:
            raise ConfigurationError(
                f'pose_wait_sec must lie between 0 and 10 s, got {self.pose_wait_sec}')
        check_labels(self.labels)


class _Waiting(NamedTuple):
    """A latent without its pose, the session and words that it came with, and when [ns]."""

    sample: LatentSample
    session: str
    labels: tuple[str, ...]
    arrived_ns: int


class MemoryWriter:
    """
    Turns latents into memories.

    A latent waits until a pose at or after its stamp has come, or pose_wait_sec long; the pose
    is then interpolated to its stamp. Where the moment is worth remembering (see admission.py),
    `action_at` is asked for the action that led to it, and the committer stores it. Call
    `advance` often. Where time is turned back a new session begins.

    recording: whether memories are made, in which session, with which words.
    """

    def __init__(self, committer: Committer, poses: PoseBuffer,
                 action_at: Callable[[int], Vector | None],
                 config: WriterConfig = WriterConfig(),
                 admission: Admission | None = None) -> None:
        self._committer = committer
        self._poses = poses
        self._action_at = action_at
        self._config = config
        spec = committer.spec
        self._grid = H3Grid(LocalFrame(spec.datum), spec.h3_resolution)
        self._order = StampOrder()
        self._author = ''
        self._author_of = committer.begun_anew
        self._waiting: deque[_Waiting] = deque()
        self._unplaced: deque[PoseError] = deque(maxlen=1000)
        self.admission = admission or Admission()
        self.recording = Recording(config.session, config.labels)
        self._judged_session = self.recording.session

    def add_pose(self, stamp_ns: int, pose: Pose) -> Step:
        """Take in a pose."""
        return self._poses.insert(stamp_ns, pose)

    def add_latent(self, sample: LatentSample) -> Step:
        """
        Take in a latent; one that is repeated or late is left out, as the Step tells.

        Raises LatentError for another length or a value not finite, ModelMismatchError for one
        of another encoder than the memory's.
        """
        z = as_latent(sample.z, self._committer.spec.z_dim)
        if not sample.model_id:
            raise LatentError('latent carries no model_id, so it could never be compared; '
                              'publish it with the id of the bundle that made it')
        self._require_author(sample.model_id)
        previous_ns = self._order.newest_ns
        step = self._order.follow(sample.stamp_ns)
        if step is Step.JUMPED_BACK and previous_ns is not None:
            self._begin_session_after_jump(previous_ns, sample.stamp_ns)
        if step in (Step.FORWARD, Step.JUMPED_BACK):
            self._keep(replace(sample, z=z))
        return step

    def _keep(self, sample: LatentSample) -> None:
        if not self.recording.is_on:
            self.recording.skipped += 1
            return
        self._waiting.append(_Waiting(sample, self.recording.session, self.recording.labels,
                                      time.monotonic_ns()))

    def _require_author(self, model_id: str) -> None:
        """One model is the author of file and backlog; the file knows it from the first commit."""
        if self._author_of != self._committer.begun_anew:
            self._author_of, self._author = self._committer.begun_anew, ''
        self._author = self._committer.model_id or self._author or model_id
        self._committer.require_model(model_id, self._author)

    def _begin_session_after_jump(self, previous_ns: int, stamp_ns: int) -> None:
        self._place_waiting(at_once=True)
        self.recording.begin_after_jump()
        newest_ns = self._poses.newest_ns
        if newest_ns is not None and abs(newest_ns - previous_ns) < abs(newest_ns - stamp_ns):
            self._poses.clear()  # the poses have not jumped yet: these belong to the time before

    def advance(self) -> list[PoseError]:
        """
        Hand on every latent whose pose is known.

        Returns one error for each latent that no pose was found for (it is not stored).
        """
        self._place_waiting(at_once=False)
        unplaced = list(self._unplaced)
        self._unplaced.clear()
        return unplaced

    def finish(self) -> list[PoseError]:
        """Hand on all that waits, without waiting longer; as advance does."""
        self._place_waiting(at_once=True)
        return self.advance()

    def _place_waiting(self, at_once: bool) -> None:
        deadline_ns = time.monotonic_ns() - round(self._config.pose_wait_sec * 1e9)
        while self._waiting:
            first = self._waiting[0]
            if not (at_once or self._poses.brackets(first.sample.stamp_ns)
                    or first.arrived_ns <= deadline_ns):
                return
            self._waiting.popleft()
            try:
                self._place(first)
            except PoseError as error:
                self._unplaced.append(error)

    def _place(self, placed: _Waiting) -> None:
        sample = placed.sample
        pose = self._poses.at(sample.stamp_ns)
        if placed.session != self._judged_session:
            self._judged_session = placed.session
            self.admission.begin()
        if self.admission.judge(sample.stamp_ns, pose, sample.z).is_admitted:
            self._committer.submit([self._memory_of(placed, pose)])
            self.recording.made += placed.session == self.recording.session

    def _memory_of(self, placed: _Waiting, pose: Pose) -> Memory:
        sample = placed.sample
        action = self._action_at(sample.stamp_ns)
        return Memory(
            id=new_memory_id(), vector=sample.z, pose=pose,
            h3_cell=self._grid.cell(pose.position), timestamp=sample.stamp_ns / 1e9,
            model_id=sample.model_id, action=NO_ACTION if action is None else action,
            session=placed.session, robot=self._config.robot, map_id=self._config.map_id,
            labels=placed.labels, thumbnail=sample.thumbnail)
