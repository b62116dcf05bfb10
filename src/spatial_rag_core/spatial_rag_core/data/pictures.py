"""
Pictures of messages to NumPy arrays: any common encoding, raw or compressed.

The messages are taken as they come, from rclpy or from the `rosbags` library: what has a
`format` is a CompressedImage, all else an Image.
"""

from __future__ import annotations

from collections.abc import Callable
import math
import os
import re
import struct
from typing import Any, cast, NamedTuple

from spatial_rag_core.data import MAX_PIXELS
from spatial_rag_core.errors import ImageError

import cv2
import numpy as np
from numpy.typing import NDArray

_DEPTH_ENCODINGS = ('16UC1', 'mono16', '32FC1')
_UNNAMED_COLORS = {'8UC1': 'mono8', '8UC3': 'bgr8', '8UC4': 'bgra8'}  # OpenCV's order
_PACKED_YUV = ('yuv422', 'uyvy', 'yuv422_yuy2', 'yuyv')
_CHANNELS = (
    (re.compile('(rgb|bgr)(?P<bits>8|16)'), 3), (re.compile('(rgba|bgra)(?P<bits>8|16)'), 4),
    (re.compile('(mono|bayer_[rgb]{4})(?P<bits>8|16)'), 1),
    (re.compile('(?P<bits>8|16|32|64)[USF]C(?P<channels>[1-4]?)'), 0),
)
_DEPTH_HEADER = struct.Struct('<iff')  # compressed_depth_image_transport: ConfigHeader

Rgb = NDArray[np.uint8]
DepthMap = NDArray[np.float32]


class RawPicture(NamedTuple):
    """What the converters read of an Image, its rows close together; no header."""

    height: int
    width: int
    encoding: str
    is_bigendian: int
    step: int
    data: Any


Converter = Callable[[RawPicture, str], Any]
"""Gives a picture in an encoding, or as it is for 'passthrough'; may raise anything."""


def with_rosbags(picture: RawPicture, encoding: str) -> Any:
    """Convert with rosbags-image, which is everywhere; a node may have cv_bridge."""
    from rosbags.image import message_to_cvimage
    return message_to_cvimage(cast(Any, picture), None if encoding == 'passthrough' else encoding)


def rgb_of(msg: Any, convert: Converter = with_rosbags) -> Rgb:
    """
    Colour picture, uint8 [H, W, 3] in RGB order.

    Raises ImageError for an encoding that is not known, a size or step that does not fit the
    data, bytes that do not decode, and more than MAX_PIXELS.
    """
    if hasattr(msg, 'format'):
        bgr = _decoded(msg, msg.data, cv2.IMREAD_COLOR)
        return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)
    return _converted(_prepared(msg), 'rgb8', convert)


def depth_of(msg: Any, convert: Converter = with_rosbags) -> DepthMap:
    """
    Depth map, float32 [H, W] in metres; 0 where not measured.

    16UC1 is millimetres and 32FC1 metres (REP 118). Raises ImageError as rgb_of does, and
    for pictures that cannot be depth: of several channels, of 8 bits, RVL-coded.
    """
    if hasattr(msg, 'format'):
        raw = _decoded_depth(msg)
    else:
        picture = _prepared(msg)
        if picture.encoding not in _DEPTH_ENCODINGS:
            raise ImageError(f'depth encoding {picture.encoding!r} is not one of '
                             f'{", ".join(_DEPTH_ENCODINGS)}; publish depth as REP 118 says')
        raw = _converted(picture, 'passthrough', convert)
    if raw.ndim != 2:
        raise ImageError(f'depth picture has shape {list(raw.shape)}, expected one channel')
    if raw.dtype not in (np.uint16, np.float32):
        raise ImageError(f'depth picture holds {raw.dtype}, expected uint16 (millimetres) or '
                         'float32 (metres); publish depth as REP 118 says')
    depth = raw.astype(np.float32)
    if raw.dtype == np.uint16:
        depth *= 0.001
    return np.nan_to_num(depth, copy=False, nan=0.0, posinf=0.0, neginf=0.0)


