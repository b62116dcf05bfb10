"""Plans and imagined futures, to messages and back; arrays row by row."""

from __future__ import annotations

from array import array
from dataclasses import dataclass

from spatial_rag_core.errors import ActionError, ConfigurationError
from spatial_rag_core.models.imagined import Imagined
from spatial_rag_core.records import Pose, Vector
from spatial_rag_core.spatial.pose_arrays import pose_array, PoseArray, poses_from
from spatial_rag_msgs.srv import Rollout
from spatial_rag_nodes.conversions import floats_from_vector
from spatial_rag_nodes.images import rgb_from_msg

import numpy as np
from numpy.typing import ArrayLike, NDArray

MAX_PLANS, MAX_STEPS, MAX_STEPS_IN_ALL, MAX_PICTURES = 1024, 256, 16_384, 256
_ORIGIN = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0])


@dataclass(frozen=True, eq=False)
class RolloutResult:
    """
    B imagined futures of T steps, each step_sec [s] long.

    z: latents, float32 [B, T, z_dim].  poses: float64 [B, T, 7], see pose_arrays.py, in frame_id;
    frame_id empty: relative to the start.  uncertainty: expected RMS error of each latent number,
    float32 [B, T].  memory_ids: the N memories at hand; memory_rows: which of them each step
    rests on, int32 [B, T, K], -1: none; weights: how much, float32 [B, T, K].
    pictures: uint8 [B, T, S, S, 3], or None.  note: why there are no memories, or empty.
    """

    model_id: str
    step_sec: float
    frame_id: str
    z: Vector
    poses: PoseArray
    uncertainty: Vector
    memory_ids: tuple[str, ...]
    memory_rows: NDArray[np.int32]
    weights: Vector
    pictures: NDArray[np.uint8] | None
    note: str


def plans_from_request(request: Rollout.Request, action_dim: int) -> Vector:
    """Actions float32 [plans, steps, action_dim]; raises ConfigurationError, ActionError."""
    plans, count = request.plans or 1, len(request.actions)
    if plans > MAX_PLANS:
        raise ConfigurationError(f'plans must lie between 1 and {MAX_PLANS}, got {plans}')
    if not count or count % (plans * action_dim):
        raise ActionError(f'{count} numbers are not {plans} plans of actions of {action_dim} '
                          'numbers each; send plans × steps × action_dim')
    steps = count // (plans * action_dim)
    most = MAX_PICTURES if request.with_pictures else MAX_STEPS_IN_ALL
    if steps > MAX_STEPS or plans * steps > most:
        raise ConfigurationError(
            f'{plans} plans of {steps} steps are too many: at most {MAX_STEPS} steps each, and '
            f'{most} in all{" with pictures" if request.with_pictures else ""}; ask in parts')
    return np.array(request.actions, np.float32).reshape(plans, steps, action_dim)


def fill_rollout(response: Rollout.Response, imagined: Imagined, start: Pose | None) -> None:
    """
    Write an imagined future into the response.

    start: pose in the map frame; None: it is not known, and poses are as seen from it.
    """
    plans, steps, rows = imagined.memory_rows.shape
    response.plans, response.steps, response.memories_per_step = plans, steps, rows
    response.latents = floats_from_vector(imagined.z)
    response.poses = array('d', poses_from(
        _ORIGIN if start is None else pose_array(start), imagined.position,
        imagined.rotation).tobytes())
    response.uncertainty = floats_from_vector(imagined.sigma)
    response.memory_rows = array('i', imagined.memory_rows.astype(np.int32).tobytes())
    response.memory_weights = floats_from_vector(imagined.weights)


def rollout_from_response(response: Rollout.Response) -> RolloutResult:
    """What the service answered; raises ImageError for a picture that cannot be read."""
    shape = response.plans, response.steps

    def shaped(values: ArrayLike, kind: type[np.generic], last: int) -> NDArray[np.generic]:
        return np.array(values, kind).reshape(*shape, last)
    pictures = [rgb_from_msg(picture) for picture in response.pictures]
    z_dim = len(response.latents) // max(response.plans * response.steps, 1)
    return RolloutResult(
        response.model_id, response.step_sec, response.header.frame_id,
        shaped(response.latents, np.float32, z_dim), shaped(response.poses, np.float64, 7),
        shaped(response.uncertainty, np.float32, 1)[..., 0], tuple(response.memory_ids),
        shaped(response.memory_rows, np.int32, response.memories_per_step),
        shaped(response.memory_weights, np.float32, response.memories_per_step),
        np.stack(pictures).reshape(*shape, *pictures[0].shape) if pictures else None,
        response.message)
