"""The four pictures of a moment: seen, remembered by the latent, expected, and recalled."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TYPE_CHECKING

from spatial_rag_core.data.pictures import Rgb, rgb_of
from spatial_rag_core.records import Vector

if TYPE_CHECKING:  # it brings torch
    from spatial_rag_core.models.bundle import Bundle


Make = Callable[[], Rgb | None]
"""Makes a picture uint8 [H, W, 3]; None where there is none. Raises ImageError."""


class MomentPictures(NamedTuple):
    """
    What makes each picture, for nobody may want to see it.

    camera: as the encoder saw it.  decoded, decoded_next: what the decoder makes of z_t and of
    the predicted z_{t+1}.  best_memory: of the recalled memory whose latent is nearest.
    """

    camera: Make
    decoded: Make
    decoded_next: Make
    best_memory: Make


class _Jpeg(NamedTuple):
    data: bytes
    format: str = 'jpeg'


def moment_pictures(bundle: Bundle | None, thumbnail: bytes, z: Vector, z_next: Vector | None,
                    best_thumbnail: Callable[[], bytes]) -> MomentPictures:
    """
    Pictures of a moment.

    thumbnail: the camera's, JPEG or empty.  z, z_next: float32 [z_dim].  best_thumbnail: called
    for that of the best memory only where its picture is made.
    """
    return MomentPictures(
        lambda: _rgb_of(thumbnail), lambda: _decoded(bundle, z), lambda: _decoded(bundle, z_next),
        lambda: _rgb_of(best_thumbnail()))


def _rgb_of(jpeg: bytes) -> Rgb | None:
    return rgb_of(_Jpeg(jpeg)) if jpeg else None


def _decoded(bundle: Bundle | None, z: Vector | None) -> Rgb | None:
    return None if bundle is None or z is None else bundle.decode_image(z)
