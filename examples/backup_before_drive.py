"""
Before a drive: copies the memory, then begins a session of its own.

    python examples/backup_before_drive.py [--to /data/backups/today.db] [--session morning]
"""

from __future__ import annotations

import argparse
import sys

from spatial_rag_core.errors import SpatialRagError
from spatial_rag_nodes.spatial_rag_client import SpatialRagClient

from rclpy.utilities import remove_ros_args


def main() -> None:
    """Copy, and begin."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument('--to', default='', help='file on the robot; default: beside the memory')
    parser.add_argument('--session', default='', help='its name; default: one is made up')
    arguments = parser.parse_args(remove_ros_args(sys.argv)[1:])
    try:
        with SpatialRagClient() as robot:
            copy = robot.backup_memory(arguments.to)
            session = robot.start_session(arguments.session)
    except SpatialRagError as error:
        sys.exit(f'do not drive yet: {error}')
    print(f'{copy.count} memories are safe in {copy.path} ({copy.size_bytes / 1e6:.1f} MB)')
    print(f'session {session} has begun')


if __name__ == '__main__':
    main()
