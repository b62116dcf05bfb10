from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
import time
from typing import Any
import warnings

from spatial_rag_core import cli
from spatial_rag_core.errors import ConfigurationError, InputError, JournalUnavailableError
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.overview import layout
from spatial_rag_core.memory.overview.layout import (
    hexagons,
    MAX_HEXAGONS,
    MAX_SEGMENTS,
    parents,
    Places,
    remembered_ages,
    track,
)
from spatial_rag_core.memory.overview.legend import age_labels, note, subtitle
from spatial_rag_core.memory.overview.memory_map import draw_memory_map
from spatial_rag_core.memory.overview.places import places_of
from spatial_rag_core.memory.tables.schema import JournalSpec
from spatial_rag_core.records import as_latent, Memory, MemorySelection, Pose, Position
from spatial_rag_core.spatial.local_frame import Datum, LocalFrame

import cv2
import h3.api.basic_int as h3
import numpy as np
from numpy.typing import NDArray
import pytest

DATUM = Datum(48.0, 11.0, 30.0)
FRAME = LocalFrame(DATUM)


def places(positions: NDArray[np.float64], sessions: object = 0, step_sec: float = 0.05,
           resolution: int = 13) -> Places:
    n = len(positions)
    cells = [h3.latlng_to_cell(*place, resolution)
             for place in FRAME.to_geodetic_many(positions).tolist()]
    return Places(positions, 1.8e9 + step_sec * np.arange(n),
                  np.broadcast_to(np.asarray(sessions, np.int64), (n,)),
                  np.array(cells, np.uint64))


def wander(n: int, step_m: float = 0.03, seed: int = 0) -> NDArray[np.float64]:
    headings = np.cumsum(np.random.default_rng(seed).normal(0, 0.1, n))
    return np.cumsum(step_m * np.stack([np.cos(headings), np.sin(headings)], axis=1), axis=0)


def draw(some: Places, path: Path, **changes: Any) -> Any:
    return draw_memory_map(some, path, **{'title': 'memory.db', 'datum': DATUM, **changes})


def contains(corners: NDArray[np.float64], point: NDArray[np.float64]) -> bool:
    return cv2.pointPolygonTest(corners.astype(np.float32), point.tolist(), False) >= 0


def test_parents_are_those_of_h3() -> None:
    cells = places(wander(500, step_m=50.0)).cells
    for resolution in range(13):
        expected = [h3.cell_to_parent(cell, resolution) for cell in cells.tolist()]
        assert parents(cells, resolution).tolist() == expected


def test_a_hexagon_lies_around_the_memories_that_it_counts() -> None:
    some = places(wander(2000))
    found = hexagons(some.cells, FRAME, smallest_edge_m=0.0)
    assert found.resolution == 13
    inside = [sum(contains(corners, place) for place in some.positions)
              for corners in found.corners]
    assert np.abs(np.array(inside) - found.counts).max() <= 2  # on a border
    assert found.counts.sum() == 2000


def test_hexagons_are_neither_too_many_nor_too_small() -> None:
    side = np.arange(0.0, 700.0, 7.0)
    some = places(np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2))
    assert len(np.unique(some.cells)) > MAX_HEXAGONS
    found = hexagons(some.cells, FRAME, smallest_edge_m=0.0)
    assert found.resolution == 12
    assert len(found.counts) <= MAX_HEXAGONS
    assert found.counts.sum() == len(some.cells)
    coarse = hexagons(some.cells, FRAME, smallest_edge_m=20.0)
    assert coarse.resolution == 11
    assert coarse.counts.sum() == len(some.cells)


def test_the_path_is_whole_within_a_session_and_broken_between_sessions() -> None:
    way, ages = track(places(wander(100), sessions=np.repeat([0, 1], 50)))
    assert len(way.segments) == 98
    assert np.all(np.diff(way.ages) > 0)
    assert (ages[0], ages[-1]) == (0.0, 1.0)


def test_sessions_that_took_place_at_the_same_time_are_not_mixed() -> None:
    some = places(np.stack([np.tile([0.0, 9.0], 50), np.repeat(np.arange(50), 2) * 0.1], axis=1),
                  sessions=np.tile([0, 1], 50))
    way, _ = track(some)
    assert len(way.segments) == 98
    assert np.linalg.norm(way.segments[:, 1] - way.segments[:, 0], axis=1).max() < 0.2


