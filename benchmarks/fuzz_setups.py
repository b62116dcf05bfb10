"""The stacks that are fuzzed: on the usual topics, and on all others that nodes can listen to."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
import os
from pathlib import Path
import sys

from spatial_rag_bringup.run_options import parse
from spatial_rag_bringup.run_plan import make_plan
from spatial_rag_core.models.bundle_file import save_bundle
from spatial_rag_core.models.encoder import EncoderConfig
from spatial_rag_core.models.transition_config import TransitionConfig
from spatial_rag_core.models.world_model import WorldModel, WorldModelConfig
from spatial_rag_core.settings import Settings

import other_sources

SOURCES: Mapping[str, Mapping[str, Mapping[str, str]]] = {
    'usual': {},
    'other': {
        'encoder': {'image_transport': 'compressed', 'depth_transport': 'compressedDepth'},
        'memory_writer': {'pose_source': 'tf', 'action_source': 'twist'},
        'retriever': {'pose_source': 'odometry'},
        'transition_predictor': {'action_source': 'twist'},
        'visualizer': {'pose_source': 'tf', 'action_source': 'motion'},
        'episode_recorder': {'image_transport': 'compressed', 'depth_transport': 'compressed',
                             'pose_source': 'odometry', 'action_source': 'twist'}}}
"""Name of a set-up → node → its parameters: together every topic that there is a choice of."""
ROBOT = '/robot'
"""Namespace of the simulated robot where others say what it says in their own way."""
STAND_IN = Path(__file__).parents[1] / 'src/spatial_rag_nodes/test/fake_tf2_ros'


def commands(sources: str, folder: Path) -> dict[str, list[str]]:
    """Return every process: the stack, what else subscribes to it, and the robot."""
    memory, output = folder / 'memory.db', folder / 'episodes.h5'
    model = ['--model', str(_all_inputs(folder))] if sources == 'other' else []
    plan = make_plan(parse(['--memory', str(memory), *model]), folder)
    name, robot = plan.source
    predictor = plan.nodes['transition_predictor']

    def program(executable: str) -> list[str]:
        return [predictor[0].replace('transition_predictor_node', executable), *predictor[1:]]
    nodes = {**plan.nodes, 'visualizer': program('visualizer_node'),
             'episode_recorder': program('episode_recorder_node')}
    given = {'visualizer': {'memory_path': memory, 'model_path': plan.model},
             'episode_recorder': {'output_path': output}}
    processes = {node: [*command, *_words({**given.get(node, {}),
                                           **SOURCES[sources].get(node, {})})]
                 for node, command in nodes.items()}
    processes[name] = [*robot, *_words({'subscriber_wait_sec': 0.0})]
    if sources == 'other':
        _find_transforms()
        processes[name] += ['-r', f'__ns:={ROBOT}']
        processes[other_sources.NAME] = [sys.executable, other_sources.__file__, ROBOT]
    return processes


def _words(parameters: Mapping[str, object]) -> list[str]:
    return [word for name, value in parameters.items() for word in ('-p', f'{name}:={value}')]


def _all_inputs(folder: Path) -> Path:
    """An untrained bundle with which the encoder listens to all that one can."""
    path, settings = folder / 'all_inputs.pt', Settings()
    save_bundle(WorldModel(WorldModelConfig(
        EncoderConfig(z_dim=settings.z_dim, use_depth=True, proprio_dim=2),
        TransitionConfig(settings.z_dim, settings.action_dim))), path, trained=False, training={})
    return path


def _find_transforms() -> None:
    """Have the processes find tf2_ros, or where it is not installed what stands in for it."""
    if find_spec('tf2_ros') is None:
        os.environ['PYTHONPATH'] = os.pathsep.join(
            [str(STAND_IN), *filter(None, [os.environ.get('PYTHONPATH')])])
