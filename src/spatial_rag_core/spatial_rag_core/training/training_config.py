"""Everything that one training is told, as a file in YAML says it."""

from __future__ import annotations

from collections.abc import Mapping
import contextlib
from dataclasses import asdict, dataclass, field, fields, is_dataclass
import math
from pathlib import Path
from typing import Any, ClassVar, get_type_hints, TypeVar

from spatial_rag_core.errors import ConfigurationError, TrainingError
from spatial_rag_core.models.encoder import EncoderConfig
from spatial_rag_core.models.transition_config import TransitionConfig
from spatial_rag_core.settings import Settings
from spatial_rag_core.training.dynamics_config import DynamicsConfig
from spatial_rag_core.training.perception_config import PerceptionConfig

import yaml

C = TypeVar('C')


@dataclass(frozen=True)
class TrainingConfig:
    """
    A training; raises ConfigurationError where its parts do not fit together.

    seed: of all that is drawn by lot.  step_sec: time from a latent to the next [s].
    """

    seed: int = 0
    step_sec: float = 0.2
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    transition: TransitionConfig = field(default_factory=TransitionConfig)
    perception: PerceptionConfig = field(default_factory=PerceptionConfig)
    dynamics: DynamicsConfig = field(default_factory=DynamicsConfig)

    FOR_RECORDINGS: ClassVar[Mapping[str, Any]] = {
        'perception': {'passes_at_most': 320, 'learning_rate': 1e-3, 'place_weight': 0.3,
                       'temperature': 0.1, 'near_m': 0.1, 'near_deg': 40.0, 'shift_px': 16},
        'dynamics': {'training_steps': 1000}}
    """What is otherwise where a recording is all there is."""

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2 ** 32:
            raise ConfigurationError(f'seed must lie in [0, 2^32), got {self.seed}')
        if not 0.0 < self.step_sec <= 60.0:
            raise ConfigurationError(f'step_sec must lie in (0, 60] s, got {self.step_sec}')
        if self.encoder.z_dim != self.transition.z_dim:
            raise ConfigurationError(
                f'z_dim must be one number, got {self.encoder.z_dim} for the encoder and '
                f'{self.transition.z_dim} for the transition')

    @classmethod
    def from_settings(cls, settings: Settings) -> TrainingConfig:
        """Return the default, sized by the environment variables."""
        return cls(
            encoder=EncoderConfig('tiny' if settings.use_tiny_models else 'resnet18',
                                  settings.z_dim, settings.image_size),
            transition=TransitionConfig(settings.z_dim, settings.action_dim,
                                        topk=settings.topk))

    @classmethod
    def load(cls, path: Path, default: TrainingConfig) -> TrainingConfig:
        """
        Read a YAML file; what it does not say is as in `default`.

        Raises TrainingError for a file that cannot be read, ConfigurationError for a key that
        there is not and for a value out of its range.
        """
        try:
            values = yaml.safe_load(path.read_text(encoding='utf-8'))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            reason = ' '.join(str(error).split())
            raise TrainingError(f'{path}: cannot be read as YAML ({reason}); write keys as '
                                '`spatial-rag train --print-config` does') from error
        return changed(default, {} if values is None else values, str(path))


def changed(config: C, values: Mapping[str, Any], where: str) -> C:
    """Return a configuration with other values; nested mappings change nested configurations."""
    if not isinstance(values, Mapping):
        raise ConfigurationError(f'{where}: expected keys and values, got {values!r}')
    kinds = get_type_hints(type(config))
    known = {one.name for one in fields(config)}  # type: ignore[arg-type]
    if unknown := sorted(set(map(str, values)) - known):
        raise ConfigurationError(f'{where}: no such key {unknown[0]!r}; there are '
                                 + ', '.join(sorted(known)))
    arguments = {name: getattr(config, name) for name in known}
    for name, value in values.items():
        inner = arguments[name]
        arguments[name] = (changed(inner, value, f'{where}: {name}') if is_dataclass(inner)
                           else _as_kind(value, kinds[name], f'{where}: {name}'))
    try:
        return type(config)(**arguments)
    except ConfigurationError as error:
        raise ConfigurationError(f'{where}: {error}') from error


def as_values(config: TrainingConfig) -> dict[str, Any]:
    """Return nested dictionaries, as YAML and JSON write them."""
    return asdict(config)


def _as_kind(value: object, kind: Any, where: str) -> Any:
    if kind is float and isinstance(value, int | str) and not isinstance(value, bool):
        with contextlib.suppress(ValueError, OverflowError):
            value = float(value)  # YAML takes 2e-3 for a word
    if isinstance(kind, type) and type(value) is not kind:
        raise ConfigurationError(f'{where} must be {kind.__name__}, got {value!r}')
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigurationError(f'{where} must be finite, got {value}')
    return value
