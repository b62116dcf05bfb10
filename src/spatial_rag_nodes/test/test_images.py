"""Pictures of every common encoding come out as RGB, depth as metres."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import zlib

from spatial_rag_core.errors import ImageError
from spatial_rag_nodes import images, MAX_PIXELS

import cv2
import numpy as np
import pytest
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

H, W = 48, 64


def scene() -> np.ndarray:
    """Smooth colours, uint8 [H, W, 3] RGB: chroma subsampling changes them little."""
    y, x = np.mgrid[0:H, 0:W].astype(np.float32)
    return np.stack([40 + 2.5 * x, 60 + 3 * y, 200 - 2 * x], axis=-1).astype(np.uint8)


def _image(encoding: str, array: np.ndarray) -> Image:
    array = np.ascontiguousarray(array)
    return Image(height=H, width=W, encoding=encoding, step=array.nbytes // H,
                 is_bigendian=int(array.dtype.byteorder == '>' or (
                     array.dtype.byteorder == '=' and sys.byteorder == 'big')),
                 data=array.tobytes())


RGB = scene()
BGR = RGB[..., ::-1]
GRAY = cv2.cvtColor(RGB, cv2.COLOR_RGB2GRAY)
ALPHA = np.full((H, W, 1), 255, np.uint8)


def _bayer_rggb() -> np.ndarray:
    raw = np.empty((H, W), np.uint8)
    raw[0::2, 0::2], raw[0::2, 1::2] = RGB[0::2, 0::2, 0], RGB[0::2, 1::2, 1]
    raw[1::2, 0::2], raw[1::2, 1::2] = RGB[1::2, 0::2, 1], RGB[1::2, 1::2, 2]
    return raw


def _yuyv(order: str) -> np.ndarray:
    # ITU-R BT.601, the range that cameras send: Y 16 to 235, U and V 16 to 240.
    matrix = np.array([[65.481, 128.553, 24.966], [-37.797, -74.203, 112.0],
                       [112.0, -93.786, -18.214]]) / 255
    yuv = (RGB @ matrix.T + (16, 128, 128)).round().astype(np.uint8)
    packed = np.empty((H, W, 2), np.uint8)
    luma, chroma = (1, 0) if order == 'uyvy' else (0, 1)
    packed[..., luma] = yuv[..., 0]
    packed[:, 0::2, chroma], packed[:, 1::2, chroma] = yuv[:, 0::2, 1], yuv[:, 0::2, 2]
    return packed


@pytest.mark.parametrize(('encoding', 'array', 'expected', 'tolerance'), [
    ('rgb8', RGB, RGB, 0), ('bgr8', BGR, RGB, 0),
    ('rgba8', np.concatenate([RGB, ALPHA], -1), RGB, 0),
    ('bgra8', np.concatenate([BGR, ALPHA], -1), RGB, 0),
    ('mono8', GRAY, np.repeat(GRAY[..., None], 3, -1), 0),
    ('8UC3', BGR, RGB, 0),
    ('rgb16', RGB.astype(np.uint16) * 257, RGB, 1),
    ('bgr16', BGR.astype(np.uint16) * 257, RGB, 1),
    ('mono16', GRAY.astype(np.uint16) * 257, np.repeat(GRAY[..., None], 3, -1), 1),
    ('bayer_rggb8', _bayer_rggb(), RGB, 8),
    ('yuv422', _yuyv('uyvy'), RGB, 8), ('uyvy', _yuyv('uyvy'), RGB, 8),
    ('yuv422_yuy2', _yuyv('yuyv'), RGB, 8), ('yuyv', _yuyv('yuyv'), RGB, 8),
])
def test_common_encodings_give_the_same_colours(encoding: str, array: np.ndarray,
                                                expected: np.ndarray, tolerance: int) -> None:
    rgb = images.rgb_from_msg(_image(encoding, array))
    assert rgb.dtype == np.uint8
    assert rgb.shape == (H, W, 3)
    inner = np.s_[2:-2, 2:-2]  # demosaicing has less to go by at the edge
    worst = np.abs(rgb[inner].astype(int) - expected[inner].astype(int)).max()
    assert worst <= tolerance


def test_padded_rows_are_read_by_their_step() -> None:
    padded = np.zeros((H, W * 3 + 8), np.uint8)
    padded[:, :W * 3] = RGB.reshape(H, -1)
    msg = Image(height=H, width=W, encoding='rgb8', step=W * 3 + 8, data=padded.tobytes())
    np.testing.assert_array_equal(images.rgb_from_msg(msg), RGB)


@pytest.mark.parametrize('format_name', ['png', 'rgb8; png compressed bgr8'])
def test_compressed_colour_keeps_its_channel_order(format_name: str) -> None:
    data = cv2.imencode('.png', BGR)[1].tobytes()
    rgb = images.rgb_from_msg(CompressedImage(format=format_name, data=data))
    np.testing.assert_array_equal(rgb, RGB)


def test_rows_that_need_more_than_the_step_are_refused() -> None:
    msg = Image(height=H, width=W, encoding='rgb8', step=W * 2, data=b'\0' * (H * W * 2))
    with pytest.raises(ImageError, match='rows need 192 bytes'):
        images.rgb_from_msg(msg)


def _blank_png(width: int, height: int) -> bytes:
    """One bit a pixel: a picture of any size in a few bytes."""
    rows = zlib.compress(bytes((1 + -(-width // 8)) * height))
    chunks = ((b'IHDR', struct.pack('>IIBBBBB', width, height, 1, 0, 0, 0, 0)), (b'IDAT', rows),
              (b'IEND', b''))
    return b'\x89PNG\r\n\x1a\n' + b''.join(
        struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))
        for kind, data in chunks)


READ_FROM_STDIN = """
import resource, sys
from spatial_rag_core.errors import ImageError
from spatial_rag_nodes import images
from sensor_msgs.msg import CompressedImage
msg = CompressedImage(format='png', data=sys.stdin.buffer.read())
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for read in images.rgb_from_msg, images.depth_from_msg:
    try:
        print(read(msg).shape)
    except ImageError as error:
        print('ImageError', error)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024, 'MiB')
