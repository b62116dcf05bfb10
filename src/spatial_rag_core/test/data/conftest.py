"""Recordings that the tests write for themselves."""

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import get_typestore, Stores

TYPES = get_typestore(Stores.ROS2_JAZZY)
POSE = 'geometry_msgs/msg/PoseStamped'

WriteBag = Callable[..., Path]


def latched() -> Qos:
    """Reliable and transient local, as a map server offers."""
    ever = QosTime(2147483647, 4294967295)
    return Qos(QosHistory.KEEP_LAST, 1, QosReliability.RELIABLE, QosDurability.TRANSIENT_LOCAL,
               ever, ever, QosLiveliness.AUTOMATIC, ever, False)


def _pose_bytes(x: float, stamp_ns: int = 0) -> bytes:
    """CDR bytes of a PoseStamped in frame `map`."""
    types = TYPES.types
    stamp = types['builtin_interfaces/msg/Time'](stamp_ns // 10**9, stamp_ns % 10**9)
    pose = types['geometry_msgs/msg/Pose'](
        types['geometry_msgs/msg/Point'](x, 0.0, 0.0),
        types['geometry_msgs/msg/Quaternion'](0.0, 0.0, 0.0, 1.0))
    message = types[POSE](types['std_msgs/msg/Header'](stamp, 'map'), pose)
    return bytes(TYPES.serialize_cdr(message, POSE))


@pytest.fixture(params=['mcap', 'sqlite3'])
def plugin(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def pose_bytes() -> Callable[..., bytes]:
    return _pose_bytes


@pytest.fixture
def write_bag(tmp_path: Path) -> WriteBag:
    """Write /pose with one message per stamp [ns], and an empty /map, into a new folder."""
    def write(plugin: str, stamps_ns: Iterable[int], name: str = 'bag') -> Path:
        folder = tmp_path / name
        storage = StoragePlugin.MCAP if plugin == 'mcap' else StoragePlugin.SQLITE3
        with Writer(folder, version=9, storage_plugin=storage) as writer:
            poses = writer.add_connection('/pose', POSE, typestore=TYPES)
            writer.add_connection('/map', 'nav_msgs/msg/OccupancyGrid', typestore=TYPES,
                                  offered_qos_profiles=[latched()])
            for stamp_ns in stamps_ns:
                writer.write(poses, stamp_ns, _pose_bytes(stamp_ns / 1e9, stamp_ns))
        return folder
    return write


@pytest.fixture
def recorded_file(plugin: str, write_bag: WriteBag) -> Path:
    """One file of about 50 KB with 400 poses, 10 ms apart; metadata.yaml lies beside it."""
    folder = write_bag(plugin, range(0, 4_000_000_000, 10_000_000))
    return next(file for file in folder.iterdir() if file.suffix != '.yaml')
