"""Recordings of a robot that drives along x at 1 m/s and shows the number of each frame."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
import sqlite3
from typing import Any, NamedTuple

import cv2
import numpy as np
from rosbags.rosbag1 import Writer as Ros1Writer
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import get_types_from_msg, get_typestore, Stores

T0_NS = 1_700_000_000_000_000_000
STORES = {'ros1': get_typestore(Stores.ROS1_NOETIC), 'ros2': get_typestore(Stores.ROS2_JAZZY)}
STORES['ros1'].register(get_types_from_msg(
    'geometry_msgs/TransformStamped[] transforms', 'tf2_msgs/msg/TFMessage'))


class Stored(NamedTuple):
    """A message to be recorded."""

    stamp_ns: int
    topic: str
    msgtype: str
    message: Any


@dataclass(frozen=True)
class Drive:
    """
    What is recorded; times are seconds since T0_NS.

    has_frame, has_pose: whether there is one of that number.  spoil: changes what is stored.
    tf: poses are transforms, from map by odom and base_link to camera, which is 0.2 m ahead of
    base_link; that from map to odom comes once in 0.4 s.
    """

    duration_sec: float = 3.0
    camera_hz: float = 20.0
    pose_hz: float = 50.0
    compressed: bool = False
    depth: bool = False
    actions: bool = False
    proprio: bool = False
    tf: bool = False
    start_ns: int = T0_NS
    has_frame: Callable[[int], bool] = lambda number: True
    has_pose: Callable[[int], bool] = lambda number: True
    spoil: Callable[[Stored], Stored] = lambda stored: stored
    topics: dict[str, str] = field(default_factory=dict)

    def write(self, path: Path, plugin: str = 'mcap') -> Path:
        """Record it into a folder, or for plugin 'ros1' into a file; returns its path."""
        store = STORES['ros1' if plugin == 'ros1' else 'ros2']
        stored = sorted(map(self.spoil, self._messages(_Maker(store, plugin == 'ros1'))),
                        key=lambda one: one.stamp_ns)
        if plugin == 'ros1':
            writer: Any = Ros1Writer(path.with_suffix('.bag'))
        else:
            kind = StoragePlugin.MCAP if plugin == 'mcap' else StoragePlugin.SQLITE3
            writer = Writer(path, version=9, storage_plugin=kind)
        serialize = store.serialize_ros1 if plugin == 'ros1' else store.serialize_cdr
        with writer:
            connections = {
                topic: writer.add_connection(self.topics.get(topic, topic), msgtype,
                                             typestore=store)
                for topic, msgtype in {one.topic: one.msgtype for one in stored}.items()}
            for one in stored:
                writer.write(connections[one.topic], one.stamp_ns,
                             serialize(one.message, one.msgtype))
        return path.with_suffix('.bag') if plugin == 'ros1' else path

    def _messages(self, make: _Maker) -> Iterator[Stored]:
        for number in filter(self.has_pose, range(round(self.duration_sec * self.pose_hz))):
            stamp_ns = self.start_ns + round(number * 1e9 / self.pose_hz)
            if self.tf:
                yield from make.transforms(stamp_ns, number, number / self.pose_hz)
            else:
                yield make.pose(stamp_ns, number / self.pose_hz)
        for number in filter(self.has_frame, range(round(self.duration_sec * self.camera_hz))):
            stamp_ns = self.start_ns + round(number * 1e9 / self.camera_hz)
            yield make.picture(stamp_ns, number, self.compressed)
            if self.depth:
                yield make.depth(stamp_ns)
            if self.actions:
                yield make.numbers(stamp_ns + 2_000_000, '/actions', [number, -number])
            if self.proprio:
                yield make.numbers(stamp_ns + 1_000_000, '/proprio', [0.5 * number])


def damaged(folder: Path, messages: int = 350) -> Path:
    """Let a recording of plugin sqlite3 end early, against what its metadata says."""
    (file,) = folder.glob('*.db3')
    with closing(sqlite3.connect(file)) as database, database:
        database.execute('DELETE FROM messages WHERE id > ?', (messages,))
    return folder


class _Maker:
    """Makes messages of one version of ROS."""

    def __init__(self, store: Any, is_ros1: bool) -> None:
        self._types, self._is_ros1 = store.types, is_ros1

    def _header(self, stamp_ns: int, frame_id: str) -> Any:
        stamp = self._types['builtin_interfaces/msg/Time'](stamp_ns // 10**9, stamp_ns % 10**9)
        first = (7,) if self._is_ros1 else ()
        return self._types['std_msgs/msg/Header'](*first, stamp, frame_id)

    def pose(self, stamp_ns: int, x: float) -> Stored:
        types, name = self._types, 'geometry_msgs/msg/PoseStamped'
        pose = types['geometry_msgs/msg/Pose'](
            types['geometry_msgs/msg/Point'](x, 0.0, 0.0),
            types['geometry_msgs/msg/Quaternion'](0.0, 0.0, 0.0, 1.0))
        return Stored(stamp_ns, '/pose', name, types[name](self._header(stamp_ns, 'map'), pose))

    def transforms(self, stamp_ns: int, number: int, x: float) -> Iterator[Stored]:
        """The robot is at x; odometry is 3 m behind."""
        if number == 0:
            yield self._transform('/tf_static', stamp_ns, 'base_link', 'camera', 0.2)
        if number % 20 == 0:
            yield self._transform('/tf', stamp_ns, 'map', 'odom', 3.0)
        yield self._transform('/tf', stamp_ns, 'odom', 'base_link', x - 3.0)

    def _transform(self, topic: str, stamp_ns: int, parent: str, child: str, x: float) -> Stored:
        types, name = self._types, 'tf2_msgs/msg/TFMessage'
        moved = types['geometry_msgs/msg/TransformStamped'](
            self._header(stamp_ns, parent), child, types['geometry_msgs/msg/Transform'](
                types['geometry_msgs/msg/Vector3'](x, 0.0, 0.0),
                types['geometry_msgs/msg/Quaternion'](0.0, 0.0, 0.0, 1.0)))
        return Stored(stamp_ns, topic, name, types[name]([moved]))

    def picture(self, stamp_ns: int, number: int, compressed: bool) -> Stored:
        rgb = np.full((16, 24, 3), (number % 256, 10, 200), np.uint8)
        header = self._header(stamp_ns, 'camera')
        if compressed:
            name = 'sensor_msgs/msg/CompressedImage'
            png = cv2.imencode('.png', rgb[..., ::-1])[1].ravel()
            return Stored(stamp_ns, '/camera/image_raw/compressed', name,
                          self._types[name](header, 'png', png))
        name = 'sensor_msgs/msg/Image'
        return Stored(stamp_ns, '/camera/image_raw', name, self._types[name](
            header, 16, 24, 'rgb8', 0, 72, rgb.ravel()))

    def depth(self, stamp_ns: int) -> Stored:
        name = 'sensor_msgs/msg/Image'
        raw = np.full((16, 24), 1500, np.uint16)
        return Stored(stamp_ns, '/camera/depth/image_raw', name, self._types[name](
            self._header(stamp_ns, 'camera'), 16, 24, '16UC1', 0, 48,
            raw.ravel().view(np.uint8)))

    def numbers(self, stamp_ns: int, topic: str, values: list[float]) -> Stored:
        name = 'std_msgs/msg/Float32MultiArray'
        layout = self._types['std_msgs/msg/MultiArrayLayout']([], 0)
        return Stored(stamp_ns, topic, name,
                      self._types[name](layout, np.array(values, np.float32)))
