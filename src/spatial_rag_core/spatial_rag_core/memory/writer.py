"""Joins each latent with its pose and its action, and stores it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
import time

from spatial_rag_core.errors import ConfigurationError, LatentError, PoseError
from spatial_rag_core.memory.identifiers import new_memory_id, new_session_name
from spatial_rag_core.memory.journal import Journal
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

    robot, map_id: written into each memory.  session: its name, empty: a new one is made up.
    pose_wait_sec: how long a latent waits for the pose that follows it [s].
    max_backlog: memories kept while the file cannot be written; the oldest go beyond that.
    """

    robot: str = ''
    map_id: str = ''
    session: str = ''
    pose_wait_sec: float = 0.2
    max_backlog: int = 6000

    def __post_init__(self) -> None:
        if not 0.0 <= self.pose_wait_sec <= 10.0:
            raise ConfigurationError(
                f'pose_wait_sec must lie between 0 and 10 s, got {self.pose_wait_sec}')
        if self.max_backlog < 1:
            raise ConfigurationError(f'max_backlog must be >= 1, got {self.max_backlog}')


class MemoryWriter:
    """
    Turns latents into memories.

    A latent waits until a pose at or after its stamp has come, or pose_wait_sec long; the pose
    is then interpolated to its stamp, and `action_at` asked for the action that led to it. What
    could not be committed stays in a backlog and is tried again: call `commit` often. Where
    time is turned back a new session begins.
    """

    def __init__(self, journal: Journal, poses: PoseBuffer,
                 action_at: Callable[[int], Vector | None],
                 config: WriterConfig = WriterConfig()) -> None:
        self._journal = journal
        self._poses = poses
        self._action_at = action_at
        self._config = config
        self._grid = H3Grid(LocalFrame(journal.spec.datum), journal.spec.h3_resolution)
        self._order = StampOrder()
        self._author = ''
        self._waiting: deque[tuple[LatentSample, int]] = deque()  # and its arrival [ns]
        self._backlog: deque[Memory] = deque()
        self._unplaced: deque[PoseError] = deque(maxlen=1000)
        self.session = config.session or new_session_name()
        self.stored = 0
        self.lost = 0

    @property
    def backlog(self) -> int:
        """Memories that are made but not committed yet."""
        return len(self._backlog)

    def move_to(self, journal: Journal) -> None:
        """Go on with another file of the same spec; what waits is stored there."""
        self._journal = journal
        self._author = ''

    def add_pose(self, stamp_ns: int, pose: Pose) -> Step:
        """Take in a pose."""
        return self._poses.insert(stamp_ns, pose)

    def add_latent(self, sample: LatentSample) -> Step:
        """
        Take in a latent; one that is repeated or late is left out, as the Step tells.

        Raises LatentError for another length or a value not finite, ModelMismatchError for one
        of another encoder than the memory's.
        """
        z = as_latent(sample.z, self._journal.spec.z_dim)
        if not sample.model_id:
            raise LatentError('latent carries no model_id, so it could never be compared; '
                              'publish it with the id of the bundle that made it')
        self._require_author(sample.model_id)
        previous_ns = self._order.newest_ns
        step = self._order.follow(sample.stamp_ns)
        if step is Step.JUMPED_BACK and previous_ns is not None:
            self._begin_session_after_jump(previous_ns, sample.stamp_ns)
        if step in (Step.FORWARD, Step.JUMPED_BACK):
            self._waiting.append((replace(sample, z=z), time.monotonic_ns()))
        return step

    def _require_author(self, model_id: str) -> None:
        """One model is the author of file and backlog; the file knows it from the first commit."""
        self._author = self._author or self._journal.model_id or model_id
        self._journal.require_model(model_id, self._author)

    def _begin_session_after_jump(self, previous_ns: int, stamp_ns: int) -> None:
        self._place_waiting(at_once=True)
        name = new_session_name()
        self.session = f'{self._config.session}-{name}' if self._config.session else name
        newest_ns = self._poses.newest_ns
        if newest_ns is not None and abs(newest_ns - previous_ns) < abs(newest_ns - stamp_ns):
            self._poses.clear()  # the poses have not jumped yet: these belong to the time before

    def commit(self) -> list[PoseError]:
        """
        Store every latent whose pose is known.

        Returns one error for each latent that no pose was found for (it is not stored). Raises
        JournalError where the file refuses; what was to be stored then stays in the backlog.
        """
        self._place_waiting(at_once=False)
        if self._backlog:
            batch = list(self._backlog)
            self._journal.append(batch)
            self._backlog.clear()
            self.stored += len(batch)
        unplaced = list(self._unplaced)
        self._unplaced.clear()
        return unplaced

    def finish(self) -> list[PoseError]:
        """Store all that waits, without waiting longer; as commit does."""
        self._place_waiting(at_once=True)
        return self.commit()

    def _place_waiting(self, at_once: bool) -> None:
        deadline_ns = time.monotonic_ns() - round(self._config.pose_wait_sec * 1e9)
        while self._waiting:
            sample, arrived_ns = self._waiting[0]
            if not (at_once or self._poses.brackets(sample.stamp_ns)
                    or arrived_ns <= deadline_ns):
                return
            self._waiting.popleft()
            try:
                self._enqueue(self._memory_of(sample))
            except PoseError as error:
                self._unplaced.append(error)

    def _enqueue(self, memory: Memory) -> None:
        if len(self._backlog) >= self._config.max_backlog:
            self._backlog.popleft()
            self.lost += 1
        self._backlog.append(memory)

    def _memory_of(self, sample: LatentSample) -> Memory:
        pose = self._poses.at(sample.stamp_ns)
        action = self._action_at(sample.stamp_ns)
        return Memory(
            id=new_memory_id(), vector=sample.z, pose=pose,
            h3_cell=self._grid.cell(pose.position), timestamp=sample.stamp_ns / 1e9,
            model_id=sample.model_id, action=NO_ACTION if action is None else action,
            session=self.session, robot=self._config.robot, map_id=self._config.map_id,
            thumbnail=sample.thumbnail)
