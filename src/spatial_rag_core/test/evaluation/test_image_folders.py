from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from spatial_rag_core.errors import InputError
from spatial_rag_core.evaluation.image_folders import (
    is_image_folder,
    PictureSet,
    read_image_folder,
    read_matches,
)

import cv2
import numpy as np
import pytest

MakeFolder = Callable[..., Path]
HEADING = 'image,stamp,x,y,z,qx,qy,qz,qw\n'


@pytest.fixture
def make_folder(tmp_path: Path) -> MakeFolder:
    """Write pictures of one brightness each, and a pose list where lines are given."""
    def make(name: str, pictures: Mapping[str, int], poses: str | None = None) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        for file, brightness in pictures.items():
            cv2.imwrite(str(folder / file), np.full((48, 64, 3), brightness, np.uint8))
        if poses is not None:
            (folder / 'poses.csv').write_text(poses)
        return folder
    return make


def brightness(pictures: PictureSet) -> list[int]:
    return [round(float(one.mean())) for one in pictures.rgb]


def test_pictures_come_in_order_of_their_names(make_folder: MakeFolder) -> None:
    found = read_image_folder(make_folder('a', {'2.png': 20, '1.png': 10, '3.PNG': 30}), 32)
    assert found.names == ('1.png', '2.png', '3.PNG')
    assert brightness(found) == [10, 20, 30]
    assert found.rgb.shape == (3, 32, 32, 3)
    assert found.stamps is found.poses is None


def test_a_pose_list_puts_them_in_order_of_time(make_folder: MakeFolder) -> None:
    poses = HEADING + '# taken by hand\nb.png, 5.0, 1,2,3, 0,0,0,1\na.png,7.5,4,5,6,0,0,1,0\n'
    found = read_image_folder(make_folder('a', {'a.png': 1, 'b.png': 2}, poses), 32)
    assert found.names == ('b.png', 'a.png')
    assert brightness(found) == [2, 1]
    assert found.stamps is not None
    assert found.poses is not None
    assert found.stamps.tolist() == [5.0, 7.5]
    assert found.poses.tolist() == [[1, 2, 3, 0, 0, 0, 1], [4, 5, 6, 0, 0, 1, 0]]


@pytest.mark.parametrize(('poses', 'words'), [
    ('c.png,1,0,0,0,0,0,0,1\n', "line 2 names 'c.png', which is not in"),
    ('a.png,1,0,0,0,0,0,0,1\n', "says nothing about 'b.png'"),
    ('a.png,1,0,0,0,0,0,0,1\nb.png,1,0,0,0,0,0,0,1\n', 'a picture or a stamp twice'),
    ('a.png,1,0,0,0,0,0,0,0\n', 'line 2: orientation .* has length 0'),
    ('a.png,x,0,0,0,0,0,0,1\n', "line 2: could not convert string to float: 'x'"),
    ('a.png,1,nan,0,0,0,0,0,1\n', 'line 2 has a number that is not finite'),
    ('a.png,1,0,0\n', 'line 2 has 4 cells, expected image,stamp,x,y,z,qx,qy,qz,qw'),
    ('', 'is empty'),
])
def test_a_wrong_pose_list_names_line_and_fault(make_folder: MakeFolder, poses: str,
                                                words: str) -> None:
    folder = make_folder('a', {'a.png': 1, 'b.png': 2}, HEADING + poses)
    with pytest.raises(InputError, match=words):
        read_image_folder(folder, 32)


def test_a_query_may_have_several_right_answers_or_none(make_folder: MakeFolder,
                                                        tmp_path: Path) -> None:
    places = read_image_folder(make_folder('map', {f'{n}.png': n for n in range(4)}), 32)
    queries = read_image_folder(make_folder('query', {'a.png': 1, 'b.png': 2, 'c.png': 3}), 32)
    list_ = tmp_path / 'matches.csv'
    list_.write_text('query,map\na.png,0.png\n\na.png,3.png\nc.png,1.png\n')
    assert read_matches(list_, queries, places).tolist() == [
        [True, False, False, True], [False] * 4, [False, True, False, False]]


def test_a_match_of_an_unknown_picture_is_refused(make_folder: MakeFolder,
                                                  tmp_path: Path) -> None:
    pictures = read_image_folder(make_folder('map', {'0.png': 0}), 32)
    list_ = tmp_path / 'matches.csv'
    list_.write_text('0.png,0.png\n0.png,0.jpg\n')
    with pytest.raises(InputError, match=r"line 2 names '0.jpg', which is not in .*map"):
        read_matches(list_, pictures, pictures)
    with pytest.raises(InputError, match=r'no.csv cannot be read .*columns query,map'):
        read_matches(tmp_path / 'no.csv', pictures, pictures)


def test_a_damaged_picture_is_named(make_folder: MakeFolder) -> None:
    folder = make_folder('a', {'0.png': 0})
    (folder / '1.jpg').write_bytes(b'no picture')
    with pytest.raises(InputError, match=r'1.jpg is no picture'):
        read_image_folder(folder, 32)


def test_a_recording_with_a_picture_beside_it_is_no_folder_of_pictures(
        make_folder: MakeFolder, tmp_path: Path) -> None:
    folder = make_folder('a', {'0.png': 0})
    assert is_image_folder(folder)
    assert not is_image_folder(folder / '0.png')
    assert not is_image_folder(tmp_path)
    (folder / 'a.mcap').touch()
    assert not is_image_folder(folder)
