"""ResNet-18 weights that others have published, as torchvision writes them."""

from __future__ import annotations

from pathlib import Path
import pickle

from spatial_rag_core.errors import TrainingError
from spatial_rag_core.models.encoder import Encoder
from spatial_rag_core.models.resnet18 import ResNet18Backbone

import torch

_CLASSIFIER = 'fc.'
_COUNTER = 'num_batches_tracked'
_REMEDY = 'give the state dict of torchvision.models.resnet18, such as resnet18-f37072fd.pth'


def load_published_weights(encoder: Encoder, path: str | Path) -> None:
    """
    Put a file's weights into the backbone of a ResNet-18 encoder; its classifier is left out.

    Nothing in the file is executed.  Raises TrainingError for another file or another encoder.
    """
    path = Path(path)
    if not isinstance(encoder.backbone, ResNet18Backbone):
        raise TrainingError(f'{path}: weights of a ResNet-18 do not fit the tiny encoder; set '
                            'USE_TINY_MODELS=false, or leave them out')
    wanted = encoder.backbone.state_dict()
    # Files from before torch 0.4.1 have no counters of batches.
    found = {name: wanted[name] for name in wanted if name.endswith(_COUNTER)}
    found |= {name: weight for name, weight in _state_dict(path).items()
              if not name.startswith(_CLASSIFIER)}
    if wrong := sorted(set(found) ^ set(wanted)):
        raise TrainingError(f'{path}: {len(wrong)} missing or unknown weights, the first is '
                            f'{wrong[0]}; {_REMEDY}')
    for name, weight in wanted.items():
        if found[name].shape != weight.shape:
            raise TrainingError(f'{path}: {name} has shape {list(found[name].shape)}, not '
                                f'{list(weight.shape)}; {_REMEDY}')
        if not found[name].isfinite().all():
            raise TrainingError(f'{path}: {name} is not finite; copy the file again')
    encoder.backbone.load_state_dict(found)


def _state_dict(path: Path) -> dict[str, torch.Tensor]:
    try:
        found = torch.load(path, map_location='cpu', weights_only=True)
    except OSError as error:
        raise TrainingError(f'{path}: cannot be read ({error.strerror}); {_REMEDY}') from error
    except (RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
        reason = str(error).strip().partition('\n')[0]
        raise TrainingError(f'{path}: not a file of weights ({reason}); {_REMEDY}') from error
    if not isinstance(found, dict) or not all(
            isinstance(name, str) and isinstance(weight, torch.Tensor)
            for name, weight in found.items()):
        raise TrainingError(f'{path}: holds something else than named weights; {_REMEDY}')
    return found
