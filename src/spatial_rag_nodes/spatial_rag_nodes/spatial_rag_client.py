"""All services of Spatial-RAG for Python: records and NumPy in, records and NumPy out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import contextlib
from pathlib import Path
import queue
from types import TracebackType

from spatial_rag_core.errors import ServiceUnavailableError
from spatial_rag_core.memory.answering.relocalization import PoseHypothesis
from spatial_rag_core.memory.upkeep.backup import BackupReport
from spatial_rag_core.records import Hit, Memory, MemoryQuery, MemorySelection, Pose
from spatial_rag_msgs import srv
from spatial_rag_msgs.msg import Surprise
from spatial_rag_nodes import qos
from spatial_rag_nodes.client_conversions import (
    fill_selection,
    hit_of,
    Latent,
    latent_fields,
    memory_of,
    request_from_query,
    stamped_pose,
)
from spatial_rag_nodes.conversions import floats_from_vector, time_from_seconds
from spatial_rag_nodes.images import image_from_rgb, Rgb, rgb_from_msg
from spatial_rag_nodes.place_conversions import hypothesis_from_msg
from spatial_rag_nodes.rollout_conversions import rollout_from_response, RolloutResult
from spatial_rag_nodes.service_calls import ServiceCalls

import numpy as np
from numpy.typing import ArrayLike
from rclpy.node import Node
from sensor_msgs.msg import Image
from std_msgs.msg import Header

_MOST_WAITING = 200  # surprises: ten seconds of them


class SpatialRagClient:
    """
    Asks the nodes of one robot, from any thread, also from a callback of a node.

        with SpatialRagClient() as robot:
            best = robot.relocalize(picture)[0]
            print(best.pose.position, best.score)

    node: whose ROS context and namespace it shares; None: it makes a context of its own, with the
    ROS arguments of the command line.  namespace: of the robot, where it is another.
    timeout_sec: how long each call waits.  map_frame: that of the memory.
    Raises from each call ServiceUnavailableError where no node answers in time, and what the
    node raised: ConfigurationError, InputError, JournalError (ModelMismatchError for a latent of
    another bundle than the one that runs).
    """

    def __init__(self, node: Node | None = None, *, namespace: str = '',
                 timeout_sec: float = 10.0, map_frame: str = 'map') -> None:
        if node is not None:
            namespace = namespace or node.get_namespace()
        self._calls = ServiceCalls(namespace, node and node.context, timeout_sec)
        self._map_frame = map_frame

    def __enter__(self) -> SpatialRagClient:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End it; its thread and node go."""
        self._calls.close()

    # What is remembered

    def query(self, query: MemoryQuery, with_thumbnails: bool = False) -> list[Hit]:
        """Memories by latent, place, time and words, nearest first."""
        request = request_from_query(query, self._map_frame, with_thumbnails)
        response = self._calls.call(srv.QueryMemory, 'query_memory', request)
        return [hit_of(msg) for msg in response.memories]

    def query_by_image(self, picture: Rgb, k: int = 0, *, pose: Pose | None = None,
                       radius_m: float = 0.0, session: str = '', map_id: str = '',
                       diversity: float = 0.0, with_thumbnails: bool = False) -> list[Hit]:
        """Memories that look like a picture uint8 [H, W, 3], most alike first; k 0: as set."""
        response = self._calls.call(
            srv.QueryMemoryByImage, 'query_memory_by_image', srv.QueryMemoryByImage.Request(
                image=image_from_rgb(picture, Header()), k=k, session=session, map_id=map_id,
                pose=stamped_pose(pose, self._map_frame), radius_m=float(radius_m),
                diversity=float(diversity), with_thumbnails=with_thumbnails))
        return [hit_of(msg) for msg in response.memories]

    def get_memory(self, memory_id: str) -> Memory | None:
        """One memory, whole, with its picture; None: there is none of this id."""
        response = self._calls.call(srv.GetMemory, 'get_memory',
                                    srv.GetMemory.Request(id=memory_id), allowed=('NOT_FOUND',))
        return memory_of(response.memory) if response.code == response.OK else None

    def memory_stats(self) -> srv.MemoryStats.Response:
        """How much is remembered; fields as in MemoryStats.srv."""
        return self._calls.call(srv.MemoryStats, 'memory_stats', srv.MemoryStats.Request())

    def backup_memory(self, path: str | Path = '', timeout_sec: float = 600.0) -> BackupReport:
        """Copy the memory file on the robot's disk; path empty: beside it, dated."""
        response = self._calls.call(srv.BackupMemory, 'backup_memory',
                                    srv.BackupMemory.Request(path=str(path)), timeout_sec)
        return BackupReport(Path(response.path), response.count, response.size_bytes)

    def forget_memories(self, selection: MemorySelection, dry_run: bool = False,
                        timeout_sec: float = 600.0) -> int:
        """Forget for good, or only count; returns how many."""
        request = srv.ForgetMemories.Request(dry_run=dry_run)
        fill_selection(request, selection)
        return int(self._calls.call(srv.ForgetMemories, 'forget_memories', request,
                                    timeout_sec).count)

    def label_memories(self, selection: MemorySelection, add: Sequence[str] = (),
                       remove: Sequence[str] = (), timeout_sec: float = 600.0) -> int:
        """Add words to memories, or take them away; returns how many changed."""
        request = srv.LabelMemories.Request(add_labels=list(add), remove_labels=list(remove))
        fill_selection(request, selection)
        return int(self._calls.call(srv.LabelMemories, 'label_memories', request,
                                    timeout_sec).count)

    # What is being remembered

    def set_labels(self, labels: Sequence[str]) -> tuple[str, ...]:
        """Words of each memory from now on; returns those before."""
        response = self._calls.call(srv.SetLabels, 'set_labels',
                                    srv.SetLabels.Request(labels=list(labels)))
        return tuple(response.previous_labels)

    def pause_writing(self) -> int:
        """Remember nothing until resume_writing; returns how many memories there are."""
        return int(self._calls.call(srv.PauseWriting, 'pause_writing',
                                    srv.PauseWriting.Request()).count)

    def resume_writing(self) -> int:
        """Remember again; returns how many latents the pause left out."""
        return int(self._calls.call(srv.ResumeWriting, 'resume_writing',
                                    srv.ResumeWriting.Request()).skipped_count)

    def start_session(self, name: str = '') -> str:
        """Begin a session and return its name; empty: one is made up."""
        return str(self._calls.call(srv.StartSession, 'start_session',
                                    srv.StartSession.Request(name=name)).session)

    def end_session(self) -> tuple[str, int]:
        """End the session; returns its name and how many memories were made in it."""
        response = self._calls.call(srv.EndSession, 'end_session', srv.EndSession.Request())
        return response.session, response.count

    # What is seen and foreseen

    def encode(self, picture: Rgb) -> Latent:
        """The latent of a picture uint8 [H, W, 3], and the bundle that made it."""
        response = self._calls.call(
            srv.EncodeImage, 'encode_image',
            srv.EncodeImage.Request(image=image_from_rgb(picture, Header())))
        return Latent(response.latent, response.model_id)

    def decode(self, latent: Latent) -> Rgb:
        """What the model thinks that a latent looks like, uint8 [S, S, 3]."""
        response = self._calls.call(srv.DecodeLatent, 'decode_latent',
                                    srv.DecodeLatent.Request(**latent_fields(latent)))
        return rgb_from_msg(response.image)

    def relocalize(self, picture: Rgb | None = None, *, latent: Latent | None = None,
                   max_hypotheses: int = 0, k: int = 0, near: Pose | None = None,
                   radius_m: float = 0.0, after: float | None = None,
                   before: float | None = None, session: str = '', robot: str = '',
                   map_id: str = '', labels: Sequence[str] = ()) -> list[PoseHypothesis]:
        """
        Where a picture uint8 [H, W, 3], or its latent, may have been seen; best first.

        near, radius_m: where to look.  after, before: memories of this time, Unix [s].
        """
        response = self._calls.call(srv.Relocalize, 'relocalize', srv.Relocalize.Request(
            image=Image() if picture is None else image_from_rgb(picture, Header()),
            **latent_fields(latent), max_hypotheses=max_hypotheses, k=k,
            pose=stamped_pose(near, self._map_frame), radius_m=float(radius_m),
            after=time_from_seconds(after), before=time_from_seconds(before), session=session,
            robot=robot, map_id=map_id, labels=list(labels)))
        return [hypothesis_from_msg(place) for place in response.hypotheses]

    def rollout(self, actions: ArrayLike, *, latent: Latent | None = None,
                pose: Pose | None = None, without_memories: bool = False,
                with_pictures: bool = False) -> RolloutResult:
        """
        Imagine what comes of plans: actions float32 [B, T, action_dim], or [T, action_dim].

        latent: where to start; None: now.  pose: of the start; None: where the robot is, but not
        known for a latent that is given: then without memories, and poses relative to the start.
        Raises ServiceUnavailableError where no latent has come lately to start from.
        """
        plans = np.asarray(actions, np.float32)
        response = self._calls.call(srv.Rollout, 'rollout', srv.Rollout.Request(
            actions=floats_from_vector(plans), plans=len(plans) if plans.ndim == 3 else 1,
            **latent_fields(latent), pose=stamped_pose(pose, self._map_frame),
            without_memories=without_memories, with_pictures=with_pictures))
        return rollout_from_response(response)

    @contextlib.contextmanager
    def surprises(self, timeout_sec: float = 10.0) -> Iterator[Iterator[Surprise]]:
        """
        How well each frame was foreseen, as it comes; see Surprise.msg.

        Who is slow is given the newest 200, and misses those before.  Raises
        ServiceUnavailableError where none comes in time.
        """
        waiting: queue.Queue[Surprise] = queue.Queue(_MOST_WAITING)

        def keep(message: Surprise) -> None:
            if waiting.full():
                with contextlib.suppress(queue.Empty):
                    waiting.get_nowait()
            waiting.put_nowait(message)
        node = self._calls.node
        listening = node.create_subscription(Surprise, 'spatial_rag/surprise', keep, qos.stream())

        def taken() -> Iterator[Surprise]:
            while True:
                try:
                    yield waiting.get(timeout=timeout_sec)
                except queue.Empty:
                    raise ServiceUnavailableError(
                        f'nothing on {listening.topic_name} within {timeout_sec:g} s; are '
                        'encoder and transition predictor running, and actions sent?') from None
        try:
            yield taken()
        finally:
            node.destroy_subscription(listening)
