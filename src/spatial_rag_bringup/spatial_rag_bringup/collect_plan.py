"""From the arguments of collect.launch.py to what records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from spatial_rag_bringup.defaults import state_folder
from spatial_rag_bringup.nodes_to_start import given, NodeToStart
from spatial_rag_bringup.parameter_values import ParameterFile
from spatial_rag_bringup.robot_plan import parameter_file
from spatial_rag_bringup.rosbag2 import has_rosbag2
from spatial_rag_bringup.topic_names import full_name, renamings, without_transport
from spatial_rag_core.errors import ConfigurationError

_RECORDER = 'episode_recorder'
_POSES = {'pose': ('pose_topic',), 'odometry': ('odom_topic',),
          'tf': ('tf_topic', 'tf_static_topic')}
_ACTIONS = {'topic': 'actions_topic', 'twist': 'cmd_vel_topic'}


@dataclass(frozen=True)
class CollectPlan:
    """recorder: a node of ours, or the words of a command.  output: what it writes."""

    recorder: NodeToStart | tuple[str, ...]
    output: str


def plan_collect(values: Mapping[str, str]) -> CollectPlan:
    """values: launch arguments by name.  Raises ConfigurationError."""
    return _episodes(values) if values['format'] == 'episodes' else _bag(values)


def _episodes(values: Mapping[str, str]) -> CollectPlan:
    output = values['output'] or str(state_folder(values['namespace']) / 'episodes.h5')
    depth = {} if values['depth'] == 'true' else {'depth_transport': 'none'}
    parameters = {'use_sim_time': values['use_sim_time'] == 'true', 'output_path': output,
                  'split': values['split'], **depth, **given(values)}
    return CollectPlan(NodeToStart(
        'episode_recorder_node', _RECORDER, values['namespace'], str(parameter_file(values)),
        parameters, tuple(renamings(values))), output)


def _bag(values: Mapping[str, str]) -> CollectPlan:
    if not has_rosbag2():
        raise ConfigurationError('a bag is recorded by `ros2 bag`, which is not installed: '
                                 'install ros-<distribution>-ros2bag, or choose '
                                 'format:=episodes')
    now = datetime.now(timezone.utc)
    output = Path(values['output'] or f'recording-{now:%Y%m%dT%H%M%SZ}').expanduser()
    if output.exists():
        raise ConfigurationError(f'{output} exists; a bag is never recorded over another: name a '
                                 'new folder with output:=…')
    sim_time = ('--use-sim-time',) if values['use_sim_time'] == 'true' else ()
    return CollectPlan(
        ('ros2', 'bag', 'record', '--output', str(output), '--storage', values['storage'],
         '--disable-keyboard-controls', *sim_time, '--topics', *recorded_topics(values)),
        str(output))


def recorded_topics(values: Mapping[str, str]) -> list[str]:
    """Absolute names of what a training needs: pictures, depth, poses, actions, proprioception."""
    file = ParameterFile(parameter_file(values), values['namespace'])

    def value(name: str, default: str) -> str:
        return values[name] or file.value(_RECORDER, name) or default
    pose, action = value('pose_source', 'pose'), value('action_source', 'topic')
    if pose not in _POSES:
        raise ConfigurationError(f'pose_source must be one of {", ".join(_POSES)}, got {pose!r}; '
                                 'correct it in the parameter file')
    image = without_transport(values['image_topic'])
    transport = '/compressed' if value('image_transport', 'raw') == 'compressed' else ''
    topics = [image + transport, *(values[name] for name in _POSES[pose]),
              values['proprio_topic']]
    if values['depth'] == 'true':
        depth = without_transport(values['depth_topic'])
        topics += [depth, depth + '/compressed', depth + '/compressedDepth']
    if action in _ACTIONS:
        topics.append(values[_ACTIONS[action]])
    return [full_name(topic, values['namespace']) for topic in topics]
