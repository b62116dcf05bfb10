"""What the server is started with: explicit arguments, then environment variables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
import ipaddress
from pathlib import Path
from typing import TYPE_CHECKING

from spatial_rag_api.limits import Limits
from spatial_rag_core.errors import ConfigurationError
from spatial_rag_core.memory.memory_choice import memory_of_model
from spatial_rag_core.settings import Settings

if TYPE_CHECKING:  # it brings torch
    from spatial_rag_core.models.bundle import Device

LOOPBACK_NAMES = frozenset({'localhost', '127.0.0.1', '::1'})
LEAST_KEY_CHARACTERS = 16
_DEVICES = ('auto', 'cpu', 'cuda')


@dataclass(frozen=True)
class ApiConfig:
    """
    One server.

    model_path: the bundle.  memory_path: the robot's memory file, which may be absent.
    host, port: where it listens; another host than this computer needs an api_key.
    allowed_origins: web pages of other origins whose scripts may ask, 'http://host:port'.
    device: of the model.  Raises ConfigurationError.
    """

    model_path: Path
    memory_path: Path
    host: str = '127.0.0.1'
    port: int = 8080
    api_key: str | None = field(default=None, repr=False)
    allowed_origins: tuple[str, ...] = ()
    device: Device = 'auto'
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise ConfigurationError(f'port must lie between 0 and 65535, got {self.port}')
        if self.device not in _DEVICES:
            raise ConfigurationError(
                f'device must be one of {", ".join(_DEVICES)}, got {self.device!r}')
        self._check_key()
        for origin in self.allowed_origins:
            if not origin.startswith(('http://', 'https://')) or origin.endswith('/'):
                raise ConfigurationError(f'an allowed origin must be http(s)://host[:port] '
                                         f'without a path, got {origin!r}')

    def _check_key(self) -> None:
        if self.api_key is None:
            if not is_loopback(self.host):
                raise ConfigurationError(
                    f'host {self.host!r} can be reached from other computers, and no API key is '
                    'set; set SPATIAL_RAG_API_KEY (or --api-key-file), or listen on 127.0.0.1')
            return
        if len(self.api_key) < LEAST_KEY_CHARACTERS:
            raise ConfigurationError(
                f'the API key has {len(self.api_key)} characters, expected at least '
                f'{LEAST_KEY_CHARACTERS}; make one: openssl rand -hex 32')
        if not self.api_key.isascii() or not self.api_key.isprintable() or ' ' in self.api_key:
            raise ConfigurationError('the API key must be printable ASCII without spaces; make '
                                     'one: openssl rand -hex 32')


def is_loopback(host: str) -> bool:
    """Whether only this computer can reach what listens there."""
    if host in LOOPBACK_NAMES:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def model_path_from(environment: Mapping[str, str]) -> Path:
    """
    Return the bundle where none is named: WM_CHECKPOINT_PATH, else the one that ships.

    Raises ConfigurationError where there is neither.
    """
    named = Settings.from_environment(environment).checkpoint_path
    if named:
        return Path(named)
    for prefix in environment.get('AMENT_PREFIX_PATH', '').split(':'):
        shipped = Path(prefix, 'share/spatial_rag_bringup/models/encoder_transition.pt')
        if prefix and shipped.is_file():
            return shipped
    raise ConfigurationError('no model is named; give --model or WM_CHECKPOINT_PATH, or source '
                             'scripts/env.sh for the one that ships')


def memory_path_from(environment: Mapping[str, str], model: Path) -> Path:
    """
    Return the memory file where none is named: SPATIAL_RAG_MEMORY, else the robot's own.

    As the robot does it, beside a file of another model that of this one is taken.
    """
    named = environment.get('SPATIAL_RAG_MEMORY')
    if named:
        return Path(named)
    home = Path(environment.get('ROS_HOME') or Path.home() / '.ros')
    return memory_of_model(home / 'spatial_rag' / 'memory.db', model).path
