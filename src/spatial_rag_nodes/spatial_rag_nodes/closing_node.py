"""A node whose own threads and files end before the middleware's part of it."""

from __future__ import annotations

from rclpy.node import Node


class ClosingNode(Node):
    """
    A node that can be closed by itself.

    The middleware may hang while it lets a node go (ros2/rclpy#456 tells of it); what the robot
    must not lose is safe by then.
    """

    def start(self) -> None:
        """Begin what it does by itself; called once, before it is spun. May raise."""

    def close(self) -> None:
        """End what the node itself holds, threads and files; called once."""

    def leave(self) -> None:
        """Leave the middleware; close comes before."""
        super().destroy_node()

    def destroy_node(self) -> None:
        """Close it, then leave the middleware."""
        self.close()
        self.leave()
