"""The parameters of the encoder."""

from __future__ import annotations

from spatial_rag_core.settings import Settings
from spatial_rag_nodes import shared_parameters
from spatial_rag_nodes.parameters import Parameter
from spatial_rag_nodes.picture_inputs import PICTURE_TYPES


def declared(settings: Settings) -> tuple[Parameter, ...]:
    """All of them."""
    return (
        *shared_parameters.START,
        *shared_parameters.model(settings),
        shared_parameters.z_dim(settings),
        Parameter('publish_rate', 20.0, "At most so many latents a second of the pictures' own "
                  'time', 'Hz', 0.1, 1000.0, live=True),
        Parameter('image_transport', 'raw', 'Topic of the pictures: camera/image_raw (raw) or '
                  'camera/image_raw/compressed', choices=('raw', 'compressed')),
        Parameter('depth_transport', 'raw', 'Topic of the depth maps, for a model that uses '
                  'depth: camera/depth/image_raw, …/compressed or …/compressedDepth',
                  choices=tuple(PICTURE_TYPES)),
        Parameter('depth_tolerance_sec', 0.02, 'A depth map belongs to a picture at most this '
                  'far away in time', 's', 0.0, 1.0),
        Parameter('depth_wait_sec', 0.03, 'How long a picture waits for its depth map', 's',
                  0.0, 1.0),
        Parameter('thumbnail_quality', 90, 'JPEG quality of the picture kept with each memory; '
                  '0: none', '', 0, 100, live=True),
        shared_parameters.LATENCY_BUDGET,
    )
