"""From what is asked to what is started: commands, and the parameters that they need."""

from __future__ import annotations

from dataclasses import dataclass
import json
from pathlib import Path
from typing import Any

from spatial_rag_bringup.defaults import default_memory, model_file, place_of
from spatial_rag_bringup.nodes_to_start import STACK
from spatial_rag_bringup.parameter_values import choose, ParameterFile
from spatial_rag_bringup.run_options import RunOptions
from spatial_rag_bringup.topic_names import full_name, reliable_pictures
from spatial_rag_core.data.bags.bag_roles import BagRoles, find_roles, is_own_topic
from spatial_rag_core.data.bags.bag_source import BagSource
from spatial_rag_core.errors import BagError

from ament_index_python.packages import get_package_prefix
import yaml

_SIMULATED_TOPICS = ['camera/image_raw', 'camera/depth/image_raw', 'pose', 'actions', 'proprio']
PLAYED_TO_THE_END_SEC = 1.0
"""A recording that would be cut by less than this is played to its end."""
MODEL_NODES = ('encoder', 'transition_predictor')
MEMORY_NODES = ('memory_writer', 'retriever')
_WAITS = (('memory_writer', 'pose_wait_sec', 0.2, 10.0),
          ('memory_writer', 'action_timeout_sec', 1.0, 3600.0),
          ('transition_predictor', 'action_timeout_sec', 1.0, 3600.0))
"""Waits in real time for what comes RATE times as fast: node, parameter, default, limit [s]."""


@dataclass(frozen=True)
class RunPlan:
    """
    What to start.

    model: the bundle.  nodes, source: name → command.  source_topics: what the source
    publishes, relative names.  compressed: whether the camera is.  remarks: what a user should
    know.  ends_itself: the source ends with the recording.
    """

    model: Path
    nodes: dict[str, list[str]]
    source: tuple[str, list[str]]
    source_topics: list[str]
    compressed: bool
    remarks: list[str]
    ends_itself: bool


def make_plan(options: RunOptions, folder: Path) -> RunPlan:
    """Write the parameters into `folder`; raises BagError, BundleError for what is missing."""
    parameters: dict[str, dict[str, Any]] = {name: {'exit_on_failure': True} for name in STACK}
    file = ParameterFile(options.params_file, options.namespace)
    model = choose(str(options.model or ''), file, MODEL_NODES, 'model_path',
                   lambda: str(model_file()))
    remarks: list[str] = []
    memory = choose(str(options.memory or ''), file, MEMORY_NODES, 'memory_path',
                    lambda: _default_memory(options, Path(model.value), remarks))
    remarks.insert(0, f'memory {memory.value}')
    for choice, names, key in ((model, MODEL_NODES, 'model_path'),
                               (memory, MEMORY_NODES, 'memory_path')):
        if choice.must_be_passed:
            for name in names:
                parameters[name][key] = choice.value
    source, topics, compressed = _simulated_robot(options), _SIMULATED_TOPICS, False
    if options.bag is not None:
        with BagSource(options.bag) as bag:
            roles = find_roles(bag.topics, options.remap)
            renaming = _renaming(options, roles)
            source = _bag_plan(options, bag, roles, renaming, parameters, remarks)
            topics = [renaming.get(topic.name, topic.name).lstrip('/') for topic in bag.topics
                      if not is_own_topic(topic.name)]
        compressed = roles.compressed
        _stretch_waits(options.rate, file, parameters)
    parameters['encoder'].update(_reliable_camera(options, compressed))
    overrides = folder / 'overrides.yaml'
    overrides.write_text(yaml.safe_dump(
        {file.section_that_wins(name): {'ros__parameters': values}
         for name, values in parameters.items()}))
    common = ['--ros-args', '--log-level', options.log_level]
    if options.namespace:
        common += ['-r', f'__ns:=/{options.namespace.strip("/")}']
    files = ['--params-file', str(options.params_file), '--params-file', str(overrides)]
    executables = {'composed': 'composed'} if options.composition else STACK
    return RunPlan(
        model=Path(model.value).expanduser(),
        nodes={name: [_executable(executable), *common, *files]
               for name, executable in executables.items()},
        source=('bag_replay' if options.bag else 'simulated_robot',
                [_executable(source[0]), *common, *source[1:]]),
        source_topics=topics, compressed=compressed, remarks=remarks,
        ends_itself=options.bag is not None and not options.loop)


