"""Pictures that strangers send, decoded within bounds."""

from __future__ import annotations

import base64
import binascii
import struct
from typing import NamedTuple

from spatial_rag_api.limits import MAX_PICTURE_PIXELS
from spatial_rag_core.data.pictures import depth_of, DepthMap, Rgb, rgb_of
from spatial_rag_core.errors import ImageError

_KINDS = ((b'\xff\xd8\xff', 'JPEG'), (b'\x89PNG\r\n\x1a\n', 'PNG'))
"""How these files begin. OpenCV reads more kinds, with less tested readers: they are refused."""


class _Compressed(NamedTuple):
    """What pictures.py reads of a compressed message."""

    format: str
    data: bytes


def rgb_from(encoded: bytes) -> Rgb:
    """
    Decode a JPEG or PNG to uint8 [H, W, 3] RGB.

    Of 16 bits the upper 8 are taken, CMYK and grey become RGB, alpha is left out, and the
    picture is turned as its EXIF says. Raises ImageError, also for more than MAX_PICTURE_PIXELS,
    before any memory is taken for them.
    """
    kind = _kind_of(encoded, 'picture')
    _check_size(encoded, kind)
    return rgb_of(_Compressed(kind, encoded))


def depth_from(encoded: bytes) -> DepthMap:
    """Decode a PNG of 16 bits, millimetres, to float32 [H, W] [m]; raises ImageError."""
    if _kind_of(encoded, 'depth') != 'PNG':
        raise ImageError('a depth map must be a PNG of 16 bits, one channel, millimetres; got a '
                         'JPEG, which loses depth; send a PNG')
    _check_size(encoded, 'PNG')
    return depth_of(_Compressed('png', encoded))


def bytes_from_base64(text: str) -> bytes:
    """Decode base64, with or without line breaks or a data: prefix; raises ImageError."""
    if text.startswith('data:'):
        text = text.partition(',')[2]
    try:
        return base64.b64decode(''.join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ImageError(f'picture_base64 is not base64 ({error}); encode the bytes of a JPEG or '
                         'PNG file') from error


def to_base64(jpeg: bytes) -> str:
    """Bytes as JSON carries them."""
    return base64.b64encode(jpeg).decode('ascii')


def _kind_of(encoded: bytes, name: str) -> str:
    for beginning, kind in _KINDS:
        if encoded.startswith(beginning):
            return kind
    raise ImageError(f'the {name} of {len(encoded)} bytes is no JPEG and no PNG (it begins with '
                     f'{encoded[:4].hex() or "nothing"}); send one of these')


def _check_size(encoded: bytes, kind: str) -> None:
    """Raise ImageError for a picture whose head tells too many pixels, or no size at all."""
    size = _png_size(encoded) if kind == 'PNG' else _jpeg_size(encoded)
    if size is None:
        raise ImageError(f'the {kind} of {len(encoded)} bytes tells no size; is it whole?')
    if size[0] * size[1] > MAX_PICTURE_PIXELS:
        raise ImageError(f'the picture is {size[0]}x{size[1]} px, at most {MAX_PICTURE_PIXELS} px '
                         'are decoded; scale it down')


def _png_size(encoded: bytes) -> tuple[int, int] | None:
    """Width and height [px] in IHDR, which comes first (PNG specification, 11.2.2)."""
    if encoded[12:16] != b'IHDR' or len(encoded) < 24:
        return None
    width, height = struct.unpack_from('>II', encoded, 16)
    return width, height


def _jpeg_size(encoded: bytes) -> tuple[int, int] | None:
    """Width and height [px] in the first frame header (ITU-T T.81, B.2.2); others are skipped."""
    at = 2
    while at + 9 <= len(encoded) and encoded[at] == 0xFF:
        marker, length = encoded[at + 1], int.from_bytes(encoded[at + 2:at + 4], 'big')
        if marker == 0xFF:  # a fill byte
            at += 1
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from('>HH', encoded, at + 5)
            return width, height
        else:
            at += 2 + length
    return None
