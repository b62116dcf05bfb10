"""The environment variables; explicit arguments and ROS parameters win over them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
import os

from spatial_rag_core.errors import ConfigurationError

_TRUE = {'1', 'true', 'yes', 'on'}
_FALSE = {'0', 'false', 'no', 'off'}


@dataclass(frozen=True)
class Settings:
    """
    Defaults for a whole installation.

    z_dim: numbers in a latent.  action_dim: numbers in an action.  topk: memories retrieved.
    image_size: side of the square picture that the encoder sees [px], a multiple of 32.
    checkpoint_path: the model bundle, or None where none is named.
    """

    z_dim: int = 32
    action_dim: int = 2
    topk: int = 8
    image_size: int = 64
    use_tiny_models: bool = True
    qdrant_host: str = 'localhost'
    qdrant_port: int = 6333
    checkpoint_path: str | None = None

    def __post_init__(self) -> None:
        _require_between('Z_DIM', self.z_dim, 1, 4096)
        _require_between('ACTION_DIM', self.action_dim, 1, 64)
        _require_between('TOPK', self.topk, 1, 1024)
        _require_between('IMAGE_SIZE', self.image_size, 32, 1024)
        _require_between('QDRANT_PORT', self.qdrant_port, 1, 65535)
        if self.image_size % 32:
            raise ConfigurationError(
                f'IMAGE_SIZE must be a multiple of 32 px, got {self.image_size}')

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """Read Z_DIM, ACTION_DIM, … ; raises ConfigurationError that names the variable."""
        env = os.environ if environment is None else environment
        return cls(
            z_dim=_integer(env, 'Z_DIM', cls.z_dim),
            action_dim=_integer(env, 'ACTION_DIM', cls.action_dim),
            topk=_integer(env, 'TOPK', cls.topk),
            image_size=_integer(env, 'IMAGE_SIZE', cls.image_size),
            use_tiny_models=_boolean(env, 'USE_TINY_MODELS', cls.use_tiny_models),
            qdrant_host=env.get('QDRANT_HOST') or cls.qdrant_host,
            qdrant_port=_integer(env, 'QDRANT_PORT', cls.qdrant_port),
            checkpoint_path=env.get('WM_CHECKPOINT_PATH') or None,
        )


def _require_between(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise ConfigurationError(f'{name} must lie between {low} and {high}, got {value}')


def _integer(env: Mapping[str, str], name: str, default: int) -> int:
    text = env.get(name, '').strip()
    if not text:
        return default
    try:
        return int(text)
    except ValueError as error:
        raise ConfigurationError(f'{name} must be a whole number, got {text!r}') from error


def _boolean(env: Mapping[str, str], name: str, default: bool) -> bool:
    text = env.get(name, '').strip().lower()
    if not text:
        return default
    if text not in _TRUE | _FALSE:
        raise ConfigurationError(f'{name} must be true or false, got {text!r}')
    return text in _TRUE