def _simulated_robot(options: RunOptions) -> list[str]:
    return ['simulated_robot_node', '--params-file', str(options.params_file)]


def _default_memory(options: RunOptions, model: Path, remarks: list[str]) -> str:
    place = place_of(options.bag) if options.bag else 'sim'
    chosen = default_memory(place, options.namespace, model)
    if chosen.remark:
        remarks.append(chosen.remark)
    return str(chosen.path)


def _stretch_waits(rate: float, file: ParameterFile, parameters: dict[str, dict[str, Any]],
                   ) -> None:
    """A recording that is played slowly brings poses and actions late by as much."""
    if rate >= 1:
        return
    for node, name, default, limit in _WAITS:
        value = file.value(node, name)
        if isinstance(value, float | None):  # all else the node refuses, and says why
            wait = default if value is None else value
            parameters[node][name] = max(wait, min(wait / rate, limit))


def _reliable_camera(options: RunOptions, compressed: bool) -> dict[str, Any]:
    topic = 'camera/image_raw' + ('/compressed' if compressed else '')
    return reliable_pictures(full_name(topic, options.namespace))


def _executable(name: str) -> str:
    prefix = Path(get_package_prefix('spatial_rag_nodes'))
    return str(prefix / 'lib' / 'spatial_rag_nodes' / name)


def _bag_plan(options: RunOptions, bag: BagSource, roles: BagRoles, renaming: dict[str, str],
              parameters: dict[str, dict[str, Any]], remarks: list[str]) -> list[str]:
    """Command of the replay; sets what the nodes must know of the recording."""
    if roles.pose is None:
        raise BagError(f'{options.bag}: no pose (geometry_msgs/PoseStamped or nav_msgs/Odometry) '
                       'in it, and without places nothing can be remembered; record one too')
    parameters['encoder']['image_transport'] = 'compressed' if roles.compressed else 'raw'
    frame = bag.first(roles.pose.name).header.frame_id
    action = roles.action_kind or 'motion'
    remarks.append(f'{options.bag}: {bag.duration_sec:.2f} s, camera {roles.camera.name} '
                   f'({roles.camera.count}), pose {roles.pose.name} ({roles.pose.count}) in frame '
                   f'{frame!r}, actions '
                   + (roles.action.name if roles.action else 'derived from motion'))
    for name in ('memory_writer', 'retriever', 'transition_predictor'):
        parameters[name]['map_frame'] = frame
        parameters[name]['pose_source'] = roles.pose_kind
    for name in ('memory_writer', 'transition_predictor'):
        parameters[name]['action_source'] = {'actions': 'topic'}.get(action, action)
        if options.pose_axes:
            parameters[name]['pose_axes'] = options.pose_axes
    command = ['bag_replay_node', '-p', f'path:={_quoted(options.bag)}',
               '-p', f'rate:={options.rate}',
               '-p', f'loop:={str(options.loop).lower()}',
               '-p', f'duration_sec:={_limit(options, bag, remarks)}']
    for theirs, ours in renaming.items():
        command += ['-r', f'{theirs.lstrip("/")}:={ours.lstrip("/")}']
    return command


def _quoted(path: Path) -> str:
    """As YAML, for what stands behind := is read as such: 2024 would be a number."""
    return json.dumps(str(path), ensure_ascii=False)


def _limit(options: RunOptions, bag: BagSource, remarks: list[str]) -> float:
    """How much of the recording is played [s]; 0.0: all of it."""
    if options.duration_sec is None or options.loop:
        return 0.0
    limit = options.duration_sec * options.rate
    if bag.duration_sec - limit >= PLAYED_TO_THE_END_SEC:
        return limit
    if bag.duration_sec > limit:
        remarks.append(f'the recording ends {bag.duration_sec - limit:.2f} s after DURATION: '
                       'it is played to its end')
    return 0.0


def _renaming(options: RunOptions, roles: BagRoles) -> dict[str, str]:
    """Topic in the recording → topic of the contract, where they differ."""
    suffix = '/compressed' if roles.compressed else ''
    wanted = {roles.camera.name: f'/camera/image_raw{suffix}'}
    if roles.pose is not None:
        wanted[roles.pose.name] = '/odom' if roles.pose_kind == 'odometry' else '/pose'
    if roles.action is not None:
        wanted[roles.action.name] = '/cmd_vel' if roles.action_kind == 'twist' else '/actions'
    return {**options.remap,
            **{theirs: ours for theirs, ours in wanted.items() if theirs != ours}}
