"""Pictures that strangers send: decoded, or refused in words."""

from __future__ import annotations

import base64
import io
import struct
import subprocess
import sys
import zlib

from spatial_rag_api import pictures
from spatial_rag_api.pictures import bytes_from_base64, depth_from, rgb_from
from spatial_rag_core.errors import ImageError

import cv2
import httpx
from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

from .robots import picture


def coded(array: np.ndarray, kind: str = '.png') -> bytes:
    return cv2.imencode(kind, array)[1].tobytes()


def png_header(width: int, height: int) -> bytes:
    """A PNG that says it is so large, and holds nothing."""
    def chunk(name: bytes, data: bytes) -> bytes:
        return (struct.pack('>I', len(data)) + name + data
                + struct.pack('>I', zlib.crc32(name + data)))
    size = struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0)
    return (b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', size)
            + chunk(b'IDAT', zlib.compress(b'\0' * 1000)) + chunk(b'IEND', b''))


def turned_by_exif(jpeg: bytes, orientation: int) -> bytes:
    """The same JPEG with the tag that a phone writes."""
    tiff = struct.pack('>2sHIHHHIHHI', b'MM', 42, 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    segment = b'Exif\0\0' + tiff
    return jpeg[:2] + b'\xff\xe1' + struct.pack('>H', len(segment) + 2) + segment + jpeg[2:]


GARBAGE = st.one_of(
    st.binary(max_size=200),
    st.binary(max_size=200).map(lambda rest: b'\xff\xd8\xff' + rest),
    st.binary(max_size=200).map(lambda rest: b'\x89PNG\r\n\x1a\n' + rest),
    st.tuples(st.integers(0, 2000), st.integers(0, 255)).map(
        lambda change: damaged(coded(picture(0)), *change)),
    st.tuples(st.integers(0, 2000), st.integers(0, 255)).map(
        lambda change: damaged(coded(picture(0), '.jpg'), *change)),
    st.integers(0, 2000).map(lambda end: coded(picture(0), '.jpg')[:end]))


def damaged(data: bytes, at: int, value: int) -> bytes:
    at %= len(data)
    return data[:at] + bytes([value]) + data[at + 1:]


@settings(max_examples=300, deadline=None)
@given(GARBAGE)
def test_any_bytes_are_a_picture_or_an_image_error(data: bytes) -> None:
    for decode in (rgb_from, depth_from):
        try:
            decoded = decode(data)
        except ImageError:
            continue
        assert decoded.dtype in (np.uint8, np.float32)
        assert decoded.size > 0


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=100))
def test_any_text_is_base64_or_an_image_error(text: str) -> None:
    try:
        decoded = bytes_from_base64(text)
    except ImageError:
        return
    assert len(decoded) <= len(text)


@pytest.mark.parametrize('prefix', ['', 'data:image/png;base64,'])
def test_base64_may_have_line_breaks_and_a_prefix(prefix: str) -> None:
    data = coded(picture(0))
    assert bytes_from_base64(prefix + base64.encodebytes(data).decode()) == data


@pytest.mark.parametrize('array', [
    np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4), np.uint16),
    np.full((4, 4, 3), 65535, np.uint16), np.zeros((1, 10_000, 3), np.uint8)],
    ids=['grey', 'alpha', '16-bit grey', '16-bit colour', '10 000 px wide'])
def test_pictures_of_other_kinds_become_rgb(array: np.ndarray) -> None:
    rgb = rgb_from(coded(array))
    assert rgb.shape == (*array.shape[:2], 3)
    assert rgb.max() == (255 if array.max() else 0)


def test_a_cmyk_jpeg_becomes_rgb() -> None:
    image = pytest.importorskip('PIL.Image')
    file = io.BytesIO()
    image.new('CMYK', (16, 16), (0, 255, 255, 0)).save(file, 'JPEG')
    rgb = rgb_from(file.getvalue())
    assert rgb.shape == (16, 16, 3)
    assert rgb[8, 8, 0] > 180  # red: no cyan, all magenta and yellow
    assert rgb[8, 8, 1:].max() < 80


@pytest.mark.parametrize(('orientation', 'shape'), [(1, (8, 24)), (6, (24, 8)), (3, (8, 24))])
def test_a_picture_is_turned_as_its_exif_says(
        orientation: int, shape: tuple[int, int]) -> None:
    jpeg = coded(np.zeros((8, 24, 3), np.uint8), '.jpg')
    assert rgb_from(turned_by_exif(jpeg, orientation)).shape[:2] == shape


