"""The map frame on the globe: metres in a plane that touches WGS84 at the datum."""

from __future__ import annotations

from dataclasses import dataclass
import math
from typing import Any

from spatial_rag_core.errors import ConfigurationError

import numpy as np
from numpy.typing import NDArray

SEMI_MAJOR_M = 6378137.0
FLATTENING = 1 / 298.257223563
ECCENTRICITY_SQUARED = FLATTENING * (2 - FLATTENING)


@dataclass(frozen=True)
class Datum:
    """
    Where the map's origin lies and how the map is turned.

    latitude_deg, longitude_deg: WGS84.  heading_deg: from east to the map's x axis,
    counter-clockwise (REP 103: at 0, x points east and y north).
    """

    latitude_deg: float = 0.0
    longitude_deg: float = 0.0
    heading_deg: float = 0.0

    def __post_init__(self) -> None:
        for name, value, limit in (('latitude_deg', self.latitude_deg, 90.0),
                                   ('longitude_deg', self.longitude_deg, 180.0),
                                   ('heading_deg', self.heading_deg, 360.0)):
            if not -limit <= value <= limit:
                raise ConfigurationError(
                    f'datum {name} must lie between {-limit:g} and {limit:g}, got {value}')


class LocalFrame:
    """
    Map [m] to WGS84 [deg] and back.

    The map is the plane that touches the ellipsoid at the datum; a point of the plane is carried
    to the globe along the ellipsoid's normal, so that both directions are exact inverses. Scale
    errors stay under 1e-6 within 10 km of the datum. Heights do not enter: H3 has none.
    """

    def __init__(self, datum: Datum = Datum()) -> None:
        self.datum = datum
        heading = math.radians(datum.heading_deg)
        self._cos_heading, self._sin_heading = math.cos(heading), math.sin(heading)
        latitude, longitude = math.radians(datum.latitude_deg), math.radians(datum.longitude_deg)
        self._sin_lat, self._cos_lat = math.sin(latitude), math.cos(latitude)
        self._sin_lon, self._cos_lon = math.sin(longitude), math.cos(longitude)
        self._origin = _surface_point(latitude, longitude)

    def to_geodetic(self, x_m: float, y_m: float) -> tuple[float, float]:
        """Latitude and longitude [deg] of a point of the map [m]."""
        # Not by to_geodetic_many: of one point, NumPy takes over ten times as long.
        east = self._cos_heading * x_m - self._sin_heading * y_m
        north = self._sin_heading * x_m + self._cos_heading * y_m
        meridian = self._origin[0] * self._cos_lon + self._origin[1] * self._sin_lon
        outward = meridian - self._sin_lat * north
        ecef_x = outward * self._cos_lon - east * self._sin_lon
        ecef_y = outward * self._sin_lon + east * self._cos_lon
        ecef_z = self._origin[2] + self._cos_lat * north
        latitude = _geodetic_latitude(math.hypot(ecef_x, ecef_y), ecef_z)
        return math.degrees(latitude), math.degrees(math.atan2(ecef_y, ecef_x))

    def to_geodetic_many(self, xy_m: NDArray[np.float64]) -> NDArray[np.float64]:
        """Latitudes and longitudes [deg], [N, 2], of points of the map [m], [N, 2]."""
        x, y = xy_m[:, 0], xy_m[:, 1]
        east = self._cos_heading * x - self._sin_heading * y
        north = self._sin_heading * x + self._cos_heading * y
        meridian = self._origin[0] * self._cos_lon + self._origin[1] * self._sin_lon
        outward = meridian - self._sin_lat * north
        ecef_x = outward * self._cos_lon - east * self._sin_lon
        ecef_y = outward * self._sin_lon + east * self._cos_lon
        latitudes = _geodetic_latitudes(
            np.hypot(ecef_x, ecef_y), self._origin[2] + self._cos_lat * north)
        places: NDArray[np.float64] = np.stack(
            [latitudes, np.arctan2(ecef_y, ecef_x)], axis=1)
        return np.degrees(places)

    def to_map(self, latitude_deg: float, longitude_deg: float) -> tuple[float, float]:
        """Point of the map [m] that lies under or over a place on the ellipsoid [deg]."""
        latitude, longitude = math.radians(latitude_deg), math.radians(longitude_deg)
        normal = (math.cos(latitude) * math.cos(longitude),
                  math.cos(latitude) * math.sin(longitude), math.sin(latitude))
        offset = [a - b for a, b in zip(_surface_point(latitude, longitude), self._origin,
                                        strict=True)]
        east_n, north_n, up_n = self._to_enu(normal)
        east, north, up = self._to_enu(offset)
        height = -up / up_n  # along the normal, from the ellipsoid to the plane
        east, north = east + height * east_n, north + height * north_n
        return (self._cos_heading * east + self._sin_heading * north,
                self._cos_heading * north - self._sin_heading * east)

    def to_map_many(self, places_deg: NDArray[np.float64]) -> NDArray[np.float64]:
        """Points of the map [m], [N, 2], of latitudes and longitudes [deg], [N, 2]."""
        latitude, longitude = np.radians(places_deg).T
        normal = np.stack([np.cos(latitude) * np.cos(longitude),
                           np.cos(latitude) * np.sin(longitude), np.sin(latitude)])
        radius = SEMI_MAJOR_M / np.sqrt(1 - ECCENTRICITY_SQUARED * normal[2] ** 2)
        surface = radius * normal
        surface[2] *= 1 - ECCENTRICITY_SQUARED
        offset = surface - np.array(self._origin)[:, None]
        east_n, north_n, up_n = self._to_enu(normal)
        east, north, up = self._to_enu(offset)
        height = -up / up_n
        east, north = east + height * east_n, north + height * north_n
        places: NDArray[np.float64] = np.stack(
            [self._cos_heading * east + self._sin_heading * north,
             self._cos_heading * north - self._sin_heading * east], axis=1)
        return places

    def _to_enu(self, ecef: Any) -> tuple[Any, Any, Any]:
        outward = ecef[0] * self._cos_lon + ecef[1] * self._sin_lon
        east = ecef[1] * self._cos_lon - ecef[0] * self._sin_lon
        north = ecef[2] * self._cos_lat - outward * self._sin_lat
        return east, north, outward * self._cos_lat + ecef[2] * self._sin_lat


