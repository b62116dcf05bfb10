"""sensor_msgs pictures to NumPy arrays: any common encoding, raw or compressed."""

from __future__ import annotations

from array import array
import re

from spatial_rag_core.errors import ImageError

import cv2
import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

try:
    from cv_bridge import CvBridge
    _BRIDGE = CvBridge()
except ImportError:  # no ROS installation: PyPI's cv-bridge is ROS 1's and must not be used
    _BRIDGE = None

MAX_PIXELS = 64_000_000
_DEPTH_ENCODINGS = ('16UC1', 'mono16', '32FC1')
_UNNAMED_COLORS = {'8UC1': 'mono8', '8UC3': 'bgr8', '8UC4': 'bgra8'}  # OpenCV's order
_PACKED_YUV = ('yuv422', 'uyvy', 'yuv422_yuy2', 'yuyv')
_CHANNELS = (
    (re.compile('(rgb|bgr)(?P<bits>8|16)'), 3), (re.compile('(rgba|bgra)(?P<bits>8|16)'), 4),
    (re.compile('(mono|bayer_[rgb]{4})(?P<bits>8|16)'), 1),
    (re.compile('(?P<bits>8|16|32|64)[USF]C(?P<channels>[1-4]?)'), 0),
)
_COMPRESSED_DEPTH_HEADER_BYTES = 12  # compressed_depth_image_transport: ConfigHeader

Rgb = NDArray[np.uint8]
DepthMap = NDArray[np.float32]


def rgb_from_msg(msg: Image | CompressedImage) -> Rgb:
    """
    Colour picture, uint8 [H, W, 3] in RGB order.

    Raises ImageError for an encoding that is not known, a size or step that does not fit the
    data, and bytes that do not decode.
    """
    if isinstance(msg, CompressedImage):
        bgr = _decoded(msg, cv2.IMREAD_COLOR)
        return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
    return _converted(_prepared(msg), 'rgb8')


def depth_from_msg(msg: Image | CompressedImage) -> DepthMap:
    """
    Depth map, float32 [H, W] in metres; 0 where not measured.

    16UC1 is millimetres and 32FC1 metres (REP 118). Raises ImageError as rgb_from_msg does.
    """
    if isinstance(msg, CompressedImage):
        raw = _decoded(msg, cv2.IMREAD_UNCHANGED)
    else:
        msg = _prepared(msg)
        if msg.encoding not in _DEPTH_ENCODINGS:
            raise ImageError(f'depth encoding {msg.encoding!r} is not one of '
                             f'{", ".join(_DEPTH_ENCODINGS)}; publish depth as REP 118 says')
        raw = _converted(msg, 'passthrough')
    if raw.ndim != 2:
        raise ImageError(f'depth picture has shape {list(raw.shape)}, expected one channel')
    depth = raw.astype(np.float32)
    if raw.dtype == np.uint16:
        depth *= 0.001
    return np.nan_to_num(depth, copy=False, nan=0.0, posinf=0.0, neginf=0.0)


def _prepared(msg: Image) -> Image:
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
    if encoding == msg.encoding and row_bytes in (0, msg.step):
        return msg
    rows = np.frombuffer(msg.data, np.uint8).reshape(msg.height, msg.step)
    step = row_bytes or msg.step
    return Image(header=msg.header, height=msg.height, width=msg.width, encoding=encoding,
                 is_bigendian=msg.is_bigendian, step=step,
                 data=array('B', rows[:, :step].tobytes()))


def _bytes_per_pixel(encoding: str) -> int:
    """Of encodings whose pixels stand alone in a row (sensor_msgs/image_encodings.hpp); else 0."""
    if encoding in _PACKED_YUV:
        return 2
    for pattern, channels in _CHANNELS:
        if found := pattern.fullmatch(encoding):
            count = channels or int(found['channels'] or 1)
            return count * int(found['bits']) // 8
    return 0


def _check_layout(msg: Image) -> None:
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


def _converted(msg: Image, encoding: str) -> NDArray[np.generic]:
    convert = _convert_with_bridge if _BRIDGE is not None else _convert_with_rosbags
    try:
        picture = np.asarray(convert(msg, encoding))
    except ImageError:
        raise
    except Exception as error:  # both libraries raise many kinds, cv2.error among them
        raise ImageError(f'picture with encoding {msg.encoding!r}, {msg.width}x{msg.height} px, '
                         f'step {msg.step} cannot be converted: {_line(error)}; publish rgb8, '
                         'bgr8, mono8, a Bayer or a YUV encoding') from error
    return np.ascontiguousarray(picture)


def _convert_with_bridge(msg: Image, encoding: str) -> NDArray[np.generic]:
    return _BRIDGE.imgmsg_to_cv2(msg, desired_encoding=encoding)


def _convert_with_rosbags(msg: Image, encoding: str) -> NDArray[np.generic]:
    from rosbags.image import message_to_cvimage
    return message_to_cvimage(msg, None if encoding == 'passthrough' else encoding)


def _decoded(msg: CompressedImage, flag: int) -> NDArray[np.generic]:
    data = np.frombuffer(msg.data, np.uint8)
    if 'compressedDepth' in msg.format:
        data = data[_COMPRESSED_DEPTH_HEADER_BYTES:]
    try:
        picture = cv2.imdecode(data, flag) if data.size else None
    except cv2.error as error:
        raise ImageError(f'compressed picture ({msg.format!r}, {len(msg.data)} bytes) does not '
                         f'decode: {_line(error)}') from error
    if picture is None:
        raise ImageError(f'compressed picture ({msg.format!r}, {len(msg.data)} bytes) does not '
                         'decode; is it JPEG or PNG, and whole?')
    return picture


def _line(error: Exception) -> str:
    return ' '.join(str(error).split()) or type(error).__name__


def jpeg_from_rgb(rgb: Rgb, quality: int) -> bytes:
    """JPEG of a picture uint8 [H, W, 3]; quality 1 to 100, 0 gives no picture."""
    if quality == 0:
        return b''
    bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    return cv2.imencode('.jpg', bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()




def image_from_rgb(rgb: Rgb, header: Header) -> Image:
    """Raw picture rgb8 of uint8 [H, W, 3]."""
    height, width, _ = rgb.shape
    return Image(header=header, height=height, width=width, encoding='rgb8', step=width * 3,
                 data=array('B', rgb.tobytes()))


def image_from_depth(depth_m: DepthMap, header: Header) -> Image:
    """Raw depth 32FC1 of float32 [H, W] in metres (REP 118)."""
    height, width = depth_m.shape
    return Image(header=header, height=height, width=width, encoding='32FC1', step=width * 4,
                 data=array('B', depth_m.astype('<f4').tobytes()))
