"""
The quality of service of each kind of topic.

Functions, for rclpy writes the overrides of a topic into the profile that it is given.
"""

from __future__ import annotations

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions


def sensor(depth: int = 10) -> QoSProfile:
    """What a subscriber asks of robots' topics: best effort, which every publisher serves."""
    return QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=depth,
                      reliability=ReliabilityPolicy.BEST_EFFORT)


def stream(depth: int = 20) -> QoSProfile:
    """Our own topics, and those of our simulated robot: reliable."""
    return QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=depth,
                      reliability=ReliabilityPolicy.RELIABLE)


def replayed(transient_local: bool) -> QoSProfile:
    """What a replayed topic offers: reliable, and latched where it was recorded so."""
    durability = DurabilityPolicy.TRANSIENT_LOCAL if transient_local else DurabilityPolicy.VOLATILE
    return QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=100, durability=durability,
                      reliability=ReliabilityPolicy.RELIABLE)


def overridable() -> QoSOverridingOptions:
    """Let parameters qos_overrides.<topic>.subscription.… change history, depth, reliability."""
    return QoSOverridingOptions.with_default_policies()
