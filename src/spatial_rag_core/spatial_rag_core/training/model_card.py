"""The page that lies beside a bundle: what it is, from what, how good, how to make it again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
import json
import os
from pathlib import Path
import platform
import shlex
import sys
from typing import Any

from spatial_rag_core import __version__
from spatial_rag_core.errors import TrainingError
from spatial_rag_core.models.bundle_metadata import BundleMetadata

import torch
import yaml


@dataclass(frozen=True)
class ModelCard:
    """What is known of one bundle; facts: as JSON can say them."""

    facts: Mapping[str, Any]

    @classmethod
    def of(cls, bundle: Path, metadata: BundleMetadata, config: Mapping[str, Any]) -> ModelCard:
        """Describe a bundle that was written just now by this command."""
        return cls({
            'bundle': bundle.name, 'model_id': metadata.model_id,
            'size_bytes': bundle.stat().st_size, 'architecture': metadata.architecture,
            'z_dim': metadata.z_dim, 'action_dim': metadata.action_dim,
            'image_size_px': metadata.image_size, 'topk': metadata.topk,
            'step_sec': metadata.step_sec, 'date': datetime.now(timezone.utc).date().isoformat(),
            'command': _command(), 'software': {
                'spatial_rag': __version__, 'torch': torch.__version__,
                'python': platform.python_version()},
            'machine': f'{platform.machine()}, {os.cpu_count()} cores',
            'training': metadata.training, 'config': config})

    @property
    def summary(self) -> str:
        """A few lines for a terminal."""
        unseen = self.facts['training']['unseen']
        lines = [f"{self.facts['bundle']}: model_id {self.facts['model_id']}, "
                 f"{self.facts['size_bytes'] / 1e6:.1f} MB",
                 f"on {unseen['measured_on']}:"]
        for name in ('with_memory', 'without_memory', 'with_another_maps_memory'):
            if name in unseen:
                errors = ', '.join(f'{steps} steps {error:.3f}'
                                   for steps, error in unseen[name].items())
                lines.append(f"  error over copying, {name.replace('_', ' ')}: {errors}")
        if 'recall_at_1' in unseen:
            lines.append(f"  place found again at first: {unseen['recall_at_1']:.1%}")
        lines.append(f"  decoded picture: {unseen['psnr_db']:.1f} dB")
        return '\n'.join(lines)

    def write(self, path: Path) -> None:
        """Write the card as Markdown; raises TrainingError where it cannot."""
        try:
            path.write_text(self._markdown())
        except OSError as error:
            raise TrainingError(f'{path}: cannot be written ({error.strerror}); the bundle '
                                'beside it is whole') from error

    def _markdown(self) -> str:
        facts = self.facts
        rows = '\n'.join(f'| {name} | {facts[name]} |' for name in (
            'model_id', 'architecture', 'z_dim', 'action_dim', 'image_size_px', 'topk',
            'step_sec', 'size_bytes', 'date', 'machine'))
        training = json.dumps(facts['training'], indent=2)
        config = yaml.safe_dump(json.loads(json.dumps(facts['config'])), sort_keys=False)
        return (f"# {facts['bundle']}\n\nMade by\n\n```\n{facts['command']}\n```\n\n"
                f"| what | value |\n|---|---|\n{rows}\n\n"
                f"```text\n{self.summary}\n```\n\n"
                'Errors are squared latent errors of open-loop rollouts over those of copying '
                'the last latent.\n\n'
                f'## Data, seeds and figures\n\n```json\n{training}\n```\n\n'
                f'## Configuration\n\n```yaml\n{config}```\n')


def _command() -> str:
    return shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
