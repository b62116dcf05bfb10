"""checkpoints/model.pt: a trained model's weights and structure, before it becomes a bundle."""

from __future__ import annotations

from collections.abc import Mapping
import contextlib
from dataclasses import asdict
import json
import os
from pathlib import Path
from typing import Any

from spatial_rag_core.errors import ConfigurationError, TrainingError
from spatial_rag_core.models.encoder import EncoderConfig
from spatial_rag_core.models.transition_config import TransitionConfig
from spatial_rag_core.models.world_model import WorldModel, WorldModelConfig
from spatial_rag_core.training.fit_failures import first_line

import torch

_FORMAT = 'spatial-rag-checkpoint-1'


def save_checkpoint(model: WorldModel, path: Path, facts: Mapping[str, Any]) -> None:
    """Write weights, structure and facts, as JSON knows them; the old file or the new one."""
    content = {'format': _FORMAT, 'encoder': asdict(model.config.encoder),
               'transition': asdict(model.config.transition),
               'facts': json.loads(json.dumps(dict(facts))),  # load_checkpoint takes no NumPy
               'weights': model.state_dict()}
    temporary = path.with_name(f'.{path.name}.{os.getpid()}.tmp')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open('wb') as stream:
            torch.save(content, stream)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except (OSError, RuntimeError) as error:  # torch tells a full disk as RuntimeError
        raise TrainingError(f'{path}: cannot be written ({error}); choose a folder that can be '
                            'written and has space') from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def load_checkpoint(path: Path) -> tuple[WorldModel, dict[str, Any]]:
    """
    Return the model in evaluation mode and its facts; no code of the file is run.

    Raises TrainingError for a file that is missing, damaged, or of another layout.
    """
    try:
        content = torch.load(path, map_location='cpu', weights_only=True)
    except FileNotFoundError as error:
        raise TrainingError(f'{path}: no such checkpoint; train one: spatial-rag train') from error
    except OSError as error:
        raise TrainingError(f'{path}: cannot be read ({error}); name a file that can') from error
    except Exception as error:  # a damaged file makes torch fail in any way
        raise TrainingError(f'{path}: not a checkpoint, or damaged ({first_line(error)}); '
                            'train anew: spatial-rag train') from error
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