"""


def _read_in_a_process_of_its_own(data: bytes) -> list[str]:
    """The limit is read when OpenCV loads, and here another test may have loaded it."""
    environment = {name: value for name, value in os.environ.items()
                   if name != 'OPENCV_IO_MAX_IMAGE_PIXELS'}
    result = subprocess.run([sys.executable, '-c', READ_FROM_STDIN], input=data, check=True,
                            capture_output=True, env=environment, timeout=60)
    return result.stdout.decode().splitlines()


def test_a_small_message_with_an_enormous_picture_is_refused_before_it_takes_memory() -> None:
    data = _blank_png(16_000, 16_000)
    assert len(data) < 100_000
    *refusals, growth = _read_in_a_process_of_its_own(data)
    for refusal in refusals:
        assert refusal.startswith('ImageError')
        assert f'more than {MAX_PIXELS} px' in refusal
    assert int(growth.split()[0]) < 50


def test_a_large_picture_within_the_limit_is_read() -> None:
    rgb, _, _ = _read_in_a_process_of_its_own(_blank_png(4000, 3000))
    assert rgb == '(3000, 4000, 3)'


def test_a_compressed_grey_picture_becomes_rgb() -> None:
    data = cv2.imencode('.png', GRAY)[1].tobytes()
    rgb = images.rgb_from_msg(CompressedImage(format='png', data=data))
    np.testing.assert_array_equal(rgb, np.repeat(GRAY[..., None], 3, -1))


DEPTH_MM = (np.arange(H * W, dtype=np.uint16) % 5000).reshape(H, W)


@pytest.mark.parametrize('msg', [
    _image('16UC1', DEPTH_MM),
    _image('mono16', DEPTH_MM),
    _image('32FC1', DEPTH_MM.astype(np.float32) / 1000),
    _image('16UC1', DEPTH_MM.astype('>u2')),
    CompressedImage(format='png', data=cv2.imencode('.png', DEPTH_MM)[1].tobytes()),
    CompressedImage(format='16UC1; compressedDepth png',
                    data=b'\0' * 12 + cv2.imencode('.png', DEPTH_MM)[1].tobytes()),
], ids=['16UC1', 'mono16', '32FC1', 'big-endian', 'png', 'compressedDepth'])
def test_depth_is_in_metres(msg: Image | CompressedImage) -> None:
    depth = images.depth_from_msg(msg)
    assert depth.dtype == np.float32
    np.testing.assert_allclose(depth, DEPTH_MM / 1000, atol=1e-6)


def _inverse_depth(depth_m: np.ndarray, depth_max: float = 10.0, quantization: float = 100.0,
                   suffix: str = ' png') -> CompressedImage:
    """As compressed_depth_image_transport publishes 32FC1, with its default parameters."""
    a = quantization * (quantization + 1)
    b = 1 - a / depth_max
    known = depth_m < depth_max  # false for NaN
    raw = np.where(known, a / np.where(known, depth_m, 1) + b, 0).astype(np.uint16)
    return CompressedImage(format=f'32FC1; compressedDepth{suffix}', data=struct.pack(
        '<iff', 0, a, b) + cv2.imencode('.png', raw)[1].tobytes())


@pytest.mark.parametrize('suffix', ['', ' png'])
def test_compressed_float_depth_is_inverse_depth_in_steps(suffix: str) -> None:
    depth = np.linspace(0.3, 9.9, H * W, dtype=np.float32).reshape(H, W)
    read = images.depth_from_msg(_inverse_depth(depth, suffix=suffix))
    assert read.dtype == np.float32
    step_m = depth ** 2 / (100 * 101)  # what one step of the raw value is at this depth
    assert (np.abs(read - depth) <= 1.01 * step_m).all()


def test_compressed_float_depth_that_is_unknown_or_too_far_is_zero() -> None:
    read = images.depth_from_msg(_inverse_depth(np.float32([[1.0, np.nan, np.inf, 10.0, 4.0]])))
    np.testing.assert_allclose(read, [[1, 0, 0, 0, 4]], atol=2e-3)


def _compressed(format_name: str, array: np.ndarray, header: bytes = b'') -> CompressedImage:
    return CompressedImage(format=format_name,
                           data=header + cv2.imencode('.png', array)[1].tobytes())


@pytest.mark.parametrize(('msg', 'reason'), [
    (_compressed('png', GRAY), 'holds uint8'),
    (_compressed('16UC1; compressedDepth png', GRAY, bytes(12)), 'holds uint8'),
    (_compressed('32FC1; compressedDepth png', GRAY, struct.pack('<iff', 0, 10100, -1009)),
     'holds uint8'),
    (_compressed('32FC1; compressedDepth png', DEPTH_MM, bytes(12)), 'A = 0 and B = 0'),
    (_compressed('32FC1; compressedDepth png', DEPTH_MM, struct.pack('<iff', 0, 10100, np.nan)),
     'B = nan'),
    (_compressed('rgb8; compressedDepth png', DEPTH_MM, bytes(12)), "'rgb8; compressedDepth"),
    (CompressedImage(format='32FC1; compressedDepth rvl', data=bytes(100)), 'RVL'),
    (CompressedImage(format='16UC1; compressedDepth rvl', data=bytes(100)), 'RVL'),
    (CompressedImage(format='32FC1; compressedDepth', data=bytes(11)), '11 bytes'),
])
def test_compressed_pictures_that_are_no_depth_are_refused(
        msg: CompressedImage, reason: str) -> None:
    with pytest.raises(ImageError, match=reason):
        images.depth_from_msg(msg)


def test_unknown_depth_is_zero() -> None:
    values = np.array([[np.nan, np.inf, -np.inf, 1.5]], np.float32)
    msg = Image(height=1, width=4, encoding='32FC1', step=16, data=values.tobytes())
    np.testing.assert_array_equal(images.depth_from_msg(msg), [[0, 0, 0, 1.5]])


@pytest.mark.parametrize(('msg', 'reason'), [
    (Image(height=2, width=2, encoding='rgb8', step=5, data=b'\0' * 10), 'step 5'),
    (Image(height=2, width=2, encoding='rgb8', step=6, data=b'\0' * 11), '11 bytes'),
    (Image(height=2, width=0, encoding='rgb8', step=0), '0x2 px'),
    (Image(height=2, width=2, encoding='klingon', step=2, data=b'\0' * 4), 'klingon'),
    (Image(height=2, width=2, encoding='', step=2, data=b'\0' * 4), "''"),
    (Image(height=100_000, width=100_000, encoding='mono8', step=100_000), '100000x100000 px'),
    (CompressedImage(format='jpeg', data=b''), '0 bytes'),
    (CompressedImage(format='jpeg', data=b'\xff\xd8\xff'), 'does not decode'),
])
def test_a_bad_picture_is_an_image_error_that_names_the_fault(
        msg: Image | CompressedImage, reason: str) -> None:
    with pytest.raises(ImageError, match=reason):
        images.rgb_from_msg(msg)


def test_colour_is_no_depth() -> None:
    with pytest.raises(ImageError, match='rgb8'):
        images.depth_from_msg(_image('rgb8', RGB))
    with pytest.raises(ImageError, match='one channel'):
        images.depth_from_msg(CompressedImage(
            format='png', data=cv2.imencode('.png', BGR)[1].tobytes()))


def test_what_the_robot_publishes_reads_back() -> None:
    header = Header(frame_id='camera')
    np.testing.assert_array_equal(
        images.rgb_from_msg(images.image_from_rgb(RGB, header)), RGB)
    depth = DEPTH_MM.astype(np.float32) / 1000
    np.testing.assert_array_equal(
        images.depth_from_msg(images.image_from_depth(depth, header)), depth)


@pytest.mark.parametrize('converter', ['bridge', 'rosbags'])
def test_cv_bridge_and_rosbags_agree(converter: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if converter == 'bridge' and images._BRIDGE is None:
        pytest.skip('cv_bridge is absent: it comes with a ROS installation only')
    if converter == 'rosbags':
        monkeypatch.setattr(images, '_BRIDGE', None)
    for encoding, array in (('rgb8', RGB), ('bgr8', BGR), ('bayer_rggb8', _bayer_rggb())):
        rgb = images.rgb_from_msg(_image(encoding, array))
        assert np.abs(rgb[2:-2, 2:-2].astype(int) - RGB[2:-2, 2:-2].astype(int)).max() <= 8
