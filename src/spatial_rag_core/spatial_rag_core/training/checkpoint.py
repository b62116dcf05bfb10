"""checkpoints/model.pt: a trained model's weights and structure, before it becomes a bundle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
import json
from pathlib import Path
from typing import Any

from spatial_rag_core.errors import ConfigurationError, TrainingError
from spatial_rag_core.models.encoder import EncoderConfig
from spatial_rag_core.models.transition_config import TransitionConfig
from spatial_rag_core.models.world_model import WorldModel, WorldModelConfig
from spatial_rag_core.training.fit_failures import first_line
from spatial_rag_core.training.tensor_file import read_tensors, write_tensors

_FORMAT = 'spatial-rag-checkpoint-1'


def save_checkpoint(model: WorldModel, path: Path, facts: Mapping[str, Any]) -> None:
    """Write weights, structure and facts, as JSON knows them; the old file or the new one."""
    content = {'format': _FORMAT, 'encoder': asdict(model.config.encoder),
               'transition': asdict(model.config.transition),
               'facts': json.loads(json.dumps(dict(facts))),  # load_checkpoint takes no NumPy
               'weights': model.state_dict()}
    write_tensors(path, content)


def load_checkpoint(path: Path) -> tuple[WorldModel, dict[str, Any]]:
    """
    Return the model in evaluation mode and its facts; no code of the file is run.

    Raises TrainingError for a file that is missing, damaged, or of another layout.
    """
    content = read_tensors(path, 'checkpoint', 'train one: spatial-rag train')
    if not isinstance(content, dict) or content.get('format') != _FORMAT:
        raise TrainingError(f'{path}: no checkpoint of this software ({_FORMAT}); train one: '
                            'spatial-rag train')
    try:
        model = WorldModel(WorldModelConfig(EncoderConfig(**content['encoder']),
                                            TransitionConfig(**content['transition'])))
        model.load_state_dict(content['weights'])
        facts = dict(content['facts'])
    except (ConfigurationError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise TrainingError(f'{path}: does not fit this version ({first_line(error)}); '
                            'train anew: spatial-rag train') from error
    return model.eval().requires_grad_(False), facts
