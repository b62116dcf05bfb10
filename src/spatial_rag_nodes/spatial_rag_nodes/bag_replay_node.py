"""Replays a recording: the stored bytes, at the pace at which they were recorded."""

from __future__ import annotations

from importlib import import_module
import math
import threading
import time

from spatial_rag_core.data.bags.bag_roles import is_own_topic
from spatial_rag_core.data.bags.bag_source import BagMessage, BagSource, BagTopic
from spatial_rag_core.errors import BagError
from spatial_rag_core.streams.metrics import LatencyWindow
from spatial_rag_nodes import qos, subscriber_wait
from spatial_rag_nodes.closing_node import ClosingNode
from spatial_rag_nodes.conversions import time_from_ns
from spatial_rag_nodes.health import Health
from spatial_rag_nodes.parameters import NodeParameters, Parameter

from rclpy.duration import Duration
from rclpy.publisher import Publisher
from rosgraph_msgs.msg import Clock as ClockMsg

PARAMETERS = (
    Parameter('path', '', 'rosbag2 folder, or a .mcap, .db3 or (ROS 1) .bag file'),
    Parameter('rate', 1.0, 'Times as fast as recorded', '', 0.01, 100.0),
    Parameter('loop', False, 'Begin again at the end; the stamps then jump back'),
    Parameter('duration_sec', 0.0, 'Play only so much of the recording; 0: all of it', 's',
              0.0, 1e9),
    Parameter('own_topics', False, 'Publish the recorded topics of this stack and of ROS itself, '
              'too (latent, spatial_rag/…, diagnostics, rosout, clock, …); they would mix with '
              "the running nodes' own"),
    *subscriber_wait.PARAMETERS,
    Parameter('clock_hz', 0.0, 'Publish /clock so often, for nodes with use_sim_time; 0: not '
              'at all', 'Hz', 0.0, 1000.0),
)


class BagReplayNode(ClosingNode):
    """
    Publishes the topics of a recording under their own names, relative to its namespace.

    Rename them as everywhere in ROS: --ros-args -r old/name:=new/name. Ends itself with the
    recording, with exit code 1 where it turned out to be damaged.
    """

    def __init__(self) -> None:
        super().__init__('bag_replay')
        self._config = NodeParameters(self, PARAMETERS)
        if not self._config['path']:
            raise BagError('no recording: set path to a rosbag2 folder, .mcap, .db3 or .bag '
                           'file')
        self._bag = BagSource(self._config['path'])
        self._topics: dict[str, Publisher] = {}
        for topic in self._bag.topics:
            if self._config['own_topics'] or not is_own_topic(topic.name):
                self._offer(topic)
        if not self._topics:
            raise BagError(f'{self._config["path"]}: no topic has a type that is known here; '
                           'install and source the packages of its messages')
        self._clock_publisher = self.create_publisher(ClockMsg, '/clock', 10) if (
            self._config['clock_hz'] > 0) else None
        self._clock_due = time.monotonic()
        self._sent = self._loops = 0
        self._late_ms = LatencyWindow(1000)
        self._ending = threading.Event()
        self._health = Health(self, self._figures)
        self._player = threading.Thread(target=self._play, name='player', daemon=True)

    def start(self) -> None:
        """Begin to play."""
        self._player.start()

    def _offer(self, topic: BagTopic) -> None:
        try:
            package, _, name = topic.type.partition('/msg/')
            kind = getattr(import_module(f'{package}.msg'), name)
        except (ImportError, AttributeError, ValueError):
            self.get_logger().warning(f'{topic.name} is left out: its type {topic.type} is not '
                                      'known here; install and source its package')
            return
        self._topics[topic.name] = self.create_publisher(
            kind, topic.name.lstrip('/'), qos.replayed(bool(topic.transient_local)))

    def _play(self) -> None:
        """Runs in its own thread until the end of the recording."""
        try:
            wait = subscriber_wait.SubscriberWait(list(self._topics.values()), self._config)
            while not wait.is_over():
                if self._ending.wait(0.05):
                    return
            self.get_logger().info(f'playing {self._config["path"]}: '
                                   f'{self._bag.duration_sec:.2f} s, {len(self._topics)} topics')
            self._play_once()
            while self._config['loop'] and not self._is_ending():
                self._loops += 1
                self._play_once()
            if self._is_ending():
                return
            for publisher in self._topics.values():
                publisher.wait_for_all_acked(Duration(seconds=2.0))
            self.get_logger().info(f'played {self._sent} messages')
            self.end_process()
        except Exception as error:
            if self._is_ending():
                return
            self._health.report_error(error)
            self._health.publish()
            self.end_process(1)

    def _is_ending(self) -> bool:
        """After Ctrl-C the context is gone a moment before destroy_node is called."""
        return self._ending.is_set() or not self.context.ok()

    def _play_once(self) -> None:
        """The clock starts with the first message: opening a recording takes its time."""
        start, first_ns = float('nan'), self._bag.start_ns
        limit_sec = self._config['duration_sec'] or float('inf')
        for message in self._bag.messages(list(self._topics)):
            elapsed = (message.stamp_ns - first_ns) / 1e9
            if math.isnan(start):
                start = time.monotonic() - elapsed / self._config['rate']
            due = start + elapsed / self._config['rate']
            if elapsed > limit_sec or not self._wait_until(due, message.stamp_ns):
                return
            self._late_ms.add((time.monotonic() - due) * 1e3)
            self._send(message)

    def _send(self, message: BagMessage) -> None:
        self._topics[message.topic].publish(message.data)
        self._sent += 1

    def _wait_until(self, due: float, stamp_ns: int) -> bool:
        """Sleep until due, /clock going on; returns False where the node is to end."""
        while True:
            left = due - time.monotonic()
            self._publish_clock(stamp_ns - round(max(left, 0.0) * self._config['rate'] * 1e9))
            if left <= 0:
                return not self._is_ending()
            pause = left if self._clock_publisher is None else min(
                left, max(0.0, self._clock_due - time.monotonic()))
            if self._ending.wait(pause):
                return False

    def _publish_clock(self, now_ns: int) -> None:
        now = time.monotonic()
        if self._clock_publisher is None or now < self._clock_due:
            return
        self._clock_due = max(self._clock_due, now) + 1.0 / self._config['clock_hz']
        self._clock_publisher.publish(ClockMsg(clock=time_from_ns(now_ns)))

    def _figures(self) -> dict[str, object]:
        p50, p99 = self._late_ms.percentiles()
        return {'messages_sent': self._sent, 'loops': self._loops, 'late_ms_p50': p50,
                'late_ms_p99': p99, 'path': self._config['path']}

    def close(self) -> None:
        """Stop playing."""
        self._ending.set()
        if self._player.is_alive():
            self._player.join(2.0)
