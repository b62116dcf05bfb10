from __future__ import annotations

import itertools
import math

from spatial_rag_core.errors import ConfigurationError
from spatial_rag_core.spatial.local_frame import Datum, LocalFrame

import h3
from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

DATUMS = {
    'equator': Datum(),
    'europe, turned': Datum(48.0, 9.0, 37.0),
    'south america': Datum(-33.4, -70.6, -120.0),
    'north pole': Datum(90.0, 0.0, 10.0),
    'south pole': Datum(-90.0, 45.0, 0.0),
    'antimeridian': Datum(-17.0, 180.0, 0.0),
}
any_datum = pytest.mark.parametrize('datum', DATUMS.values(), ids=DATUMS)
reproducibly = settings(derandomize=True, deadline=None, database=None)
metres = st.floats(-5e4, 5e4)


@any_datum
def test_the_way_to_the_globe_and_back_is_exact(datum: Datum) -> None:
    frame = LocalFrame(datum)

    @reproducibly
    @given(metres, metres)
    def claim(x: float, y: float) -> None:
        back = frame.to_map(*frame.to_geodetic(x, y))
        assert math.dist(back, (x, y)) < 1e-6  # a degree in double precision is 2e-9 m

    claim()


@any_datum
def test_a_faraway_point_comes_back_too(datum: Datum) -> None:
    frame = LocalFrame(datum)
    for point in itertools.product((-9e6, 0.0, 4e6), repeat=2):
        assert math.dist(frame.to_map(*frame.to_geodetic(*point)), point) < 1e-3


@any_datum
def test_many_points_go_where_each_alone_goes(datum: Datum) -> None:
    frame = LocalFrame(datum)
    xy_m = np.random.default_rng(0).normal(size=(2000, 2)) * np.logspace(-2, 6, 2000)[:, None]
    xy_m[0] = 0.0
    alone = np.array([frame.to_geodetic(x, y) for x, y in xy_m.tolist()])
    together = frame.to_geodetic_many(xy_m)
    apart = np.abs(together - alone)
    apart[:, 1] = np.minimum(apart[:, 1], np.abs(apart[:, 1] - 360.0))  # the antimeridian's sides
    near_pole = np.abs(alone[:, 0]) > 89.99  # where a degree of longitude is next to nothing
    apart[:, 1] *= np.where(near_pole, np.cos(np.radians(alone[:, 0])), 1.0)
    assert apart.max() < 1e-12
    assert frame.to_geodetic_many(np.zeros((0, 2))).shape == (0, 2)
    back = frame.to_map_many(together)
    alone_back = np.array([frame.to_map(*place) for place in together.tolist()])
    assert np.hypot(*(back - alone_back).T).max() < 1e-6
    assert frame.to_map_many(np.zeros((0, 2))).shape == (0, 2)


@any_datum
def test_the_datum_is_the_map_origin(datum: Datum) -> None:
    frame = LocalFrame(datum)
    assert math.hypot(*frame.to_map(datum.latitude_deg, datum.longitude_deg)) < 1e-8
    latitude, _ = frame.to_geodetic(0.0, 0.0)
    assert latitude == pytest.approx(datum.latitude_deg, abs=1e-12)


@any_datum
def test_metres_of_the_map_are_metres_on_the_globe(datum: Datum) -> None:
    frame = LocalFrame(datum)
    for start, end in (((0, 0), (100, 0)), ((0, 0), (0, 100)), ((-700, 300), (500, -900))):
        on_globe = h3.great_circle_distance(
            frame.to_geodetic(*start), frame.to_geodetic(*end), unit='m')
        # H3 takes the Earth for a sphere, which is off by as much as 0.7 % near the poles.
        assert on_globe == pytest.approx(math.dist(start, end), rel=0.007)
        chord = math.dist(ecef(*frame.to_geodetic(*start)), ecef(*frame.to_geodetic(*end)))
        assert chord == pytest.approx(math.dist(start, end), rel=1e-7)


@any_datum
def test_scale_errors_stay_under_a_millionth_within_ten_kilometres(datum: Datum) -> None:
    frame = LocalFrame(datum)
    for x, y in ((9990.0, 0.0), (0.0, -9990.0)):
        ahead = (x * 1.001, y * 1.001)
        chord = math.dist(ecef(*frame.to_geodetic(x, y)), ecef(*frame.to_geodetic(*ahead)))
        assert chord == pytest.approx(math.dist((x, y), ahead), rel=3e-6)


def test_without_a_heading_x_points_east_and_y_north() -> None:
    frame = LocalFrame(Datum(48.0, 9.0))
    latitude, longitude = frame.to_geodetic(1000.0, 0.0)
    assert longitude > 9.01
    assert latitude == pytest.approx(48.0, abs=1e-4)
    latitude, longitude = frame.to_geodetic(0.0, 1000.0)
    assert latitude > 48.008
    assert longitude == pytest.approx(9.0, abs=1e-12)


def test_heading_turns_x_from_east_counter_clockwise() -> None:
    turned, plain = LocalFrame(Datum(48.0, 9.0, 90.0)), LocalFrame(Datum(48.0, 9.0))
    assert turned.to_geodetic(250.0, 0.0) == pytest.approx(plain.to_geodetic(0.0, 250.0))
    assert turned.to_geodetic(0.0, 250.0) == pytest.approx(plain.to_geodetic(-250.0, 0.0))


def test_the_antimeridian_does_not_tear_the_map() -> None:
    frame = LocalFrame(Datum(0.0, 180.0))
    west, east = frame.to_geodetic(-50.0, 0.0)[1], frame.to_geodetic(50.0, 0.0)[1]
    assert west > 179.9
    assert east < -179.9
    assert frame.to_map(0.0, west)[0] == pytest.approx(-50.0, abs=1e-6)
    assert frame.to_map(0.0, east)[0] == pytest.approx(50.0, abs=1e-6)


@pytest.mark.parametrize(('values', 'message'), [
    ((90.1, 0.0, 0.0), 'latitude_deg must lie between -90 and 90, got 90.1'),
    ((0.0, -181.0, 0.0), 'longitude_deg must lie between -180 and 180, got -181'),
    ((0.0, 0.0, 361.0), 'heading_deg must lie between -360 and 360, got 361'),
    ((math.nan, 0.0, 0.0), 'latitude_deg must lie between -90 and 90, got nan'),
    ((0.0, math.inf, 0.0), 'longitude_deg must lie between -180 and 180, got inf'),
])
def test_a_datum_off_the_globe_is_refused(values: tuple[float, ...], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Datum(*values)


def ecef(latitude_deg: float, longitude_deg: float) -> tuple[float, float, float]:
    """A surface point of WGS84 [m], by the parametric latitude."""
    a, b = 6378137.0, 6356752.314245
    latitude, longitude = math.radians(latitude_deg), math.radians(longitude_deg)
    parametric = math.atan2(b * math.sin(latitude), a * math.cos(latitude))
    return (a * math.cos(parametric) * math.cos(longitude),
            a * math.cos(parametric) * math.sin(longitude), b * math.sin(parametric))
