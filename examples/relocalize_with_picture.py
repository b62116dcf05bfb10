"""
Where was this picture taken? Asks the robot's memory.

    python examples/relocalize_with_picture.py picture.jpg [--map-id hall]
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
import sys

from spatial_rag_core.errors import SpatialRagError
from spatial_rag_core.records import Quaternion
from spatial_rag_nodes.spatial_rag_client import SpatialRagClient

import cv2
import numpy as np
from rclpy.utilities import remove_ros_args


def heading_deg(q: Quaternion) -> float:
    """Turn about the map's z axis, counter-clockwise from its x axis."""
    return math.degrees(math.atan2(2 * (q.w * q.z + q.x * q.y), 1 - 2 * (q.y**2 + q.z**2)))


def main() -> None:
    """Ask, and print the places."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument('picture', type=Path)
    parser.add_argument('--map-id', default='', help='look in this map only')
    arguments = parser.parse_args(remove_ros_args(sys.argv)[1:])
    bgr = cv2.imdecode(np.fromfile(arguments.picture, np.uint8), cv2.IMREAD_COLOR)
    if bgr is None:
        sys.exit(f'{arguments.picture} is no picture')
    try:
        with SpatialRagClient() as robot:
            places = robot.relocalize(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB),
                                      map_id=arguments.map_id)
    except SpatialRagError as error:
        sys.exit(str(error))
    for place in places:
        x, y, z = place.pose.position
        sigma_m = math.sqrt(place.covariance[0, 0] + place.covariance[1, 1])
        print(f'score {place.score:.2f}: ({x:.2f}, {y:.2f}, {z:.2f}) m ± {sigma_m:.2f} m, heading '
              f'{heading_deg(place.pose.orientation):.0f} deg, {len(place.memory_ids)} memories'
              + (f', map {place.map_id}' if place.map_id else ''))
    if not places:
        print('no memory is in question')


if __name__ == '__main__':
    main()
