"""Small recordings."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import get_typestore, Stores

TYPES = get_typestore(Stores.ROS2_JAZZY)
IMAGE, COMPRESSED = 'sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage'
POSE, ODOMETRY = 'geometry_msgs/msg/PoseStamped', 'nav_msgs/msg/Odometry'
ACTIONS, TWIST = 'std_msgs/msg/Float32MultiArray', 'geometry_msgs/msg/Twist'
CONTRACT = (('/camera/image_raw/compressed', COMPRESSED), ('/pose', POSE))


def pose_bytes(kind: str, frame: str) -> bytes:
    """Serialized message at the origin; also for types of which nobody reads more."""
    types = TYPES.types
    vector, point = types['geometry_msgs/msg/Vector3'], types['geometry_msgs/msg/Point']
    header = types['std_msgs/msg/Header'](types['builtin_interfaces/msg/Time'](0, 0), frame)
    pose = types['geometry_msgs/msg/Pose'](
        point(0.0, 0.0, 0.0), types['geometry_msgs/msg/Quaternion'](0.0, 0.0, 0.0, 1.0))
    if kind != ODOMETRY:
        return bytes(TYPES.serialize_cdr(types[POSE](header, pose), POSE))
    twist = types['geometry_msgs/msg/Twist'](vector(0.0, 0.0, 0.0), vector(0.0, 0.0, 0.0))
    odometry = types[ODOMETRY](
        header, 'base', types['geometry_msgs/msg/PoseWithCovariance'](pose, np.zeros(36)),
        types['geometry_msgs/msg/TwistWithCovariance'](twist, np.zeros(36)))
    return bytes(TYPES.serialize_cdr(odometry, ODOMETRY))


def write_bag(folder: Path, topics: Iterable[tuple[str, str]] = CONTRACT,
              duration_sec: float = 10.0, frame: str = 'world') -> Path:
    """Two messages on each topic, at the beginning and the end."""
    with Writer(folder, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connections = [writer.add_connection(name, kind, typestore=TYPES) for name, kind in topics]
        for stamp_ns in (10**9, 10**9 + round(duration_sec * 1e9)):
            for connection in connections:
                writer.write(connection, stamp_ns, pose_bytes(connection.msgtype, frame))
    return folder


def write_drive(folder: Path, start_ns: int, seconds: float, rate_hz: float = 20.0) -> Path:
    """A robot that drives along x at 1 m/s, with pictures of 64 px, poses and actions."""
    types = TYPES.types
    kinds = {'/camera/image_raw': IMAGE, '/pose': POSE, '/actions': ACTIONS}
    with Writer(folder, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connections = {name: writer.add_connection(name, kind, typestore=TYPES)
                       for name, kind in kinds.items()}
        for step in range(round(seconds * rate_hz)):
            stamp_ns = start_ns + round(step / rate_hz * 1e9)
            stamp = types['builtin_interfaces/msg/Time'](stamp_ns // 10**9, stamp_ns % 10**9)
            header = types['std_msgs/msg/Header'](stamp, 'map')
            pixels = np.full(64 * 64 * 3, step % 256, np.uint8)
            messages = {
                '/pose': types[POSE](header, types['geometry_msgs/msg/Pose'](
                    types['geometry_msgs/msg/Point'](step / rate_hz, 0.0, 0.0),
                    types['geometry_msgs/msg/Quaternion'](0.0, 0.0, 0.0, 1.0))),
                '/actions': types[ACTIONS](types['std_msgs/msg/MultiArrayLayout']([], 0),
                                           np.float32([1.0, 0.0])),
                '/camera/image_raw': types[IMAGE](header, 64, 64, 'rgb8', 0, 64 * 3, pixels)}
            for name, message in messages.items():
                writer.write(connections[name], stamp_ns,
                             bytes(TYPES.serialize_cdr(message, kinds[name])))
    return folder