def test_the_path_is_broken_where_place_or_time_jump() -> None:
    positions = wander(100)
    positions[40:] += 5.0
    assert len(track(places(positions))[0].segments) == 98
    some = places(wander(100))
    some.timestamps[70:] += 3600.0
    some.positions[70:] += 0.5
    assert len(track(some)[0].segments) == 98


def test_a_robot_that_stood_still_goes_on_where_it_stood() -> None:
    some = places(wander(100))
    some.timestamps[70:] += 3600.0
    assert len(track(some)[0].segments) == 99


def test_a_long_path_is_thinned_and_keeps_its_breaks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, 'MAX_SEGMENTS', 100)
    positions = wander(10_000)
    positions[5000:] += 50.0
    way, _ = track(places(positions))
    assert 90 <= len(way.segments) <= 100
    assert np.linalg.norm(way.segments[:, 1] - way.segments[:, 0], axis=1).max() <= 3.1


def test_a_night_takes_no_colour() -> None:
    times = np.array([0.0, 10.0, 20.0, 80_000.0, 80_010.0])
    assert remembered_ages(times).tolist() == [0.0, 1 / 6, 2 / 6, 5 / 6, 1.0]
    assert remembered_ages(np.full(3, 5.0)).tolist() == [1.0, 1.0, 1.0]


def test_the_scale_of_ages_shows_the_times_of_memories() -> None:
    times = np.array([0.0, 10.0, 20.0, 30.0, 40.0])
    assert age_labels(remembered_ages(times), times) == {
        0.0: '00:00:00', 0.25: '00:00:10', 0.5: '00:00:20', 0.75: '00:00:30', 1.0: '00:00:40'}
    days = np.array([0.0, 86_400.0])
    assert age_labels(remembered_ages(days), days)[1.0] == '1970-01-02\n00:00'
    assert age_labels(np.ones(1), np.zeros(1)) == {1.0: '00:00:00.0'}
    assert age_labels(np.linspace(0, 1, 5), np.linspace(0, 3, 5))[0.75] == '00:00:02.2'


def test_the_captions_say_what_is_shown() -> None:
    assert subtitle(1000, 1, 1.8e9, 1.8e9 + 49.95) == (
        '1,000 memories, 1 session, 2027-01-15 08:00:00 to 08:00:49 UTC')
    assert subtitle(1, 2, 1.8e9, 1.8e9).startswith('1 memory, 2 sessions, ')
    assert note('It is red.', 13, DATUM, 'odom').endswith(
        'Frame odom, datum 48.00000° N 11.00000° E, heading 30°; H3 cells of resolution 13.')
    assert 'no datum, y is taken for north' in note('It is red.', 13, Datum(), 'map')


@pytest.mark.parametrize('n', [1, 2, 10, 400])
def test_few_memories_make_a_picture(n: int, tmp_path: Path) -> None:
    drawn = draw(places(wander(n)), tmp_path / 'map.png')
    assert drawn.counts.sum() == n
    picture = cv2.imread(str(tmp_path / 'map.png'))
    assert picture.shape[1] >= 1000
    assert len(np.unique(picture.astype(int) @ [1, 256, 65536])) > 100


def test_the_path_and_the_cells_lie_where_the_axes_say(tmp_path: Path) -> None:
    """Along x alone: the orange of the old end on the left, the dark red of the new one right."""
    draw(places(np.stack([np.linspace(0, 40, 400), np.zeros(400)], axis=1)),
         tmp_path / 'map.png')
    blue, green, red = cv2.imread(str(tmp_path / 'map.png')).astype(int)[:-280].transpose(2, 0, 1)
    old = np.argwhere((red > 220) & (green > 140) & (blue < 100))[:, 1]
    new = np.argwhere((red < 130) & (green < 60) & (blue < 110) & (red > blue + 10))[:, 1]
    assert len(old) > 20
    assert len(new) > 20
    assert old.max() < new.min()


def test_a_million_memories_are_drawn_in_seconds(tmp_path: Path) -> None:
    positions = wander(1_000_000, step_m=0.05)
    cells = np.repeat(places(positions[::100]).cells, 100)
    some = places(positions[:1])._replace(
        positions=positions, cells=cells, timestamps=1.8e9 + np.arange(1e6),
        sessions=np.repeat(np.arange(10), 100_000))
    begun = time.perf_counter()
    drawn = draw(some, tmp_path / 'map.png')
    assert time.perf_counter() - begun < 20.0
    assert len(drawn.counts) <= MAX_HEXAGONS
    assert len(track(some)[0].segments) <= MAX_SEGMENTS


