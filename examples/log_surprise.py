"""
Prints how well the robot foresees what it sees, once a second, as CSV.

    python examples/log_surprise.py [--seconds 60] > surprise.csv
"""

from __future__ import annotations

import argparse
import math
import sys
import time

from spatial_rag_core.errors import SpatialRagError
from spatial_rag_nodes.spatial_rag_client import SpatialRagClient

from rclpy.utilities import remove_ros_args

PERIOD_SEC = 1.0
COLUMNS = ('error', 'error_of_copying', 'expected_error', 'relative_to_copying',
           'relative_to_no_memory', 'memory_left_out')


def main() -> None:
    """Listen, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument('--seconds', type=float, default=60.0)
    arguments = parser.parse_args(remove_ros_args(sys.argv)[1:])
    print('stamp,' + ','.join(COLUMNS))
    end, next_line = math.inf, 0.0
    try:
        with SpatialRagClient() as robot, robot.surprises() as surprises:
            for surprise in surprises:
                now = time.monotonic()
                end = min(end, now + arguments.seconds)
                if now >= next_line:
                    stamp = surprise.header.stamp
                    values = [getattr(surprise, name) for name in COLUMNS]
                    print(f'{stamp.sec}.{stamp.nanosec:09d},'
                          + ','.join(f'{value:.4g}' for value in values), flush=True)
                    next_line = now + PERIOD_SEC
                if now >= end:
                    break
    except SpatialRagError as error:
        sys.exit(str(error))


if __name__ == '__main__':
    main()
