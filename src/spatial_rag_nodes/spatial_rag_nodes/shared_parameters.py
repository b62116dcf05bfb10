"""Parameters that several nodes have, with the environment's defaults (see settings.py)."""

from __future__ import annotations

import os
from pathlib import Path

from spatial_rag_core.errors import BundleError
from spatial_rag_core.settings import Settings
from spatial_rag_nodes.parameters import NodeParameters, Parameter

START = (
    Parameter('autostart', True, 'The node configures and activates itself; false: it waits for a '
              'lifecycle manager (or ros2 lifecycle set)'),
    Parameter('exit_on_failure', False, 'Where autostart fails the process ends with exit code 1, '
              'for whoever starts it again; false: the node stays unconfigured, says why in the '
              'log and on /diagnostics, and can be configured once that is mended'),
)
"""How a managed node comes up."""

LATENCY_BUDGET = Parameter(
    'latency_budget_sec', 0.05, 'Diagnostics warn where 1 % of what the node does takes longer',
    's', 0.001, 60.0, live=True)


def z_dim(settings: Settings) -> Parameter:
    """Length of a latent."""
    return Parameter('z_dim', settings.z_dim, 'Numbers in a latent', '', 1, 4096)


def action_dim(settings: Settings) -> Parameter:
    """Length of an action."""
    return Parameter('action_dim', settings.action_dim, 'Numbers in an action', '', 1, 64)


def model(settings: Settings) -> tuple[Parameter, ...]:
    """Which bundle, and where it runs."""
    return (
        Parameter('model_path', settings.checkpoint_path or '',
                  'Model bundle (encoder_transition.pt); default: WM_CHECKPOINT_PATH'),
        Parameter('device', 'auto', 'Where the model runs', choices=('auto', 'cpu', 'cuda')),
        Parameter('num_threads', 1, 'CPU threads of the model', '', 1, 64),
    )


MEMORY_PATH = Parameter('memory_path', '', 'Memory file; default: memory.db in '
                        'spatial_rag/NAMESPACE of ROS_HOME (~/.ros)')


def memory_path(parameters: NodeParameters) -> Path:
    """The memory file that is meant."""
    return file_in_home(parameters['memory_path'], 'memory.db', parameters.namespace)


def file_in_home(path: str, name: str, namespace: str) -> Path:
    """
    The path, or where it is empty the file of that name in spatial_rag of ROS_HOME.

    Each namespace has a folder there: two robots on one machine share no file.
    """
    if path:
        return Path(path).expanduser()
    home = Path(os.environ.get('ROS_HOME') or Path.home() / '.ros')
    return home / 'spatial_rag' / namespace.strip('/') / name


def model_path(parameters: NodeParameters) -> str:
    """The bundle that is meant; raises BundleError where none is named."""
    if not parameters['model_path']:
        raise BundleError('no model: set model_path or WM_CHECKPOINT_PATH to a bundle, such as '
                          'share/spatial_rag_bringup/models/encoder_transition.pt, which launch '
                          'and `make run` take; an untrained one for trials is made by: '
                          'spatial-rag bundle create-untrained encoder_transition.pt')
    return str(Path(parameters['model_path']).expanduser())
