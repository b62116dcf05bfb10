"""
What does the visualizer cost? Bytes and CPU a second, at 20 frames a second, one JSON line each.

Three times: nobody listens; a display has just subscribed to everything and gets the whole
memory; and the minute after that. `--memories N`: how many (100 000). `--seconds S`: of each (30).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
import json
import os
from pathlib import Path
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.storing.identifiers import new_memory_id
from spatial_rag_core.memory.tables.schema import JournalSpec
from spatial_rag_core.models.bundle_metadata import read_metadata
from spatial_rag_core.records import as_action, as_latent, Hit, Memory, Pose, Position
from spatial_rag_core.spatial.h3_cells import H3Grid
from spatial_rag_core.spatial.local_frame import LocalFrame
from spatial_rag_msgs.msg import LatentStamped, RetrievedMemories
from spatial_rag_nodes import qos
from spatial_rag_nodes.conversions import (
    msg_from_hit,
    msg_from_latent,
    msg_from_pose,
    time_from_ns,
)
from spatial_rag_nodes.images import jpeg_from_rgb

from nav_msgs.msg import Path as PathMsg
import numpy as np
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import Image
from std_msgs.msg import Float32MultiArray, Header
from visualization_msgs.msg import MarkerArray

RATE_HZ, K, STEP_M = 20.0, 8, 0.05
CPU_LIMIT, BYTES_LIMIT = 0.05, 1e6
LAST_DOMAIN = 101  # above it, DDS ports meet the ephemeral ports of Linux
GRID = H3Grid(LocalFrame(), JournalSpec().h3_resolution)
TOPICS = {'markers': (MarkerArray, 'markers'), 'path': (PathMsg, 'predicted_path'), **{
    name: (Image, f'view/{name}') for name in ('camera', 'decoded', 'decoded_next',
                                               'best_memory')}}


def free_domain() -> int:
    """Return a ROS_DOMAIN_ID in which nothing runs on this machine now (DDSI 9.6.1.1)."""
    ports = {int(line.split()[1].rpartition(':')[2], 16)
             for line in Path('/proc/net/udp').read_text().splitlines()[1:]}
    taken = {(port - 7400) // 250 for port in ports if port >= 7400}
    return random.choice(sorted(set(range(1, LAST_DOMAIN + 1)) - taken))


class Drive:
    """A robot that walks at random, 5 cm a frame, and remembers every frame."""

    def __init__(self, model_id: str) -> None:
        self._model_id, self._chance = model_id, np.random.default_rng(0)
        self._x = self._y = self._heading = 0.0
        self._count = 0
        self._start_sec = time.time() - 86_400.0
        self._jpeg = jpeg_from_rgb(
            self._chance.integers(0, 256, (64, 64, 3)).astype(np.uint8), 90)

    def memory(self) -> Memory:
        """Go on by one frame."""
        self._heading += self._chance.normal(0.0, 0.1)
        self._x += STEP_M * np.cos(self._heading)
        self._y += STEP_M * np.sin(self._heading)
        self._count += 1
        place = Position(float(self._x), float(self._y))
        return Memory(new_memory_id(), as_latent(self._chance.normal(size=32)), Pose(place),
                      GRID.cell(place), self._start_sec + self._count / RATE_HZ, self._model_id,
                      as_action([1.0, 0.0]), thumbnail=self._jpeg)


class Stream:
    """Plays encoder, writer, retriever and predictor at RATE_HZ; listens as RViz does."""

    def __init__(self, journal: Journal, drive: Drive, model_id: str) -> None:
        self._journal, self._drive, self._model_id = journal, drive, model_id
        self._recent: list[Memory] = []
        self.bytes = dict.fromkeys(TOPICS, 0)
        self.points = 0
        self._node = Node('bench')
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        self._publishers = [self._node.create_publisher(kind, topic, qos.stream())
                            for kind, topic in ((LatentStamped, 'spatial_rag/latent'),
                                                (LatentStamped, 'spatial_rag/latent_next'),
                                                (RetrievedMemories, 'spatial_rag/retrieved'),
                                                (Float32MultiArray, 'actions'))]

    def subscribe(self) -> None:
        for name, (kind, topic) in TOPICS.items():
            self._node.create_subscription(
                kind, f'spatial_rag/{topic}', self._counter(name), 100, raw=True)

    def _counter(self, name: str) -> Callable[[bytes], None]:
        def count(raw: bytes) -> None:
            self.bytes[name] += len(raw)
        return count

    def run(self, seconds: float) -> None:
        begun = time.perf_counter()
        for frame in range(round(seconds * RATE_HZ)):
            self._frame()
            while (left := begun + (frame + 1) / RATE_HZ - time.perf_counter()) > 0.0:
                self._executor.spin_once(timeout_sec=left)

    def _frame(self) -> None:
        memory = self._drive.memory()
        self._journal.append([memory])
        self._recent = [*self._recent[-200:], memory]
        header = Header(stamp=time_from_ns(time.time_ns()), frame_id='camera')
        latent, predicted, retrieved, actions = self._publishers
        actions.publish(Float32MultiArray(data=[1.0, 0.0]))
        latent.publish(msg_from_latent(memory.vector, header, self._model_id, memory.thumbnail))
        predicted.publish(msg_from_latent(memory.vector, header, self._model_id))
        retrieved.publish(RetrievedMemories(
            header=header, model_id=self._model_id, pose=msg_from_pose(memory.pose),
            pose_valid=True, memories=[msg_from_hit(Hit(each, 0.0, 0.0), 'map')
                                       for each in self._recent[::25][:K]]))


def cpu_sec(pid: int) -> float:
    """Return the CPU time that a process has taken [s]."""
    fields = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def resident_bytes(pid: int) -> int:
    return int(Path(f'/proc/{pid}/statm').read_text().split()[1]) * os.sysconf('SC_PAGE_SIZE')


def measure(phase: str, stream: Stream, pid: int, seconds: float, memories: int) -> bool:
    """Tell one phase; returns whether it kept within the limits."""
    if not resident_bytes(pid):
        sys.exit('the visualizer has ended')
    before, used = dict(stream.bytes), cpu_sec(pid)
    begun = time.perf_counter()
    stream.run(seconds)
    elapsed = time.perf_counter() - begun
    sent = {name: round((total - before[name]) / elapsed) for name, total in stream.bytes.items()}
    share, total = (cpu_sec(pid) - used) / elapsed, sum(sent.values())
    holds = {'cpu': share <= CPU_LIMIT, 'bytes': total <= BYTES_LIMIT}
    print(json.dumps({
        'question': 'what does the visualizer cost?', 'phase': phase, 'memories': memories,
        'frames_hz': RATE_HZ, 'seconds': round(elapsed, 1), 'cpu_of_a_core': round(share, 4),
        'bytes_per_sec': total, **{f'{name}_bytes_per_sec': size for name, size in sent.items()},
        'resident_mb': round(resident_bytes(pid) / 1e6), 'limits': holds}), flush=True)
    return all(holds.values())


def bench(model: Path, path: Path, memories: int, seconds: float) -> bool:
    """Fill a memory, start the visualizer over it and measure; returns whether limits held."""
    model_id = read_metadata(model).model_id
    drive = Drive(model_id)
    with Journal.open_writer(path, JournalSpec()) as journal:
        journal.append([drive.memory() for _ in range(memories)])
        node = subprocess.Popen([
            shutil.which('visualizer_node') or 'visualizer_node', '--ros-args',
            '-p', f'memory_path:={path}', '-p', f'model_path:={model}'])
        try:
            rclpy.init()
            stream = Stream(journal, drive, model_id)
            stream.run(25.0)  # starts, and reads the memory
            kept = [measure('nobody listens', stream, node.pid, seconds, memories)]
            stream.subscribe()
            kept.append(measure('a display has just subscribed', stream, node.pid, seconds,
                                memories))
            kept.append(measure('a display listens', stream, node.pid, 2 * seconds, memories))
            rclpy.shutdown()
        finally:
            node.send_signal(signal.SIGINT)
            node.wait(10.0)
    return all(kept)


def main() -> int:
    """Return 1 where a limit does not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--memories', type=int, default=100_000)
    parser.add_argument('--seconds', type=float, default=30.0)
    parser.add_argument('--model', type=Path, default=Path(__file__).parents[1] / (
        'src/spatial_rag_bringup/models/encoder_transition.pt'))
    arguments = parser.parse_args()
    os.environ['ROS_DOMAIN_ID'] = str(free_domain())
    os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
    with tempfile.TemporaryDirectory() as folder:
        return 0 if bench(arguments.model, Path(folder) / 'memory.db', arguments.memories,
                          arguments.seconds) else 1


if __name__ == '__main__':
    sys.exit(main())
