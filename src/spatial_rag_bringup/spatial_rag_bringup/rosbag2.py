"""Whether `ros2 bag` is there: it comes with ROS, not with PyPI's wheels."""

from __future__ import annotations

import shutil

from ament_index_python.packages import get_package_prefix, PackageNotFoundError


def has_rosbag2() -> bool:
    """Whether the command `ros2 bag` can be run."""
    try:
        get_package_prefix('ros2bag')
    except PackageNotFoundError:
        return False
    return shutil.which('ros2') is not None
