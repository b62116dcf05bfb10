"""A loaded model file: NumPy in, NumPy out, no surprise in the first frame."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from spatial_rag_core.errors import (
    ActionError,
    BundleError,
    ConfigurationError,
    InputError,
    LatentError,
    PoseError,
)
from spatial_rag_core.models.bundle_file import (
    model_id_of,
    open_network,
    save_bundle,
    torch_device,
)
from spatial_rag_core.models.bundle_metadata import BundleMetadata, check_dimensions, read_metadata
from spatial_rag_core.models.imagined import (
    as_plans,
    bank_arrays,
    history_arrays,
    History,
    Imagined,
)
from spatial_rag_core.models.memory_bank import MemoryBank
from spatial_rag_core.models.model_input import (
    as_proprio,
    padded_rows,
    Picture,
    resized_depth,
    resized_rgb,
)
from spatial_rag_core.models.relative_pose import POSE_CHANNELS
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
    """
    A world model at work; every call is one frame and runs in inference mode.

    Each network call has the same shapes and the same set of inputs whatever the caller has:
    TorchScript specialises anew for new ones, and that costs a frame.
    """

    def __init__(self, metadata: BundleMetadata, network: WorldModel,
                 device: torch.device) -> None:
        self.metadata = metadata
        self.device = device
        self._network = network

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
            z = self._network.encode(self._picture(rgb), self._depth(depth_m),
                                     self._proprio(proprio))
        return self._result('encoder', z)

    def feature_map(self, rgb: NDArray[Any], depth_m: NDArray[Any] | None = None) -> Vector:
        """Return the encoder's features, float32 [512, S/32, S/32]; arguments as above."""
        with torch.inference_mode():
            features = self._network.features(self._picture(rgb), self._depth(depth_m))
            found: Vector = features[0].cpu().numpy()
        return found

    def encode_images(self, rgb: NDArray[Any]) -> Vector:
        """Return the latents of N pictures, uint8 [N, S, S, 3], float32 [N, z_dim]."""
        parts = [self._encode_resized(rgb[start:start + _PICTURES_AT_ONCE])
                 for start in range(0, len(rgb), _PICTURES_AT_ONCE)]
        return np.concatenate([np.zeros((0, self.metadata.z_dim), np.float32), *parts])

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
        meta = self.metadata
        now = self._tensor(as_latent(z, meta.z_dim)).unsqueeze(0)
        act = self._tensor(as_action(action, meta.action_dim)).unsqueeze(0)
        n = len(np.atleast_1d(np.asarray(memories, np.float32)))
        retrieved = self._tensor(padded_rows('memories', memories, (n, meta.z_dim), meta.topk))
        mask = self._tensor(np.arange(meta.topk) < n).unsqueeze(0)
        pose = self._rows('memory_pose', meta.uses_memory_pose, memory_pose,
                          (n, POSE_CHANNELS), PoseError)
        actions = self._rows('memory_action', meta.uses_memory_action, memory_action,
                             (n, meta.action_dim), ActionError)
        with torch.inference_mode():
            z_next = self._network.predict(now, act, retrieved, mask, pose, actions,
                                           *self._history(history, 1))
        return self._result('transition', z_next)

    def rollout(self, z: ArrayLike, actions: ArrayLike, bank: MemoryBank | None = None,
                history: History | None = None) -> Imagined:
        """
        Imagine B futures of T steps from one latent.

        actions: float32 [B, T, action_dim].  bank: the memories around the robot, as seen from
        it; they are looked up again at each imagined pose.  Raises LatentError, ActionError.
        """
        meta = self.metadata
        plans = as_plans(actions, meta.action_dim)
        batch = len(plans)
        now = as_latent(z, meta.z_dim)[None]
        banked = bank_arrays(bank, meta.z_dim, meta.action_dim)
        with torch.inference_mode():
            found = self._network.rollout(
                self._repeated(now, batch), self._tensor(plans),
                self._repeated(banked[0], batch), self._repeated(banked[1], batch),
                self._repeated(banked[2], batch), self._repeated(banked[3], batch),
                *self._history(history, batch))
            parts = [part.cpu().numpy() for part in (
                found.z, found.position, found.rotation, (0.5 * found.log_variance).exp(),
                found.chosen, found.weights)]
        if not np.isfinite(parts[0]).all():
            raise LatentError(f'the transition of model {self.model_id} imagines a latent that is '
                              'not finite; imagine fewer steps, or load another bundle')
        return Imagined(*parts)

    def decode_image(self, z: ArrayLike) -> Picture:
        """Return the picture of a latent, uint8 [S, S, 3]; raises LatentError."""
        latent = self._tensor(as_latent(z, self.metadata.z_dim)).unsqueeze(0)
        with torch.inference_mode():
            rgb = (self._network.decode(latent)[0] * 255.0).round().to(torch.uint8)
            picture: Picture = rgb.permute(1, 2, 0).contiguous().cpu().numpy()
        return picture

    def _picture(self, rgb: NDArray[Any]) -> torch.Tensor:
        """Float [1, 3, S, S] in 0..1."""
        picture = self._tensor(self.resize(rgb)).permute(2, 0, 1).unsqueeze(0)
        return picture.to(torch.float32) / 255.0

    def _depth(self, depth_m: NDArray[Any] | None) -> torch.Tensor | None:
        side = self.metadata.image_size
        _refuse_unused('depth_m', depth_m, self.metadata.uses_depth)
        if not self.metadata.uses_depth:
            return None
        depth = np.zeros((side, side), np.float32) if depth_m is None else (
            resized_depth(depth_m, side))
        return self._tensor(depth)[None, None]

    def _proprio(self, proprio: ArrayLike | None) -> torch.Tensor | None:
        size = self.metadata.proprio_dim
        _refuse_unused('proprio', proprio, size > 0)
        if not size:
            return None
        values = np.full(size, np.nan, np.float32) if proprio is None else (
            as_proprio(proprio, size))
        return self._tensor(values).unsqueeze(0)

    def _encode_resized(self, rgb: NDArray[Any]) -> Vector:
        pictures = self._tensor(np.stack([self.resize(picture) for picture in rgb]))
        with torch.inference_mode():
            z = self._network.encode(pictures.permute(0, 3, 1, 2).to(torch.float32) / 255.0)
        found: Vector = z.cpu().numpy()
        return found

    def _history(self, history: History | None, batch: int,
                 ) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        """The newest `metadata.history` moments, or nothing where there are fewer."""
        meta = self.metadata
        if not meta.history:
            return None, None
        z, actions = history_arrays(history, meta.history, meta.z_dim, meta.action_dim)
        return self._repeated(z, batch), self._repeated(actions, batch)

    def _repeated(self, row: NDArray[Any], batch: int) -> torch.Tensor:
        """One row [1, …] for each of a batch, without copying it."""
        tensor = self._tensor(row)
        return tensor.expand(batch, *tensor.shape[1:])

    def _rows(self, name: str, used: bool, rows: ArrayLike | None, shape: tuple[int, int],
              error: type[InputError]) -> torch.Tensor | None:
        _refuse_unused(name, rows, used)
        if not used:
            return None
        given = np.zeros(shape, np.float32) if rows is None else rows
        return self._tensor(padded_rows(name, given, shape, self.metadata.topk, error))

    def _tensor(self, array: NDArray[Any]) -> torch.Tensor:
        return torch.from_numpy(array).to(self.device)

    def _result(self, part: str, z: torch.Tensor) -> Vector:
        vector: Vector = z[0].cpu().numpy()
        if not np.isfinite(vector).all():
            raise LatentError(f'the {part} of model {self.model_id} gives a latent that is not '
                              'finite; load another bundle')
        return vector

    def _warm_up(self) -> None:
        side, z_dim = self.metadata.image_size, self.metadata.z_dim
        blank = np.zeros((side, side, 3), np.uint8)
        action = np.zeros(self.metadata.action_dim, np.float32)
        for _ in range(_WARM_UP_CALLS):
            z = self.encode_image(blank)
            self.predict_next(z, action, np.zeros((0, z_dim), np.float32))
            self.rollout(z, action[None, None])
            self.decode_image(z)


def _refuse_unused(name: str, value: object, used: bool) -> None:
    if value is not None and not used:
        raise ConfigurationError(
            f'this model has no input {name}; leave it out, or load a bundle that has it')
