"""The four nodes in one process: none waits for another that waits for it."""

from __future__ import annotations

from pathlib import Path
import signal
from typing import Any

from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.storing.identifiers import new_memory_id
from spatial_rag_core.memory.tables.schema import JournalSpec
from spatial_rag_core.models.bundle import Bundle
from spatial_rag_core.records import Memory, Pose, Position
from spatial_rag_core.spatial.h3_cells import H3Grid
from spatial_rag_core.spatial.local_frame import LocalFrame
from spatial_rag_msgs.msg import RetrievedMemories
from spatial_rag_msgs.srv import MemoryStats, QueryMemoryByImage
from spatial_rag_nodes.conversions import msg_from_pose, time_from_ns
from spatial_rag_nodes.images import image_from_rgb

from geometry_msgs.msg import PoseStamped
import numpy as np
import pytest
from sensor_msgs.msg import Image
from std_msgs.msg import Header

pytestmark = pytest.mark.ros

T0_NS = 1_700_000_000_000_000_000
POSE = Pose(Position(1.0, 2.0))


def picture(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (64, 64, 3), dtype=np.uint8)


def make_memory_file(path: Path, bundle: Bundle) -> list[str]:
    """Three pictures of one place, remembered long ago; returns their ids."""
    cell = H3Grid(LocalFrame(), 13).cell(POSE.position)
    memories = [Memory(new_memory_id(), bundle.encode_image(picture(seed)), POSE, cell,
                       T0_NS / 1e9 - 1000.0, bundle.model_id) for seed in range(3)]
    with Journal.open_writer(path, JournalSpec()) as journal:
        journal.append(memories)
    return [memory.id for memory in memories]


def test_a_picture_is_found_and_the_stream_goes_on(
        lab: Any, tmp_path: Path, bundle_path: Path) -> None:
    path, bundle = tmp_path / 'memory.db', Bundle.load(bundle_path)
    ids = make_memory_file(path, bundle)
    process = lab.start_node('composed', model_path=bundle_path, memory_path=path)
    retrieved = lab.probe.listen(RetrievedMemories, '/spatial_rag/retrieved')
    camera = lab.probe.publisher(Image, '/camera/image_raw')
    poses = lab.probe.publisher(PoseStamped, '/pose', subscribers=2)
    lab.diagnostics.wait_ready('encoder', 'retriever', 'memory_writer', 'transition_predictor')
    stamp_ns = T0_NS

    def send() -> bool:
        nonlocal stamp_ns
        stamp_ns += 50_000_000
        header = Header(stamp=time_from_ns(stamp_ns), frame_id='map')
        poses.publish(PoseStamped(header=header, pose=msg_from_pose(POSE)))
        camera.publish(image_from_rgb(picture(1), header))
        lab.probe.spin(0.05)
        return any(answer.memories for answer in retrieved)
    for seed in range(3):
        answer = lab.probe.call(
            QueryMemoryByImage, '/spatial_rag/query_memory_by_image',
            QueryMemoryByImage.Request(image=image_from_rgb(picture(seed), Header()), k=1))
        assert (answer.code, answer.message) == (answer.OK, '')
        assert [hit.memory.id for hit in answer.memories] == [ids[seed]]
        assert answer.memories[0].distance < 1e-3
    lab.probe.until(send)
    assert {hit.memory.id for hit in retrieved[-1].memories} <= set(ids)
    lab.probe.until(lambda: send() and lab.probe.call(
        MemoryStats, '/spatial_rag/memory_stats', MemoryStats.Request()).index_count > 3)
    process.signal(signal.SIGINT)
    assert process.wait() == 0
    assert 'Traceback' not in process.output
