"""What a bundle says about itself; readable without torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
import json
import math
from pathlib import Path
from typing import Any
import zipfile

from spatial_rag_core.errors import BundleError, ConfigurationError
from spatial_rag_core.models.transition_config import TransitionConfig

_MOST_BYTES = 1 << 20  # of metadata
FORMAT_VERSION = 3
METADATA_FILE = 'metadata.json'
CREATE_HINT = 'spatial-rag bundle create-untrained'

_TYPES: dict[str, type] = {'int': int, 'float': float, 'str': str, 'bool': bool,
                          'dict[str, Any]': dict}


@dataclass(frozen=True)
class BundleMetadata:
    """
    The facts beside the weights.

    model_id: hash of structure and weights, the author of every latent that it makes.
    image_size: side of the picture that the encoder sees [px].  topk: memories per prediction.
    proprio_dim: numbers of proprioception, 0 for none.  uses_depth: whether it has that input.
    transition: the fields of TransitionConfig.  step_sec: time from a latent to the next that it
    foresees [s].  history: how many latents before the present one help it.
    normalisation: what the net itself does to RGB in 0..1.  training: facts such as epochs.
    """

    model_id: str
    architecture: str
    z_dim: int
    action_dim: int
    image_size: int
    topk: int
    uses_depth: bool
    proprio_dim: int
    transition: dict[str, Any]
    step_sec: float
    history: int
    trained: bool
    normalisation: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    format_version: int = FORMAT_VERSION

    def __post_init__(self) -> None:
        if self.topk < 1:
            raise ConfigurationError(f'topk must be > 0, got {self.topk}')
        if not 0.0 < self.step_sec < math.inf:
            raise ConfigurationError(f'step_sec must be > 0 s, got {self.step_sec}')
        if self.history < 0:
            raise ConfigurationError(f'history must be >= 0, got {self.history}')

    @property
    def uses_memory_pose(self) -> bool:
        """Whether it takes the memories' relative poses."""
        return bool(self.transition['memory'] and self.transition['memory_pose'])

    @property
    def uses_memory_action(self) -> bool:
        """Whether it takes the memories' actions."""
        return bool(self.transition['memory'] and self.transition['memory_action'])

    def to_json(self) -> str:
        """Return it as JSON; raises BundleError where `training` holds what JSON cannot say."""
        try:
            return json.dumps(asdict(self), indent=2, sort_keys=True, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise BundleError(f'bundle metadata cannot be written as JSON ({error}); give '
                              'training facts as finite numbers, strings and lists') from error

    @classmethod
    def from_json(cls, text: str | bytes) -> BundleMetadata:
        """Read it back; raises BundleError for a newer format and for damaged fields."""
        try:
            values = json.loads(text)
        except ValueError as error:
            raise BundleError(f'bundle metadata is not JSON ({error}); make the bundle again '
                              f'({CREATE_HINT} PATH)') from error
        if not isinstance(values, dict):
            raise BundleError(f'bundle metadata is a {type(values).__name__}, expected an object; '
                              f'make the bundle again ({CREATE_HINT} PATH)')
        _check_version(values.get('format_version'))
        _check_fields(values)
        _check_transition(values)
        return cls(**values)


def read_metadata(path: str | Path) -> BundleMetadata:
    """Return the metadata of a bundle file; raises BundleError that names path and remedy."""
    path = Path(path)
    if not path.is_file():
        raise BundleError(f'{path}: no such bundle file; make one: {CREATE_HINT} {path}')
    try:
        text = _extra_file(path)
    except (OSError, zipfile.BadZipFile) as error:
        raise BundleError(f'{path}: not a bundle, or cut short ({error}); copy it again, or make '
                          f'one: {CREATE_HINT} {path}') from error
    if text is None:
        raise BundleError(f'{path}: no {METADATA_FILE} inside, so not a Spatial-RAG bundle; write '
                          f'models with save_bundle, or make one: {CREATE_HINT} {path}')
    try:
        return BundleMetadata.from_json(text)
    except (BundleError, ConfigurationError) as error:
        raise BundleError(f'{path}: {error}') from error


def check_dimensions(path: Path, metadata: BundleMetadata, z_dim: int | None,
                     action_dim: int | None) -> None:
    """Raise BundleError where the bundle was made for others than asked for (None: any)."""
    for name, asked, found in (('z_dim', z_dim, metadata.z_dim),
                               ('action_dim', action_dim, metadata.action_dim)):
        if asked is not None and asked != found:
            raise BundleError(
                f'{path}: made for {name} {found}, asked for {asked}; set {name}: {found}, or '
                f'make another: {name.upper()}={asked} {CREATE_HINT} PATH')


def _extra_file(path: Path) -> bytes | None:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if info.filename.endswith(f'/extra/{METADATA_FILE}'):  # TorchScript's extra files
                if info.file_size > _MOST_BYTES:
                    raise BundleError(f'{path}: metadata of {info.file_size} bytes, expected at '
                                      f'most {_MOST_BYTES}; make the bundle again '
                                      f'({CREATE_HINT} PATH)')
                return archive.read(info)
    return None


def _check_version(version: object) -> None:
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise BundleError(f'bundle format {version} is newer than {FORMAT_VERSION}, which this '
                          'software reads; update spatial_rag_core')
    if version != FORMAT_VERSION:
        raise BundleError(f'bundle format_version must be {FORMAT_VERSION}, got {version!r}; make '
                          f'the bundle again ({CREATE_HINT} PATH)')


def _check_fields(values: Mapping[str, object]) -> None:
    types = {f.name: _TYPES[str(f.type)] for f in fields(BundleMetadata)}
    if wrong := set(values) ^ set(types):
        raise BundleError(f'bundle metadata has missing or unknown fields {sorted(wrong)}; make '
                          f'the bundle again ({CREATE_HINT} PATH)')
    for name, kind in types.items():
        if type(values[name]) is not kind:
            raise BundleError(f'bundle metadata field {name} must be {kind.__name__}, got '
                              f'{values[name]!r}; make the bundle again ({CREATE_HINT} PATH)')


def _check_transition(values: Mapping[str, Any]) -> None:
    transition = values['transition']
    if wrong := set(transition) ^ {f.name for f in fields(TransitionConfig)}:
        raise BundleError(f'bundle metadata has missing or unknown fields {sorted(wrong)} of its '
                          f'transition; make the bundle again ({CREATE_HINT} PATH)')
    for name in ('z_dim', 'action_dim', 'topk'):
        if transition[name] != values[name]:
            raise BundleError(f'bundle metadata has {name} {values[name]!r}, its transition '
                              f'{transition[name]!r}; make the bundle again ({CREATE_HINT} PATH)')
