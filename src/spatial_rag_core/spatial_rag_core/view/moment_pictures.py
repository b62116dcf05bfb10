"""The four pictures of a moment: seen, remembered by the latent, expected, and recalled."""

from __future__ import annotations

from typing import NamedTuple, TYPE_CHECKING

from spatial_rag_core.data.pictures import Rgb, rgb_of
from spatial_rag_core.records import Vector

if TYPE_CHECKING:  # it brings torch
    from spatial_rag_core.models.bundle import Bundle
    from spatial_rag_core.view.moment import Foresight, Moment


class MomentPictures(NamedTuple):
    """
    Pictures uint8 [H, W, 3]; None where there is none.

    camera: as the encoder saw it.  decoded, decoded_next: what the decoder makes of z_t and of
    the predicted z_{t+1}.  best_memory: of the recalled memory whose latent is nearest.
    """

    camera: Rgb | None
    decoded: Rgb | None
    decoded_next: Rgb | None
    best_memory: Rgb | None


class _Jpeg(NamedTuple):
    data: bytes
    format: str = 'jpeg'


def rgb_of_thumbnail(jpeg: bytes) -> Rgb | None:
    """Return a picture uint8 [H, W, 3]; None where jpeg is empty. Raises ImageError."""
    return rgb_of(_Jpeg(jpeg)) if jpeg else None


def moment_pictures(bundle: Bundle | None, thumbnail: bytes, moment: Moment,
                    foresight: Foresight | None) -> MomentPictures:
    """Pictures of a moment whose picture is `thumbnail`, a JPEG; raises ImageError."""
    best, z_next = moment.best(), None if foresight is None else foresight.z[0]
    return MomentPictures(
        rgb_of_thumbnail(thumbnail), decoded(bundle, moment.z), decoded(bundle, z_next),
        None if best is None else rgb_of_thumbnail(best.thumbnail))


def decoded(bundle: Bundle | None, z: Vector | None) -> Rgb | None:
    """What the decoder makes of a latent [z_dim]; None where there is no bundle or no latent."""
    return None if bundle is None or z is None else bundle.decode_image(z)
