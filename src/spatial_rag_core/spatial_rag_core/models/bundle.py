"""A loaded model file: NumPy in, NumPy out, no surprise in the first frame."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from spatial_rag_core.errors import BundleError, ConfigurationError, LatentError
from spatial_rag_core.models.bundle_file import (
    model_id_of,
    open_network,
    save_bundle,
    torch_device,
)
from spatial_rag_core.models.bundle_inputs import BundleInputs, Plans
from spatial_rag_core.models.bundle_metadata import BundleMetadata, check_dimensions, read_metadata
from spatial_rag_core.models.imagined import History, Imagined
from spatial_rag_core.models.memory_bank import MemoryBank
from spatial_rag_core.models.model_input import Picture, resized_rgb
from spatial_rag_core.models.world_model import WorldModel
from spatial_rag_core.records import as_action, as_latent, Vector

import numpy as np
from numpy.typing import ArrayLike, NDArray
import torch

__all__ = ['Bundle', 'BundleMetadata', 'Device', 'model_id_of', 'save_bundle']

Device = Literal['auto', 'cpu', 'cuda']

_WARM_UP_CALLS = 4
_PICTURES_AT_ONCE = 64


class Bundle:
    """A world model at work, in inference mode; see WorldModel for what each call computes."""

    def __init__(self, metadata: BundleMetadata, network: WorldModel,
                 device: torch.device) -> None:
        self.metadata = metadata
        self.device = device
        self._network = network
        self._inputs = BundleInputs(metadata, device)

    @classmethod
    def load(cls, path: str | Path, *, z_dim: int | None = None, action_dim: int | None = None,
             device: Device = 'auto', num_threads: int = 1) -> Bundle:
        """
        Open, verify and warm up a bundle file.

        z_dim, action_dim: what the caller works with, or None for whatever the file has.
        num_threads: torch threads of this process.
        Raises BundleError for a file that cannot be used, and ConfigurationError.
        """
        if num_threads < 1:
            raise ConfigurationError(f'num_threads must be > 0, got {num_threads}')
        path = Path(path)
        metadata = read_metadata(path)
        check_dimensions(path, metadata, z_dim, action_dim)
        where = torch_device(path, device)
        torch.set_num_threads(num_threads)
        bundle = cls(metadata, open_network(path, metadata, where), where)
        try:
            bundle._warm_up()
        except LatentError as error:
            raise BundleError(f'{path}: {error}') from error
        return bundle

    @property
    def model_id(self) -> str:
        """Return the author that its latents carry."""
        return self.metadata.model_id

    def require_author(self, model_id: str) -> None:
        """Raise BundleError for latents that another bundle made."""
        if model_id != self.model_id:
            raise BundleError(f'latents are of model {model_id}, this bundle is {self.model_id}; '
                              'start all nodes with the same model_path')

    def resize(self, rgb: NDArray[Any]) -> Picture:
        """Return rgb uint8 [H, W, 3] as the encoder sees it [S, S, 3]; raises ImageError."""
        return resized_rgb(rgb, self.metadata.image_size)

    def encode_image(self, rgb: NDArray[Any], depth_m: NDArray[Any] | None = None,
                     proprio: ArrayLike | None = None) -> Vector:
        """
        Return the latent of a picture of any size, float32 [z_dim].

        rgb: uint8 [H, W, 3].  depth_m: float32 [H, W] [m], 0 or NaN where unknown.
        proprio: [proprio_dim].  Raises ImageError, InputError, LatentError for a result that is
        not finite, ConfigurationError for an input that this model does not have.
        """
        with torch.inference_mode():
            z = self._network.encode(*self._inputs.of_encoding(rgb, depth_m, proprio))
        return self._latent('encoder', z)

    def encode_images(self, rgb: NDArray[Any]) -> Vector:
        """Return the latents of N pictures, uint8 [N, H, W, 3], float32 [N, z_dim]."""
        z = np.zeros((len(rgb), self.metadata.z_dim), np.float32)
        for start in range(0, len(rgb), _PICTURES_AT_ONCE):
            rows = slice(start, start + _PICTURES_AT_ONCE)
            with torch.inference_mode():
                found = self._network.encode(self._inputs.pictures(rgb[rows]))
            z[rows] = self._latents('encoder', found)
        return z

    def feature_map(self, rgb: NDArray[Any], depth_m: NDArray[Any] | None = None) -> Vector:
        """Return the encoder's features, float32 [512, S/32, S/32]; see encode_image."""
        with torch.inference_mode():
            features = self._network.features(*self._inputs.of_features(rgb, depth_m))
            found: Vector = features[0].cpu().numpy()
        return found

    def predict_next(self, z: ArrayLike, action: ArrayLike, memories: ArrayLike,
                     memory_pose: ArrayLike | None = None,
                     memory_action: ArrayLike | None = None,
                     history: History | None = None) -> Vector:
        """
        Return the latent step_sec after `action`, float32 [z_dim].

        memories: latents [n, z_dim], best first; n may be 0, beyond topk they are left out.
        memory_pose: [n, 9], see MemoryBank.  memory_action: [n, action_dim].  history: what was
        before.  Raises LatentError, ActionError, PoseError, ConfigurationError for an input that
        this model does not have.
        """
        with torch.inference_mode():
            z_next = self._network.predict(*self._inputs.of_prediction(
                z, action, memories, memory_pose, memory_action, history))
        return self._latent('transition', z_next)

    def rollout(self, z: ArrayLike, actions: ArrayLike, bank: MemoryBank | None = None,
                history: History | None = None) -> Imagined:
        """
        Imagine B futures of T steps from one latent.

        actions: float32 [B, T, action_dim].  bank: the memories around the robot, as seen from
        it; they are looked up again at each imagined pose.  For a model of past motion
        actions[:, 0] is the motion that led to now.  Raises LatentError, ActionError.
        """
        return self._imagined(self._inputs.of_rollout(z, actions, bank, history))

    def foresee(self, z: ArrayLike, action: ArrayLike, bank: MemoryBank,
                history: History | None = None) -> Imagined:
        """
        Imagine one step twice: with the memories of the bank, and without any.

        Arguments as for rollout; action: [action_dim]; the bank best first, beyond topk they are
        left out.  The two futures, B = 2, are what predict_next gives; the first tells what it
        rests on.
        """
        plans = np.tile(as_action(action, self.metadata.action_dim), (2, 1, 1))
        return self._imagined(self._inputs.of_rollout(
            z, plans, bank.first(self.metadata.topk), history, [True, False]))

    def _imagined(self, plans: Plans) -> Imagined:
        with torch.inference_mode():
            found = self._network.rollout(*plans)
            parts = [part.cpu().numpy() for part in (
                found.position, found.rotation, self._sigma(found.log_variance),
                torch.where(found.weights > 0.0, found.chosen, -1), found.weights)]
        z = self._latents('transition', found.z, 'imagine fewer steps, or load another bundle')
        return Imagined(z, *parts)

    def decode_image(self, z: ArrayLike) -> Picture:
        """Return the picture of a latent, uint8 [S, S, 3]; raises LatentError."""
        latent = self._inputs.row(as_latent(z, self.metadata.z_dim))
        with torch.inference_mode():
            rgb = (self._network.decode(latent)[0] * 255.0).round().to(torch.uint8)
            picture: Picture = rgb.permute(1, 2, 0).contiguous().cpu().numpy()
        return picture

    def _sigma(self, log_variance: torch.Tensor) -> torch.Tensor:
        has_it = self.metadata.transition['uncertainty']
        return (0.5 * log_variance).exp() if has_it else torch.full_like(log_variance, torch.nan)

    def _latent(self, part: str, z: torch.Tensor) -> Vector:
        latent: Vector = self._latents(part, z)[0]
        return latent

    def _latents(self, part: str, z: torch.Tensor,
                 remedy: str = 'load another bundle') -> Vector:
        latents: Vector = z.cpu().numpy()
        if not np.isfinite(latents).all():
            raise LatentError(f'the {part} of model {self.model_id} gives a latent that is not '
                              f'finite; {remedy}')
        return latents

    def _warm_up(self) -> None:
        side, z_dim = self.metadata.image_size, self.metadata.z_dim
        blank = np.zeros((side, side, 3), np.uint8)
        action = np.zeros(self.metadata.action_dim, np.float32)
        for _ in range(_WARM_UP_CALLS):
            z = self.encode_image(blank)
            self.predict_next(z, action, np.zeros((0, z_dim), np.float32))
            self.rollout(z, action[None, None])
            self.foresee(z, action, MemoryBank.empty(z_dim, len(action)))
            self.decode_image(z)
