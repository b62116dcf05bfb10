"""
Gives the memories around a point a name, and asks for them by that name.

    python examples/label_a_place.py kitchen 3.0 -1.5 [--radius-m 2]
"""

from __future__ import annotations

import argparse
import sys

from spatial_rag_core.errors import SpatialRagError
from spatial_rag_core.records import MemoryQuery, MemorySelection, Pose, Position
from spatial_rag_nodes.spatial_rag_client import SpatialRagClient

from rclpy.utilities import remove_ros_args


def main() -> None:
    """Label, and ask by the label."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument('name')
    parser.add_argument('x', type=float, help='[m] in the map frame')
    parser.add_argument('y', type=float, help='[m]')
    parser.add_argument('--radius-m', type=float, default=2.0)
    arguments = parser.parse_args(remove_ros_args(sys.argv)[1:])
    place = Position(arguments.x, arguments.y)
    around = MemorySelection(center=place, radius_m=arguments.radius_m)
    try:
        with SpatialRagClient() as robot:
            changed = robot.label_memories(around, add=[arguments.name])
            found = robot.query(MemoryQuery(k=5, pose=Pose(place), rank_by='pose',
                                            labels=(arguments.name,)))
    except SpatialRagError as error:
        sys.exit(str(error))
    print(f'{changed} memories are called {arguments.name} now; some of them:')
    for hit in found:
        print(f'  {hit.memory.id}, {hit.separation_m:.2f} m away, {", ".join(hit.memory.labels)}')


if __name__ == '__main__':
    main()
