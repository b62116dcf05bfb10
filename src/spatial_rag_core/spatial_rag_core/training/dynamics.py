"""Teaching a transition to foresee latents, with the memories that a robot would have had."""

from __future__ import annotations

from typing import Any

from spatial_rag_core.models.imagination import Imagination, Rollout
from spatial_rag_core.models.transition_config import TransitionConfig
from spatial_rag_core.training.dynamics_config import DynamicsConfig
from spatial_rag_core.training.windows import Windows, WindowSet

import lightning
import torch
from torch import nn
from torch.nn import functional

_CLIP_DISTANCE_M2 = 4.0
_SHORTEST_CYCLE = 11  # steps of a learning rate's rise and fall; torch divides by 0 at 10
_STANDSTILL = 1e-9  # error of copying where nothing moved


class DynamicsModule(lightning.LightningModule):
    """
    A rollout and its losses.

    Latents: mean squared error over the horizon. Way: squared metres and rotation columns of the
    imagined pose, held below a limit. Uncertainty: Gaussian likelihood of the latent's error,
    which teaches nothing else (Nix and Weigend 1994).
    """

    def __init__(self, transition: TransitionConfig, config: DynamicsConfig) -> None:
        super().__init__()
        self.config = config
        self.network = Imagination(transition)
        _start_calm(self.network)

    def training_step(self, batch: Windows, batch_index: int) -> torch.Tensor:
        """Return the loss of a batch."""
        loss, terms = self._loss(batch)
        self.log('train/latent_mse', terms['latent_mse'], prog_bar=True)
        self.log('train/pose_error', terms['pose_error'])
        return loss

    def _loss(self, batch: Windows) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Return the weighted sum of the losses, and what of it is worth a look."""
        rollout = self._imagine(batch)
        error = _latent_errors(rollout, batch)  # [B, T]
        way = _pose_errors(rollout, batch).clamp(max=_CLIP_DISTANCE_M2).mean()
        surprise = 0.5 * (error.detach() * torch.exp(-rollout.log_variance)
                          + rollout.log_variance).mean()
        loss = (error.mean() + self.config.displacement_weight * way
                + self.config.uncertainty_weight * surprise)
        return loss, {'latent_mse': error.mean().detach(), 'pose_error': way.detach()}

    def on_validation_epoch_start(self) -> None:
        """Begin the sums."""
        self._sums = torch.zeros(2, dtype=torch.float64)

    def validation_step(self, batch: Windows, batch_index: int) -> None:
        """Add a batch's errors and those of copying the last latent."""
        error = _latent_errors(self._imagine(batch), batch)[:, -1].sum()
        copied = (batch.z[:, -1] - batch.z[:, 0]).square().mean(dim=1).sum()
        self._sums += torch.stack([error, copied]).cpu().double()

    def on_validation_epoch_end(self) -> None:
        """Log the error after the whole horizon, relative to copying the last latent."""
        error, copied = self._sums.tolist()
        self.log('valid/relative_error', error / max(copied, _STANDSTILL), prog_bar=True)

    def configure_optimizers(self) -> Any:
        """AdamW; the learning rate rises for a tenth of the steps, then falls by a cosine."""
        config = self.config
        optimizer = torch.optim.AdamW(self.parameters(), config.learning_rate,
                                      weight_decay=config.weight_decay)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, config.learning_rate, pct_start=0.1,
            total_steps=max(config.training_steps + 1, _SHORTEST_CYCLE))
        return {'optimizer': optimizer,
                'lr_scheduler': {'scheduler': schedule, 'interval': 'step'}}

    def _imagine(self, batch: Windows) -> Rollout:
        hidden = self.network.transition.warm_up(batch.history_z, batch.history_a)
        rollout: Rollout = self.network(batch.z[:, 0], batch.actions, batch.bank, hidden)
        return rollout


def fit_dead_reckoning(network: Imagination, windows: WindowSet) -> None:
    """Set the way that an action leads, by least squares over all windows' first steps."""
    action, there = windows.first_steps
    moved = _displacements(there)  # [W, 6]
    action = functional.pad(action, [0, 1], value=1.0)
    # float64: with few windows or an action that never changes the system is badly conditioned.
    solution = torch.linalg.pinv(action.double()) @ moved.double()
    reckoning = network.transition.dead_reckoning
    with torch.no_grad():
        reckoning.weight.copy_(solution[:-1].T)
        reckoning.bias.copy_(solution[-1])


def _start_calm(network: Imagination) -> None:
    """Begin near "nothing changes": large first predictions drown what is to be learned."""
    transition = network.transition
    last = transition.mlp[2]
    assert isinstance(last, nn.Linear)
    with torch.no_grad():
        last.weight.mul_(0.1)
        for head in (transition.foreseen, transition.displacement):
            if head is not None:
                head.weight.mul_(0.01)
                head.bias.zero_()
        if transition.agreement is not None:
            transition.agreement.out.weight.mul_(0.01)
            transition.agreement.out.bias.zero_()
        if transition.point is not None:
            transition.point.bias.fill_(-1.0)


def _latent_errors(rollout: Rollout, batch: Windows) -> torch.Tensor:
    return (rollout.z - batch.z[:, 1:]).square().mean(dim=2)  # [B, T]


def _pose_errors(rollout: Rollout, batch: Windows) -> torch.Tensor:
    """Squared distance [m^2] plus that of the first two columns of the rotation, [B, T]."""
    pose = batch.poses[:, 1:]
    columns = torch.cat([rollout.rotation[..., 0], rollout.rotation[..., 1]], dim=2)
    return ((rollout.position - pose[..., :3]).square().sum(dim=2)
            + (columns - pose[..., 3:]).square().sum(dim=2))


def _displacements(there: torch.Tensor) -> torch.Tensor:
    """Poses [W, 9] as seen from where the robot was, as [W, 6] (m, rad)."""
    rotation = torch.stack([there[:, 3:6], there[:, 6:],
                            torch.linalg.cross(there[:, 3:6], there[:, 6:])], dim=2)
    return torch.cat([there[:, :3], rotation_vectors(rotation)], dim=1)


def rotation_vectors(rotation: torch.Tensor) -> torch.Tensor:
    """Axis times angle [rad] [W, 3] of rotation matrices [W, 3, 3] below half a turn."""
    axis = 0.5 * torch.stack([rotation[:, 2, 1] - rotation[:, 1, 2],
                              rotation[:, 0, 2] - rotation[:, 2, 0],
                              rotation[:, 1, 0] - rotation[:, 0, 1]], dim=1)
    sine = axis.norm(dim=1)
    angle = torch.atan2(sine, 0.5 * (rotation.diagonal(dim1=1, dim2=2).sum(dim=1) - 1.0))
    return axis * torch.where(sine > 1e-7, angle / sine, 1.0)[:, None]
