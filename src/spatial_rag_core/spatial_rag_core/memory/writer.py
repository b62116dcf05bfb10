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
from spatial_rag_core.memory.storing.identifiers import new_memory_id, new_session_name
from spatial_rag_core.records import as_latent, Memory, NO_ACTION, Pose, Vector
from spatial_rag_core.spatial.h3_cells import H3Grid
from spatial_rag_core.spatial.local_frame import LocalFrame
from spatial_rag_core.streams.pose_buffer import PoseBuffer
from spatial_rag_core.streams.stamp_order import StampOrder, Step


@dataclass(frozen=True, eq=False)
class LatentSample:
    """A latent as the encoder sent it: z float32 [z_dim], stamp of its frame [ns]."""

    stamp_ns: int
    z: Vector
    model_id: str
    thumbnail: bytes = b''


@dataclass(frozen=True)
class WriterConfig:
    """
    How memories are made.

    robot, map_id, labels: written into each memory.  session: its name, empty: a new one is made
    up.  pose_wait_sec: how long a latent waits for the pose that follows it [s].
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
        if isinstance(self.labels, str) or not all(self.labels):
            raise ConfigurationError(
                f'labels must be a tuple of words, none empty, got {self.labels!r}')


class _Waiting(NamedTuple):
    """A latent without its pose, the session in which it came, and when [ns]."""

    sample: LatentSample
    session: str
    arrived_ns: int


class MemoryWriter:
    """
    Turns latents into memories.

    A latent waits until a pose at or after its stamp has come, or pose_wait_sec long; the pose
    is then interpolated to its stamp. Where the moment is worth remembering (see admission.py),
    `action_at` is asked for the action that led to it, and the committer stores it. Call
    `advance` often. Where time is turned back a new session begins.
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
        self.session = self._judged_session = config.session or new_session_name()

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
            self._waiting.append(
                _Waiting(replace(sample, z=z), self.session, time.monotonic_ns()))
        return step

    def _require_author(self, model_id: str) -> None:
        """One model is the author of file and backlog; the file knows it from the first commit."""
        if self._author_of != self._committer.begun_anew:
            self._author_of, self._author = self._committer.begun_anew, ''
        self._author = self._committer.model_id or self._author or model_id
        self._committer.require_model(model_id, self._author)

    def _begin_session_after_jump(self, previous_ns: int, stamp_ns: int) -> None:
        self._place_waiting(at_once=True)
        name = new_session_name()
        self.begin_session(f'{self._config.session}-{name}' if self._config.session else name)
        newest_ns = self._poses.newest_ns
        if newest_ns is not None and abs(newest_ns - previous_ns) < abs(newest_ns - stamp_ns):
            self._poses.clear()  # the poses have not jumped yet: these belong to the time before

    def begin_session(self, name: str = '') -> None:
        """Latents that come from now on belong to a new session; empty: a name is made up."""
        self.session = name or new_session_name()

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
            sample, session, arrived_ns = self._waiting[0]
            if not (at_once or self._poses.brackets(sample.stamp_ns)
                    or arrived_ns <= deadline_ns):
                return
            self._waiting.popleft()
            try:
                self._place(sample, session)
            except PoseError as error:
                self._unplaced.append(error)

    def _place(self, sample: LatentSample, session: str) -> None:
        pose = self._poses.at(sample.stamp_ns)
        if session != self._judged_session:
            self._judged_session = session
            self.admission.begin()
        if self.admission.judge(sample.stamp_ns, pose, sample.z).is_admitted:
            self._committer.submit([self._memory_of(sample, session, pose)])

    def _memory_of(self, sample: LatentSample, session: str, pose: Pose) -> Memory:
        action = self._action_at(sample.stamp_ns)
        return Memory(
            id=new_memory_id(), vector=sample.z, pose=pose,
            h3_cell=self._grid.cell(pose.position), timestamp=sample.stamp_ns / 1e9,
            model_id=sample.model_id, action=NO_ACTION if action is None else action,
            session=session, robot=self._config.robot, map_id=self._config.map_id,
            labels=self._config.labels, thumbnail=sample.thumbnail)