@pytest.mark.parametrize('size', [(30_000, 30_000), (2**31 - 1, 1), (65_000, 65_000)])
def test_a_bomb_is_refused_by_its_header(size: tuple[int, int]) -> None:
    bomb = base64.b64encode(png_header(*size)).decode()
    program = (  # in a process of its own, which may not take a gigabyte more than it has
        'import base64, resource\n'
        'from spatial_rag_api.pictures import rgb_from\n'
        'from spatial_rag_core.errors import ImageError\n'
        'pages = int(open("/proc/self/statm").read().split()[0])\n'
        'most = pages * resource.getpagesize() + 2 ** 30\n'
        'resource.setrlimit(resource.RLIMIT_AS, (most, most))\n'
        'try:\n'
        f'    rgb_from(base64.b64decode("{bomb}"))\n'
        'except ImageError as error:\n'
        '    print(error)\n')
    done = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True,
                          timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    assert f'{size[0]}x{size[1]} px' in done.stdout


@pytest.mark.parametrize('kind', ['.png', '.jpg'])
def test_the_bound_is_that_of_the_pixels(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, 'MAX_PICTURE_PIXELS', 32 * 32)
    assert rgb_from(coded(picture(0), kind)).shape == (32, 32, 3)
    with pytest.raises(ImageError, match='33x32 px, at most 1024 px'):
        rgb_from(coded(np.zeros((32, 33, 3), np.uint8), kind))


def test_a_jpeg_of_a_phone_tells_its_size_behind_much_else() -> None:
    """A preview with a size of its own stands in its EXIF."""
    preview = b'Exif\0\0' + coded(picture(0), '.jpg')
    jpeg = coded(np.zeros((8, 24, 3), np.uint8), '.jpg')
    segment = b'\xff\xff\xe1' + struct.pack('>H', len(preview) + 2) + preview
    assert rgb_from(jpeg[:2] + segment + jpeg[2:]).shape == (8, 24, 3)


@pytest.mark.parametrize('data', [b'GIF89a' + bytes(50), b'BM' + bytes(50), b'%PDF-1.4', b'',
                                  b'II*\0' + bytes(50), b'RIFF\0\0\0\0WEBPVP8 '])
def test_kinds_that_nobody_needs_are_not_read(data: bytes) -> None:
    with pytest.raises(ImageError, match='no JPEG and no PNG'):
        rgb_from(data)


def test_a_depth_map_is_millimetres_in_a_png() -> None:
    depth_m = depth_from(coded(np.array([[0, 1500]], np.uint16)))
    assert depth_m.tolist() == [[0.0, pytest.approx(1.5)]]
    for wrong in (coded(np.zeros((2, 2), np.uint8)), coded(picture(0)),
                  coded(picture(0), '.jpg')):
        with pytest.raises(ImageError, match='depth'):
            depth_from(wrong)


@settings(max_examples=25, deadline=None)
@given(data=GARBAGE)
def test_no_upload_is_a_server_error(client: httpx.Client, data: bytes) -> None:
    answer = client.post('/encode', files={'picture': ('name', data)})
    assert answer.status_code in (200, 422), answer.text
    text = base64.b64encode(data).decode()
    answer = client.post('/memory/query', json={'picture_base64': text})
    assert answer.status_code in (200, 422), answer.text


@pytest.mark.parametrize('form', [
    {'data': {'picture': 'text'}}, {'data': {}}, {'files': {'pictrue': b'x'}},
    {'files': {'picture': b''}}, {'files': {'picture': b'x', 'depth': b'y'}}])
def test_forms_that_are_not_as_they_must_be_are_refused(
        client: httpx.Client, form: dict[str, dict[str, bytes]]) -> None:
    answer = client.post('/encode', **form)  # type: ignore[arg-type]
    assert answer.status_code == 422, answer.text
    assert answer.headers['content-type'] == 'application/problem+json'


def test_a_form_that_is_cut_short_is_refused(client: httpx.Client) -> None:
    answer = client.post('/encode', content=b'--b\r\nContent-Disposition: form-data; name="pic',
                         headers={'Content-Type': 'multipart/form-data; boundary=b'})
    assert answer.status_code in (400, 422)


def test_a_large_picture_is_taken(client: httpx.Client) -> None:
    large = coded(np.random.default_rng(0).integers(0, 256, (1000, 1000, 3), np.uint8))
    assert len(large) > 1024 * 1024  # such a one is spooled to the disk while it comes in
    answer = client.post('/encode', files={'picture': large})
    assert (answer.json()['width_px'], answer.json()['height_px']) == (1000, 1000)
