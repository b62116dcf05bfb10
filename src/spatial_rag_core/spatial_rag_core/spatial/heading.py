"""Where a robot in the plane faces."""

from __future__ import annotations

import math

from spatial_rag_core.records import Pose


def heading_of(pose: Pose) -> float:
    """Return the angle from the map's x axis to the robot's, to the left [rad]."""
    return 2.0 * math.atan2(pose.orientation.z, pose.orientation.w)
