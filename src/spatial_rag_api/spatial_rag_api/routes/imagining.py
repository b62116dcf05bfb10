"""POST /predict, POST /rollout."""

from __future__ import annotations

from spatial_rag_api.limits import MAX_PICTURES, MAX_STEPS_IN_ALL
from spatial_rag_api.parts import AppParts, Parts
from spatial_rag_api.routes.answers import problems
from spatial_rag_api.schemas.imagining import (
    ImaginedPlan,
    Prediction,
    Predictions,
    PredictRequest,
    RolloutRequest,
    Rollouts,
    Step,
)
from spatial_rag_core.errors import ActionError, ConfigurationError
from spatial_rag_core.models.imagined import as_plans
from spatial_rag_core.records import as_latent, Vector

from fastapi import APIRouter

router = APIRouter(tags=['model'], responses=problems(400, 404, 408, 409, 422, 503))


@router.post('/predict', summary='One step ahead, for each of some actions')
async def predict(asked: PredictRequest, parts: AppParts) -> Predictions:
    """Return what is expected one step after each action, and which memories it rests on."""
    plans = plans_from([[action] for action in asked.actions], parts.model.metadata.action_dim)
    found = await parts.imaginer.imagine(asked, plans)
    return Predictions(**found.facts, predictions=[
        Prediction(z_next=step.z, sigma=step.sigma, pose=step.pose, memories=step.memories)
        for step, in found.plans])


@router.post('/rollout', summary='Plans of actions, imagined to their ends')
async def rollout(asked: RolloutRequest, parts: AppParts) -> Rollouts:
    """Return every imagined step of every plan; memories are looked up at each imagined pose."""
    _check_size(asked)
    plans = plans_from(asked.plans, parts.model.metadata.action_dim)
    found = await parts.imaginer.imagine(asked, plans)
    imagined = found.plans
    if asked.pictures:
        imagined = [[await _with_picture(step, parts) for step in steps] for steps in imagined]
    return Rollouts(**found.facts, plans=[ImaginedPlan(steps=steps) for steps in imagined])


def plans_from(plans: list[list[list[float]]], action_dim: int) -> Vector:
    """Actions float32 [B, T, action_dim]; raises ActionError, plans of two lengths among them."""
    lengths = sorted({len(plan) for plan in plans})
    if len(lengths) > 1:
        raise ActionError(f'plans have {lengths[0]} to {lengths[-1]} steps; give all the same '
                          'number, or ask in parts')
    return as_plans(plans, action_dim)


def _check_size(asked: RolloutRequest) -> None:
    most = MAX_PICTURES if asked.pictures else MAX_STEPS_IN_ALL
    steps = sum(map(len, asked.plans))
    if steps > most:
        raise ConfigurationError(
            f'{len(asked.plans)} plans have {steps} steps, at most {most} are imagined at once'
            f'{" with pictures" if asked.pictures else ""}; ask in parts')


async def _with_picture(step: Step, parts: Parts) -> Step:
    picture = await parts.model.picture(as_latent(step.z))
    return step.model_copy(update={'picture_base64': picture})
