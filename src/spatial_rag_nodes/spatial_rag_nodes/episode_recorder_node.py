"""Records the running robot as episodes, which models are trained with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
import time
from typing import TYPE_CHECKING

from spatial_rag_core.data.collecting.assembly_config import AssemblyConfig, meaning_of_actions
from spatial_rag_core.data.collecting.episode_assembler import EpisodeAssembler
from spatial_rag_core.data.collecting.episode_run import RunLabels
from spatial_rag_core.errors import EpisodeError
from spatial_rag_core.records import Pose, Vector
from spatial_rag_core.settings import Settings
from spatial_rag_core.streams.metrics import RateWindow
from spatial_rag_nodes import qos, shared_parameters
from spatial_rag_nodes.closing_node import ClosingNode
from spatial_rag_nodes.conversions import ns_from_time, proprio_from_msg
from spatial_rag_nodes.health import ERROR, Health
from spatial_rag_nodes.images import depth_from_msg, rgb_from_msg
from spatial_rag_nodes.motion_inputs import (
    ACTION_PARAMETERS,
    POSE_PARAMETERS,
    subscribe_action,
    subscribe_pose,
)
from spatial_rag_nodes.parameters import NodeParameters, Parameter
from spatial_rag_nodes.picture_inputs import PICTURE_TYPES

from rclpy.clock import Clock, ClockType
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Float32MultiArray

if TYPE_CHECKING:  # it brings h5py
    from spatial_rag_core.data.episodes.episode_sink import EpisodeSink

LOOK_PERIOD_SEC = 0.2
SILENCE_SEC = 2.0
"""Where no picture comes for so long, the running episode is complete."""
_IN_RECIPE = ('rate_hz', 'image_size', 'action_dim', 'action_source', 'pose_axes', 'max_gap_sec',
              'max_episode_sec', 'min_episode_sec')


def _parameters(settings: Settings) -> tuple[Parameter, ...]:
    return (
        Parameter('output_path', '', 'File of episodes to append to; default: episodes.h5 in '
                  'spatial_rag/NAMESPACE of ROS_HOME (~/.ros)'),
        Parameter('rate_hz', 20.0, 'Steady rate of the moments', 'Hz', 0.1, 1000.0),
        Parameter('image_size', settings.image_size, 'Side of the pictures', 'px', 8, 1024),
        shared_parameters.action_dim(settings),
        *POSE_PARAMETERS,
        *ACTION_PARAMETERS,
        Parameter('image_transport', 'raw', 'Topic of the pictures: camera/image_raw (raw) or '
                  'camera/image_raw/compressed', choices=('raw', 'compressed')),
        Parameter('depth_transport', 'raw', 'Topic of the depth maps: camera/depth/image_raw, '
                  '…/compressed or …/compressedDepth; none: no depth is recorded',
                  choices=(*PICTURE_TYPES, 'none')),
        Parameter('depth_tolerance_sec', 0.02, 'A depth map belongs to a picture at most this '
                  'far away in time', 's', 0.0, 1.0),
        Parameter('max_gap_sec', 0.25, 'A longer time without a usable picture begins a new '
                  'episode; in a shorter one the nearest is repeated', 's', 0.0, 60.0),
        Parameter('max_episode_sec', 60.0, 'Longer episodes are cut; what is killed loses so '
                  'much at most', 's', 1.0, 3600.0),
        Parameter('min_episode_sec', 1.0, 'Shorter episodes are left out', 's', 0.0, 3600.0),
        Parameter('split', 'train', 'What the episodes are for',
                  choices=('train', 'valid', 'test')),
        Parameter('robot', '', 'Name of this robot, written into each episode'),
        Parameter('map_id', '', 'Name of the map, written into each episode'),
    )


class EpisodeRecorderNode(ClosingNode):
    """Subscribes to camera, depth, pose, actions and proprio; appends to a file of episodes."""

    def __init__(self) -> None:
        super().__init__('episode_recorder')
        parameters = self._config = NodeParameters(
            self, _parameters(Settings.from_environment()))
        self._assembler = EpisodeAssembler(_assembly_config(parameters))
        self.path = shared_parameters.file_in_home(
            parameters['output_path'], 'episodes.h5', parameters.namespace)
        self._sink = _open_sink(self.path, parameters)
        self._lost = 0
        self._frame_sec: float | None = None
        self._rate = RateWindow()
        self._health = Health(self, self._figures)
        subscribe_pose(self, self._health, parameters, self._on_pose)
        subscribe_action(self, self._health, parameters, self._on_action)
        self._subscribe('camera/image_raw', parameters['image_transport'], self._on_picture)
        if parameters['depth_transport'] != 'none':
            self._subscribe('camera/depth/image_raw', parameters['depth_transport'],
                            self._on_depth)
        self._listen(Float32MultiArray, 'proprio', self._on_proprio)
        self.create_timer(LOOK_PERIOD_SEC, self._health.guarded(self._look),
                          clock=Clock(clock_type=ClockType.STEADY_TIME))
        self.get_logger().info(f'recording to {self.path} ({self._sink.count} episodes so far)')

    def _subscribe(self, topic: str, transport: str, callback: Callable[..., None]) -> None:
        kind, suffix = PICTURE_TYPES[transport]
        self._listen(kind, topic + suffix, callback)

    def _listen(self, kind: type, topic: str, callback: Callable[..., None]) -> None:
        self.create_subscription(kind, topic, self._health.guarded(callback), qos.sensor(),
                                 qos_overriding_options=qos.overridable())

    def _on_picture(self, msg: Image | CompressedImage) -> None:
        self._frame_sec = time.monotonic()
        self._rate.tick(time.monotonic_ns())
        self._assembler.add_frame(self._stamp_ns(msg), lambda: rgb_from_msg(msg))
        self._hand_over()

    def _on_depth(self, msg: Image | CompressedImage) -> None:
        self._assembler.add_depth(self._stamp_ns(msg), lambda: depth_from_msg(msg))

    def _on_pose(self, stamp_ns: int, pose: Pose) -> None:
        self._assembler.add_pose(stamp_ns, pose)
        self._hand_over()

    def _on_action(self, action: Vector) -> None:
        self._assembler.add_action(action)

    def _on_proprio(self, msg: Float32MultiArray) -> None:
        self._assembler.add_proprio(proprio_from_msg(msg))

    def _stamp_ns(self, msg: Image | CompressedImage) -> int:
        stamp_ns = ns_from_time(msg.header.stamp)
        if stamp_ns == 0:
            self._health.report('no stamp', 'pictures carry no stamp; the time of arrival is '
                                'taken: let the camera driver stamp them')
            stamp_ns = self.get_clock().now().nanoseconds
        return stamp_ns

    def _hand_over(self) -> None:
        for episode in self._assembler.take():
            self._sink.put(episode)

    def _look(self) -> None:
        """Tell what is wrong, and complete the episode of a camera that fell silent."""
        if self._frame_sec is not None and time.monotonic() - self._frame_sec > SILENCE_SEC:
            self._frame_sec = None
            self._assembler.finish()
            self._hand_over()
        failure, waiting = self._sink.failure, self._sink.backlog
        self._health.hold('file', failure and f'{failure}; {waiting} episodes wait', ERROR)
        if self._sink.lost > self._lost:
            self._health.report('lost', f'{self._sink.lost} episodes could not be written and '
                                'are lost', ERROR)
            self._lost = self._sink.lost
        for kind, message in self._assembler.findings.take_news():
            self._health.report(kind, f'{kind.replace("_", " ")}: {message}')

    def _figures(self) -> dict[str, object]:
        return {'camera_hz': self._rate.rate_hz(time.monotonic_ns()),
                'frames_in': self._rate.count, 'running_frames': self._assembler.running_frames,
                'frames_in_episodes': self._assembler.frame_count,
                'episodes_stored': self._sink.stored, 'episodes_lost': self._sink.lost,
                'backlog': self._sink.backlog, 'episodes_in_file': self._sink.count,
                **self._assembler.findings.counts, 'output_path': self.path}

    def close(self) -> None:
        """Store the running episode."""
        self._health.guarded(self._assembler.finish)()
        self._hand_over()
        if not self._sink.close():
            self.get_logger().error(f'{self._sink.backlog} episodes could not be written: '
                                    f'{self._sink.failure or "the disk does not answer"}')


def _assembly_config(parameters: NodeParameters) -> AssemblyConfig:
    """Return how episodes are made of the streams."""
    return AssemblyConfig(
        **{name: parameters[name] for name in (*_IN_RECIPE, 'pose_tolerance_sec',
                                               'action_timeout_sec', 'depth_tolerance_sec')
           if name != 'action_source'},
        action_source='motion' if parameters['action_source'] == 'motion' else 'topic',
        labels=RunLabels(parameters['map_id'], parameters['robot'], 'live'))


def _open_sink(path: Path, parameters: NodeParameters) -> EpisodeSink:
    """Raises EpisodeError where the file cannot be written, or h5py is not installed."""
    try:
        from spatial_rag_core.data.episodes.episode_sink import EpisodeSink
    except ModuleNotFoundError as error:
        raise EpisodeError(f'{error}; a recorder needs what training needs: '
                           'pip install -r requirements/training.txt') from error
    recipe = {'command': 'record', **meaning_of_actions(parameters['action_source']),
              **{name: parameters[name] for name in _IN_RECIPE}}
    return EpisodeSink(path, parameters['split'], recipe, parameters['map_id'])