def jpeg_from_rgb(rgb: Rgb, quality: int) -> bytes:
    """JPEG of a picture uint8 [H, W, 3]; quality 1 to 100, 0 gives no picture."""
    if quality == 0:
        return b''
    bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    return cv2.imencode('.jpg', bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def _prepared(msg: Any) -> RawPicture:
    """
    The picture with rows that lie close together and an encoding that names its colours.

    Sizes and step are checked first, before any library reads the data. rosbags-image reads
    padded rows as if they were not (0.10.4).
    """
    _check_layout(msg)
    row_bytes = msg.width * _bytes_per_pixel(msg.encoding)
    if row_bytes > msg.step:
        raise ImageError(f'picture of {msg.width}x{msg.height} px ({msg.encoding}) has step '
                         f'{msg.step}, its rows need {row_bytes} bytes; check the camera driver')
    encoding = _UNNAMED_COLORS.get(msg.encoding, msg.encoding)
    step, data = msg.step, msg.data
    if row_bytes not in (0, step):
        rows = np.frombuffer(data, np.uint8).reshape(msg.height, step)
        step, data = row_bytes, np.ascontiguousarray(rows[:, :row_bytes])
    return RawPicture(msg.height, msg.width, encoding, msg.is_bigendian, step, data)


def _bytes_per_pixel(encoding: str) -> int:
    """Of encodings whose pixels stand alone in a row (sensor_msgs/image_encodings.hpp); else 0."""
    if encoding in _PACKED_YUV:
        return 2
    for pattern, channels in _CHANNELS:
        if found := pattern.fullmatch(encoding):
            count = channels or int(found['channels'] or 1)
            return count * int(found['bits']) // 8
    return 0


def _check_layout(msg: Any) -> None:
    if msg.height == 0 or msg.width == 0:
        raise ImageError(f'picture is {msg.width}x{msg.height} px; check the camera driver')
    if msg.height * msg.width > MAX_PIXELS:
        raise ImageError(f'picture is {msg.width}x{msg.height} px, more than {MAX_PIXELS} px '
                         'in all; scale it down before it is published')
    if msg.step < msg.width or msg.step * msg.height != len(msg.data):
        raise ImageError(
            f'picture of {msg.width}x{msg.height} px ({msg.encoding}) has step {msg.step} and '
            f'{len(msg.data)} bytes, expected step x height = {msg.step * msg.height} bytes; '
            'check the camera driver')


def _converted(picture: RawPicture, encoding: str, convert: Converter) -> NDArray[Any]:
    try:
        converted = np.asarray(convert(picture, encoding))
    except ImageError:
        raise
    except Exception as error:  # both libraries raise many kinds, cv2.error among them
        raise ImageError(
            f'picture with encoding {picture.encoding!r}, {picture.width}x{picture.height} px, '
            f'step {picture.step} cannot be converted: {_line(error)}; publish rgb8, bgr8, '
            'mono8, a Bayer or a YUV encoding') from error
    return np.ascontiguousarray(converted)


def _decoded_depth(msg: Any) -> NDArray[Any]:
    """
    Depth as its encoding counts it: uint16 in millimetres, float32 in metres.

    compressedDepth is a header before a PNG, which for 32FC1 holds inverse depth in steps
    (image_transport_plugins, compressed_depth_image_transport/src/codec.cpp).
    """
    if 'compressedDepth' not in msg.format:
        return _decoded(msg, msg.data, cv2.IMREAD_UNCHANGED)
    encoding = msg.format.partition(';')[0].strip()
    if 'compressedDepth rvl' in msg.format:
        raise ImageError(f'compressed depth {msg.format!r} is coded as RVL, which is not read; '
                         "set the format of the camera's compressedDepth publisher to png")
    if encoding not in _DEPTH_ENCODINGS:
        raise ImageError(f'compressed depth {msg.format!r} is not of {", ".join(_DEPTH_ENCODINGS)}'
                         '; publish depth as REP 118 says')
    raw = _decoded(msg, msg.data[_DEPTH_HEADER.size:], cv2.IMREAD_UNCHANGED)
    return _depth_from_inverse(raw, msg) if encoding == '32FC1' else raw


def _depth_from_inverse(raw: NDArray[Any], msg: Any) -> NDArray[Any]:
    """Depth in metres, A / (raw - B); 0 where raw is 0 (not measured)."""
    _, a, b = _DEPTH_HEADER.unpack_from(msg.data)
    if raw.dtype != np.uint16 or not (0 < a < math.inf and -math.inf < b < 1):
        raise ImageError(f'compressed depth {msg.format!r} holds {raw.dtype} with A = {a:g} and '
                         f'B = {b:g}, expected uint16, A > 0 and B < 1; is its header whole?')
    depth = np.zeros(raw.shape, np.float32)
    np.divide(np.float32(a), raw - np.float32(b), out=depth, where=raw != 0)
    return depth


def _decoded(msg: Any, data: Any, flag: int) -> NDArray[Any]:
    about = f'compressed picture ({msg.format!r}, {len(msg.data)} bytes)'
    try:
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), flag) if len(data) else None
    except cv2.error as error:
        if 'CV_IO_MAX_IMAGE_PIXELS' in str(error):
            limit = os.environ.get('OPENCV_IO_MAX_IMAGE_PIXELS')
            raise ImageError(f'{about} is of more than {limit} px (OPENCV_IO_MAX_IMAGE_PIXELS); '
                             'scale it down before it is published') from error
        raise ImageError(f'{about} does not decode: {_line(error)}') from error
    if picture is None:
        raise ImageError(f'{about} does not decode; is it JPEG or PNG, and whole?')
    return picture


def _line(error: Exception) -> str:
    return ' '.join(str(error).split()) or type(error).__name__
