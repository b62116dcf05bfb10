"""The parameters of the transition predictor."""

from __future__ import annotations

from spatial_rag_core.settings import Settings
from spatial_rag_nodes import shared_parameters
from spatial_rag_nodes.motion_inputs import ACTION_PARAMETERS, POSE_PARAMETERS
from spatial_rag_nodes.parameters import Parameter
from spatial_rag_nodes.predictor_services import ROLLOUT_PARAMETERS
from spatial_rag_nodes.surprise_watch import SURPRISE_PARAMETERS


def declared(settings: Settings) -> tuple[Parameter, ...]:
    """All of them."""
    return (
        *shared_parameters.START,
        *shared_parameters.model(settings),
        shared_parameters.z_dim(settings),
        shared_parameters.action_dim(settings),
        *POSE_PARAMETERS,
        *ACTION_PARAMETERS,
        Parameter('retrieval_timeout_sec', 0.025, 'A prediction waits this long for memories, '
                  'then goes out without', 's', 0.001, 1.0),
        *SURPRISE_PARAMETERS,
        *ROLLOUT_PARAMETERS,
        shared_parameters.LATENCY_BUDGET,
    )
