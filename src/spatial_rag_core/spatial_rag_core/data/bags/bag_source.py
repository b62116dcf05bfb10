"""A recording, rosbag2 (MCAP or SQLite) or ROS 1, read without ROS on the `rosbags` library."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
import heapq
from operator import itemgetter
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from spatial_rag_core.data.bags.bag_files import bag_error, find_recording, read_error
from spatial_rag_core.data.bags.bag_reader import open_reader
from spatial_rag_core.data.bags.bag_types import BagTypes
from spatial_rag_core.errors import BagError

from rosbags.interfaces import (
    Connection,
    ConnectionExtRosbag1,
    ConnectionExtRosbag2,
    QosDurability,
    QosReliability,
)
from rosbags.rosbag1 import Reader as Ros1Reader
from rosbags.rosbag2 import Reader


@dataclass(frozen=True)
class BagTopic:
    """
    A recorded topic.

    type: such as 'sensor_msgs/msg/Image'.  count: stored messages.
    reliable: what its publishers offered; None where the recording does not say.
    transient_local: whether a publisher kept its last messages for late subscribers.
    """

    name: str
    type: str
    count: int
    reliable: bool | None = None
    transient_local: bool = False


class BagMessage(NamedTuple):
    """One stored message: data are its CDR bytes; stamp_ns is its receipt, Unix time [ns]."""

    topic: str
    type: str
    stamp_ns: int
    data: bytes


class BagSource:
    """
    An open recording: a folder with metadata.yaml, or one .mcap, .db3 or (ROS 1) .bag file.

    It is open from birth until close() or the end of its `with` block.  Raises BagError, at
    birth or while messages are read, for whatever is missing, damaged or not supported.

    topics: by name.  start_ns, end_ns: receipt of the first and of the last message [Unix ns].
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._file = find_recording(self.path)
        self._stack = ExitStack()
        try:
            self._reader = self._stack.enter_context(open_reader(self._file))
            self.topics = _topics(self._reader.connections)
            self.start_ns = self._reader.start_time
            self.end_ns = self._reader.end_time - 1  # the library's end is one past the last
            self._is_ros1 = isinstance(self._reader, Ros1Reader)
            self._types = BagTypes(self._reader.connections, self._is_ros1)
            message_count = self._reader.message_count
        except Exception as error:  # a damaged file makes the library fail in any way
            self._stack.close()
            raise bag_error(self._file, error) from error
        if not message_count:
            self._stack.close()
            raise BagError(f'{self.path} holds no messages; record again, and check with '
                           '`ros2 topic hz` that the topics are published')

    def __enter__(self) -> BagSource:
        """Return itself: it is open already."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """Close the recording."""
        self.close()

    def close(self) -> None:
        """Close the recording; a second call does nothing."""
        self._stack.close()

    @property
    def duration_sec(self) -> float:
        """Time from the first message to the last [s]."""
        return (self.end_ns - self.start_ns) / 1e9

    def topic(self, name: str) -> BagTopic:
        """Return the topic of that name; raises BagError that lists the topics there are."""
        for topic in self.topics:
            if topic.name == name:
                return topic
        raise BagError(f'{self.path} has no topic {name!r}; it has '
                       + ', '.join(topic.name for topic in self.topics))

    def messages(self, topics: Collection[str] | None = None, start_ns: int | None = None,
                 end_ns: int | None = None) -> Iterator[BagMessage]:
        """
        Read in time order, both ends included; topics None reads all.

        Raises BagError for a topic that is not there at once, and for damage from the iterator,
        after everything before it was yielded.  A full read that yields fewer messages than the
        recording says it holds ends with BagError, too.
        """
        chosen = self.topics if topics is None else tuple(map(self.topic, sorted(set(topics))))
        promised = sum(topic.count for topic in chosen) if start_ns is end_ns is None else 0
        return self._read({topic.name for topic in chosen}, start_ns, end_ns, promised)

    def first(self, topic: str) -> Any:
        """Return the first message of a topic, deserialised; raises BagError if it has none."""
        for message in self.messages([self.topic(topic).name]):
            return self.decode(message)
        raise BagError(f'{self.path} has no message on topic {topic}')

    def decode(self, message: BagMessage) -> Any:
        """
        Deserialise into an object with the fields of the ROS message, arrays as NumPy arrays.

        The type's definition comes from the recording, else from ROS 2 Jazzy; raises BagError
        where neither knows it, and for bytes that do not fit it.
        """
        return self._types.decode(message.type, message.data, message.topic)

    def _read(self, names: set[str], start_ns: int | None, end_ns: int | None, promised: int,
              ) -> Iterator[BagMessage]:
        stored = self._stored(names, start_ns, None if end_ns is None else end_ns + 1)
        count = 0
        while True:
            try:
                entry = next(stored, None)
                message = entry and self._message(*entry)
            except Exception as error:  # a damaged file makes the library fail in any way
                raise read_error(self._file, count, error) from error
            if message is None:
                break
            count += 1
            yield message
        if count < promised:
            raise read_error(self._file, count, f'{promised} are listed in it')

    def _message(self, conn: Connection, stamp_ns: int, data: bytes) -> BagMessage:
        if self._is_ros1:
            data = self._types.cdr_of_ros1(conn.msgtype, data, conn.topic)
        return BagMessage(conn.topic, conn.msgtype, stamp_ns, bytes(data))

    def _stored(self, names: set[str], start_ns: int | None, stop_ns: int | None,
                ) -> Iterator[tuple[Connection, int, bytes]]:
        """Merge the files of a split recording by time; the library reads them in turn."""
        parts: Any = [self._reader]  # where messages are compressed, it decompresses each
        if isinstance(self._reader, Reader) and self._reader.compression_mode != 'message':
            parts = getattr(self._reader.storage, 'storages', [self._reader.storage])
        streams = [part.messages(chosen, start_ns, stop_ns) for part in parts
                   if (chosen := [conn for conn in part.connections if conn.topic in names])]
        return heapq.merge(*streams, key=itemgetter(1))


def _topics(connections: Collection[Connection]) -> tuple[BagTopic, ...]:
    grouped: dict[tuple[str, str], list[Connection]] = {}
    for connection in connections:
        grouped.setdefault((connection.topic, connection.msgtype), []).append(connection)
    return tuple(_topic(name, msgtype, grouped[name, msgtype])
                 for name, msgtype in sorted(grouped))


def _topic(name: str, msgtype: str, connections: list[Connection]) -> BagTopic:
    """Join publishers' offers into the one that suits every subscriber that matched one."""
    offers = [qos for conn in connections if isinstance(conn.ext, ConnectionExtRosbag2)
              for qos in conn.ext.offered_qos_profiles]
    known = {QosReliability.RELIABLE, QosReliability.BEST_EFFORT}
    is_latched = any(isinstance(conn.ext, ConnectionExtRosbag1) and conn.ext.latching
                     for conn in connections)
    stated = [qos.reliability for qos in offers if qos.reliability in known]
    return BagTopic(
        name, msgtype, sum(conn.msgcount for conn in connections),
        reliable=QosReliability.RELIABLE in stated if stated else None,
        transient_local=is_latched or any(
            qos.durability is QosDurability.TRANSIENT_LOCAL for qos in offers))
