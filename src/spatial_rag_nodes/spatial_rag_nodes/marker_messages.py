"""Shapes of the core to the markers of RViz."""

from __future__ import annotations

from spatial_rag_core.view.palette import Colors
from spatial_rag_core.view.shapes import Shape

from builtin_interfaces.msg import Duration, Time
from geometry_msgs.msg import Point, Vector3
import numpy as np
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker

_FIXED_BYTES, _VERTEX_BYTES, _COLOR_BYTES = 220, 24, 16


def marker_of(shape: Shape, name: str, number: int, kind: int, frame: str,
              size_m: float = 1.0, lifetime_sec: int = 0) -> Marker:
    """
    Return the marker that shows a shape, or takes it away where it is empty.

    name, number: the marker's ns and id.  kind: Marker.POINTS, LINE_LIST or TRIANGLE_LIST.
    size_m: of a point, or width of a line.  lifetime_sec: it vanishes then; 0: never.
    It carries no time: it is true at any.
    """
    size = Vector3(x=size_m, y=size_m, z=size_m)
    marker = Marker(header=Header(stamp=Time(), frame_id=frame), ns=name, id=number, type=kind,
                    scale=size, frame_locked=True,
                    lifetime=Duration(sec=lifetime_sec))
    marker.pose.orientation.w = 1.0
    marker.action = Marker.ADD if len(shape.vertices) else Marker.DELETE
    marker.points = [Point(x=x, y=y, z=z) for x, y, z in shape.vertices.tolist()]
    marker.colors = _colors(shape.colors)
    return marker


def delete_all(frame: str) -> Marker:
    """Take away all markers of the topic."""
    return Marker(header=Header(frame_id=frame), action=Marker.DELETEALL)


def size_bytes(marker: Marker) -> int:
    """Return how many bytes it takes on the wire, to within some ten."""
    return (_FIXED_BYTES + _VERTEX_BYTES * len(marker.points)
            + _COLOR_BYTES * len(marker.colors))


def _colors(colors: Colors) -> list[ColorRGBA]:
    """One message for each colour that there is: few are there, and many use each."""
    unique, owner = np.unique(colors, axis=0, return_inverse=True)
    known = [ColorRGBA(r=r, g=g, b=b, a=a) for r, g, b, a in unique.tolist()]
    return [known[number] for number in owner.ravel().tolist()]