@pytest.mark.parametrize('suffix', ['.svg', '.pdf', '.PNG'])
def test_the_ending_says_the_format(suffix: str, tmp_path: Path) -> None:
    draw(places(wander(10)), tmp_path / f'map{suffix}')
    assert (tmp_path / f'map{suffix}').read_bytes()[:4] in (b'<?xm', b'%PDF', b'\x89PNG')


@pytest.mark.parametrize('name', ['map', 'map.docx'])
def test_another_ending_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r'ends in \.png, \.svg or \.pdf'):
        draw(places(wander(10)), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_no_memory_is_no_picture(tmp_path: Path) -> None:
    with pytest.raises(InputError, match='no memory to draw'):
        draw(places(np.empty((0, 2))), tmp_path / 'map.png')


def test_a_folder_that_is_not_there_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(JournalUnavailableError, match='cannot be written: No such file'):
        draw(places(wander(10)), tmp_path / 'none' / 'map.png')


@pytest.mark.parametrize('title', ['$a$b_{$.db', '記憶.db', 'x' * 300])
def test_any_name_can_be_a_title(title: str, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        draw(places(wander(10)), tmp_path / 'map.png', title=title, map_frame='$frame')
    assert (tmp_path / 'map.png').stat().st_size > 10_000


@pytest.fixture
def memory_file(tmp_path: Path) -> Path:
    """Twenty memories of two sessions, some with a cell that is none or a coarser one."""
    spec = JournalSpec(z_dim=1, datum_latitude_deg=48.0)
    cells = ['', '8a1f8d7a4907fff', *['8d1f8d7a4906c3f'] * 18]
    with Journal.open_writer(tmp_path / 'memory.db', spec) as journal:
        journal.append([Memory(
            f'id-{n}', as_latent([n]), Pose(Position(n, 1.0)), cells[n], 1000.0 + n, 'some-model',
            session=f'session-{n % 2}') for n in range(20)])
    return tmp_path / 'memory.db'


def test_places_are_read_from_a_memory_file(memory_file: Path) -> None:
    progress: list[tuple[int, int]] = []
    with Journal.open_reader(memory_file) as journal:
        found = places_of(journal, on_progress=lambda *step: progress.append(step))
        some = places_of(journal, MemorySelection(session='session-1'))
    assert progress == [(20, 20)]
    assert found.positions.tolist() == [[n, 1.0] for n in range(20)]
    assert found.timestamps.tolist() == [1000.0 + n for n in range(20)]
    assert found.sessions.tolist() == [0, 1] * 10
    frame = LocalFrame(Datum(48.0))
    assert found.cells.tolist()[:2] == [
        h3.latlng_to_cell(*frame.to_geodetic(n, 1.0), 13) for n in range(2)]
    assert some.positions[:, 0].tolist() == list(range(1, 20, 2))


def run(*words: object) -> int:
    return cli.main(['memory', *map(str, words)])


def test_the_command_draws_what_is_selected(
        memory_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = memory_file.with_name('map.png')
    assert run('map', memory_file, '-o', picture) == 0
    assert capsys.readouterr().out.startswith(f'{picture}: 20 memories in ')
    assert run('map', memory_file, '-o', picture, '--session', 'session-1', '--json') == 0
    assert '"count": 10, ' in capsys.readouterr().out
    assert picture.stat().st_size > 10_000


@pytest.mark.parametrize('words', [
    lambda path: [path, '-o', path.with_name('map.png'), '--session', 'none'],
    lambda path: [path, '-o', path.with_name('map.docx')],
    lambda path: [path.with_name('none.db'), '-o', path.with_name('map.png')]])
def test_where_nothing_can_be_drawn_one_line_says_why(
        words: Callable[[Path], list[object]], memory_file: Path,
        capsys: pytest.CaptureFixture[str]) -> None:
    assert run('map', *words(memory_file)) == 1
    out, error = capsys.readouterr()
    assert (out, error.count('\n')) == ('', 1)
    assert not memory_file.with_name('map.png').exists()
