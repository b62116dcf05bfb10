"""What a caller gives, as the tensors that a bundle's network takes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from spatial_rag_core.errors import ActionError, ConfigurationError, InputError, PoseError
from spatial_rag_core.models.bundle_metadata import BundleMetadata
from spatial_rag_core.models.imagined import as_plans, bank_arrays, History, history_arrays
from spatial_rag_core.models.memory_bank import MemoryBank
from spatial_rag_core.models.model_input import (
    as_proprio,
    padded_rows,
    resized_depth,
    resized_rgb,
)
from spatial_rag_core.records import as_action, as_latent
from spatial_rag_core.spatial.pose_arrays import POSE_CHANNELS

import numpy as np
from numpy.typing import ArrayLike, NDArray
import torch
from torch import Tensor

MaybeTensor = Tensor | None
Encoding = tuple[Tensor, MaybeTensor, MaybeTensor]
Prediction = tuple[Tensor, Tensor, Tensor, Tensor,
                   MaybeTensor, MaybeTensor, MaybeTensor, MaybeTensor]
Plans = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, MaybeTensor, MaybeTensor]


class BundleInputs:
    """
    Arrays to tensors on the bundle's device, checked: each error names the input and the remedy.

    Whatever the caller has, a network call gets the same set of inputs: TorchScript specialises
    anew for another one, and that costs a frame.
    """

    def __init__(self, metadata: BundleMetadata, device: torch.device) -> None:
        self._metadata = metadata
        self._device = device

    def of_encoding(self, rgb: NDArray[Any], depth_m: NDArray[Any] | None,
                    proprio: ArrayLike | None) -> Encoding:
        """Arguments of WorldModel.encode; see Bundle.encode_image."""
        return (*self.of_features(rgb, depth_m), self._proprio(proprio))

    def of_features(self, rgb: NDArray[Any], depth_m: NDArray[Any] | None,
                    ) -> tuple[Tensor, MaybeTensor]:
        """Arguments of WorldModel.features; see Bundle.feature_map."""
        return self.pictures([rgb]), self.depth(depth_m)

    def of_prediction(self, z: ArrayLike, action: ArrayLike, memories: ArrayLike,
                      memory_pose: ArrayLike | None, memory_action: ArrayLike | None,
                      history: History | None) -> Prediction:
        """Arguments of WorldModel.predict; see Bundle.predict_next."""
        meta = self._metadata
        n = len(np.atleast_1d(np.asarray(memories, np.float32)))
        return (
            self.row(as_latent(z, meta.z_dim)), self.row(as_action(action, meta.action_dim)),
            self._tensor(padded_rows('memories', memories, (n, meta.z_dim), meta.topk)),
            self.row(np.arange(meta.topk) < n),
            self._rows('memory_pose', meta.uses_memory_pose, memory_pose,
                       (n, POSE_CHANNELS), PoseError),
            self._rows('memory_action', meta.uses_memory_action, memory_action,
                       (n, meta.action_dim), ActionError),
            *self._history(history, 1))

    def of_rollout(self, z: ArrayLike, actions: ArrayLike, bank: MemoryBank | None,
                   history: History | None, has_bank: Sequence[bool] = (True,)) -> Plans:
        """Arguments of WorldModel.rollout; has_bank: of each plan, or one for all."""
        meta = self._metadata
        plans = as_plans(actions, meta.action_dim)
        b = len(plans)
        latents, mask, pose, action = bank_arrays(bank, meta.z_dim, meta.action_dim)
        masks = self._repeated(mask, b) & self._tensor(np.array(has_bank)[:, None])
        return (self._repeated(as_latent(z, meta.z_dim)[None], b), self._tensor(plans),
                self._repeated(latents, b), masks, self._repeated(pose, b),
                self._repeated(action, b), *self._history(history, b))

    def row(self, vector: NDArray[Any]) -> Tensor:
        """One row [1, …] of what the network takes."""
        return self._tensor(vector).unsqueeze(0)

    def pictures(self, rgb: Iterable[NDArray[Any]]) -> Tensor:
        """Pictures uint8 [N, H, W, 3] of any size to float [N, 3, S, S] in 0..1."""
        resized = [resized_rgb(picture, self._metadata.image_size) for picture in rgb]
        pictures = self._tensor(np.stack(resized)).permute(0, 3, 1, 2)
        return pictures.to(torch.float32) / 255.0

    def depth(self, depth_m: NDArray[Any] | None) -> MaybeTensor:
        """Float [1, 1, S, S] [m], or None for a model without that input."""
        side = self._metadata.image_size
        _refuse_unused('depth_m', depth_m, self._metadata.uses_depth)
        if not self._metadata.uses_depth:
            return None
        depth = np.zeros((side, side), np.float32) if depth_m is None else (
            resized_depth(depth_m, side))
        return self._tensor(depth)[None, None]

    def _proprio(self, proprio: ArrayLike | None) -> MaybeTensor:
        size = self._metadata.proprio_dim
        _refuse_unused('proprio', proprio, size > 0)
        if not size:
            return None
        values = np.full(size, np.nan, np.float32) if proprio is None else (
            as_proprio(proprio, size))
        return self.row(values)

    def _history(self, history: History | None, batch: int) -> tuple[MaybeTensor, MaybeTensor]:
        """The newest `metadata.history` moments, all where there are fewer; None for 0."""
        meta = self._metadata
        if not meta.history:
            return None, None
        z, actions = history_arrays(history, meta.history, meta.z_dim, meta.action_dim)
        return self._repeated(z, batch), self._repeated(actions, batch)

    def _rows(self, name: str, used: bool, rows: ArrayLike | None, shape: tuple[int, int],
              error: type[InputError]) -> MaybeTensor:
        _refuse_unused(name, rows, used)
        if not used:
            return None
        given = np.zeros(shape, np.float32) if rows is None else rows
        return self._tensor(padded_rows(name, given, shape, self._metadata.topk, error))

    def _repeated(self, row: NDArray[Any], batch: int) -> Tensor:
        """One row [1, …] for each of a batch, without copying it."""
        tensor = self._tensor(row)
        return tensor.expand(batch, *tensor.shape[1:])

    def _tensor(self, array: NDArray[Any]) -> Tensor:
        return torch.from_numpy(array).to(self._device)


def _refuse_unused(name: str, value: object, used: bool) -> None:
    if value is not None and not used:
        raise ConfigurationError(
            f'this model has no input {name}; leave it out, or load a bundle that has it')