def _surface_point(latitude: float, longitude: float) -> tuple[float, float, float]:
    """ECEF coordinates [m] of a point on the WGS84 ellipsoid, angles in radians."""
    radius = SEMI_MAJOR_M / math.sqrt(1 - ECCENTRICITY_SQUARED * math.sin(latitude) ** 2)
    return (radius * math.cos(latitude) * math.cos(longitude),
            radius * math.cos(latitude) * math.sin(longitude),
            radius * (1 - ECCENTRICITY_SQUARED) * math.sin(latitude))


def _geodetic_latitude(distance_to_axis: float, ecef_z: float) -> float:
    """Iterate latitude [rad] to full precision (Heiskanen and Moritz, 1967, section 5-3)."""
    latitude = math.atan2(ecef_z, distance_to_axis * (1 - ECCENTRICITY_SQUARED))
    for _ in range(8):
        sine = math.sin(latitude)
        radius = SEMI_MAJOR_M / math.sqrt(1 - ECCENTRICITY_SQUARED * sine * sine)
        previous, latitude = latitude, math.atan2(
            ecef_z + ECCENTRICITY_SQUARED * radius * sine, distance_to_axis)
        if abs(latitude - previous) < 1e-15:
            break
    return latitude


def _geodetic_latitudes(distances_to_axis: NDArray[np.float64],
                        ecef_z: NDArray[np.float64]) -> NDArray[np.float64]:
    """As _geodetic_latitude, for many [rad], [N]."""
    latitudes = np.arctan2(ecef_z, distances_to_axis * (1 - ECCENTRICITY_SQUARED))
    for _ in range(8):
        sine = np.sin(latitudes)
        radius = SEMI_MAJOR_M / np.sqrt(1 - ECCENTRICITY_SQUARED * sine * sine)
        previous, latitudes = latitudes, np.arctan2(
            ecef_z + ECCENTRICITY_SQUARED * radius * sine, distances_to_axis)
        if np.abs(latitudes - previous).max(initial=0.0) < 1e-15:
            break
    return latitudes
