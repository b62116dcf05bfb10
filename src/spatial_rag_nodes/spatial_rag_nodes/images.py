"""sensor_msgs pictures to NumPy arrays and back; the core decodes, with cv_bridge if it can."""

from __future__ import annotations

from array import array
from typing import Any

from spatial_rag_core.data import pictures
from spatial_rag_core.data.pictures import DepthMap, RawPicture, Rgb

from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

try:
    from cv_bridge import CvBridge
    _BRIDGE = CvBridge()
except ImportError:  # no ROS installation: PyPI's cv-bridge is ROS 1's and must not be used
    _BRIDGE = None


def rgb_from_msg(msg: Image | CompressedImage) -> Rgb:
    """Colour picture, uint8 [H, W, 3] in RGB order; raises ImageError as pictures.rgb_of does."""
    return pictures.rgb_of(msg, _converter())


def depth_from_msg(msg: Image | CompressedImage) -> DepthMap:
    """Depth map, float32 [H, W] in metres; raises ImageError as pictures.depth_of does."""
    return pictures.depth_of(msg, _converter())


def _converter() -> pictures.Converter:
    return pictures.with_rosbags if _BRIDGE is None else _with_bridge


def _with_bridge(picture: RawPicture, encoding: str) -> Any:
    return _BRIDGE.imgmsg_to_cv2(picture, desired_encoding=encoding)


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
