"""From data to what is given away: checkpoint, bundle, model card."""

from __future__ import annotations

import argparse
from dataclasses import replace
import os
from pathlib import Path
import sys

from spatial_rag_core.errors import TrainingError
from spatial_rag_core.models.bundle_file import save_bundle
from spatial_rag_core.models.encoder import Encoder
from spatial_rag_core.models.world_model import WorldModel, WorldModelConfig
from spatial_rag_core.training.checkpoint import save_checkpoint
from spatial_rag_core.training.fitting import FitOptions
from spatial_rag_core.training.model_card import ModelCard
from spatial_rag_core.training.published_weights import load_published_weights
from spatial_rag_core.training.run_training import run_training
from spatial_rag_core.training.training_config import as_values, TrainingConfig
from spatial_rag_core.training.training_data import TrainingData
from spatial_rag_core.training.unseen import unseen_figures

from lightning.pytorch.utilities import rank_zero_only
import torch


def release(data: TrainingData, config: TrainingConfig,
            arguments: argparse.Namespace) -> ModelCard:
    """
    Train, and write checkpoints/model.pt, the bundle and its card.

    arguments: of `spatial-rag train`. Raises TrainingError, BundleError.
    """
    torch.set_num_threads(arguments.num_threads or os.cpu_count() or 1)
    tell = (lambda _: None) if arguments.quiet else (lambda text: print(text, flush=True))
    trained = run_training(data, config, _options(arguments), tell,
                           _published(arguments.encoder_weights, config))
    if getattr(rank_zero_only, 'rank', 0):  # of several processes the first writes
        raise SystemExit(0)
    facts = {'seed': config.seed, 'data': data.facts, **trained.facts,
             'unseen': unseen_figures(trained.model, data, config)}
    if 'leave_out' in data.facts:
        facts['leave_out'] = data.facts['leave_out']
    save_checkpoint(trained.model, arguments.checkpoints / 'model.pt',
                    {**facts, 'config': as_values(config)})
    metadata = save_bundle(trained.model, arguments.out, trained=True, training=facts,
                           step_sec=config.step_sec, history=config.dynamics.history)
    card = ModelCard.of(arguments.out, metadata, as_values(config))
    card.write(arguments.out.with_suffix('.md'))
    return card


def _options(arguments: argparse.Namespace) -> FitOptions:
    devices = arguments.devices
    return FitOptions(
        folder=arguments.checkpoints, resume=arguments.resume,
        progress=not arguments.quiet and sys.stderr.isatty(),
        accelerator=arguments.accelerator, num_nodes=arguments.num_nodes,
        devices=int(devices) if devices.isdigit() else devices)


def _published(path: Path | None, config: TrainingConfig) -> Encoder | None:
    if path is None:
        return None
    if config.encoder.architecture != 'resnet18':
        raise TrainingError(f'{path}: published weights are for resnet18, this is a tiny model; '
                            'set USE_TINY_MODELS=false')
    encoder = WorldModel(WorldModelConfig(config.encoder, replace(
        config.transition, memory=False))).encoder
    load_published_weights(encoder, path)
    return encoder
