"""Files that are taken where none are named."""

from __future__ import annotations

import os
from pathlib import Path
import subprocess

from spatial_rag_core.errors import BundleError, SpatialRagError
from spatial_rag_core.memory.memory_choice import memory_of_model, MemoryChoice
from spatial_rag_core.models.bundle_metadata import BundleMetadata, read_metadata
from spatial_rag_core.settings import Settings

from ament_index_python.packages import get_package_prefix, get_package_share_directory


def state_folder(namespace: str = '') -> Path:
    """
    Where memories and stand-in models are kept: spatial_rag in ROS_HOME (~/.ros).

    What belongs to one robot stands in a folder of its namespace, for a file has one writer.
    """
    home = Path(os.environ.get('ROS_HOME') or Path.home() / '.ros')
    return home / 'spatial_rag' / namespace.strip('/')


def default_memory(place: str, namespace: str, model: Path | None) -> MemoryChoice:
    """Return the memory file of a place (may be empty) and robot; beside it one for each model."""
    path = state_folder(namespace) / (f'memory-{place}.db' if place else 'memory.db')
    return memory_of_model(path, model) if model else MemoryChoice(path)


def place_of(bag: Path) -> str:
    """Name of a recording's place: a folder's whole name, a file's without its ending."""
    bag = bag.expanduser().resolve()
    return bag.name if bag.is_dir() else bag.stem


def profile_file(profile: str) -> Path:
    """The parameters of a kind of robot: cpu, jetson or sim."""
    return Path(get_package_share_directory('spatial_rag_bringup')) / 'config' / f'{profile}.yaml'


def shipped_model() -> Path:
    """Where the trained bundle of this package is installed; it may be absent."""
    return Path(get_package_share_directory('spatial_rag_bringup'), 'models',
                'encoder_transition.pt')


def model_file() -> Path:
    """
    The model bundle, where no argument and no parameter file names one.

    WM_CHECKPOINT_PATH; else the one that ships, where it has the sizes that the environment asks
    for; else an untrained one of those sizes, made on first use. Raises BundleError where the one
    that ships cannot be read, or none can be made.
    """
    settings = Settings.from_environment()
    if settings.checkpoint_path:
        return Path(settings.checkpoint_path)
    shipped = shipped_model()
    if shipped.is_file() and _suits(read_metadata(shipped), settings):
        return shipped
    path = state_folder() / (f'untrained-{_architecture(settings)}-z{settings.z_dim}'
                             f'-a{settings.action_dim}-i{settings.image_size}-k{settings.topk}.pt')
    if not path.exists():
        _make_untrained(path)
    return path


def _suits(metadata: BundleMetadata, settings: Settings) -> bool:
    """TOPK is left open: a bundle takes the best of what it is given."""
    return (metadata.architecture, metadata.z_dim, metadata.action_dim, metadata.image_size) == (
        _architecture(settings), settings.z_dim, settings.action_dim, settings.image_size)


def _architecture(settings: Settings) -> str:
    return 'tiny' if settings.use_tiny_models else 'resnet18'


def _make_untrained(path: Path) -> None:
    """In a process of its own: `ros2 launch` runs under ROS's Python, which may have no torch."""
    program = Path(get_package_prefix('spatial_rag_core'), 'lib', 'spatial_rag_core',
                   'spatial-rag')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        result = subprocess.run([str(program), 'bundle', 'create-untrained', str(path)],
                                capture_output=True, text=True, check=False)
    except OSError as error:
        raise BundleError(f'no untrained model can be made in {path.parent}: {error}; '
                          'name one with MODEL, model_path or WM_CHECKPOINT_PATH') from error
    if result.returncode:
        lines = result.stderr.splitlines() or [f'exit code {result.returncode}']
        raise BundleError(f'{path}: no untrained model could be made: {lines[-1]}')


def describe_model(path: Path) -> str:
    """Which model it is, and whether it has learned anything; raises BundleError."""
    metadata = read_metadata(path)
    if metadata.trained:
        return f'model {path} (trained, {metadata.architecture}, {metadata.model_id})'
    return (f'model {path} is UNTRAINED: good for trying the stack, its predictions mean '
            'nothing; name a trained one with MODEL, model_path or WM_CHECKPOINT_PATH')


def name_model(path: Path) -> str:
    """As describe_model, but only the name where the bundle cannot be read."""
    try:
        return describe_model(path)
    except SpatialRagError:
        return f'model {path}'
