"""A node whose own threads and files end before the middleware's part of it."""

from __future__ import annotations

from spatial_rag_nodes.rclpy_internals import end_spinning

from rclpy.node import Node


class ProcessEnd(Exception):  # noqa: N818 (nothing is wrong)
    """Comes out of spinning a node that has ended its process."""


class ClosingNode(Node):
    """
    A node that can be closed by itself.

    The middleware may hang while it lets a node go (ros2/rclpy#456 tells of it); what the robot
    must not lose is safe by then.
    """

    def start(self) -> None:
        """Begin what it does by itself; called once, before it is spun. May raise."""

    exit_code = 0
    """Of the process."""

    def end_process(self, exit_code: int = 0) -> None:
        """
        Have whoever spins the node end, with this code; from any thread.

        Not by a shutdown of ROS: with Kilted that destroys the nodes in the thread that calls it.
        """
        self.exit_code = exit_code
        end_spinning(self, ProcessEnd())

    def close(self) -> None:
        """End what the node itself holds, threads and files; called once."""

    def leave(self) -> None:
        """Leave the middleware; close comes before."""
        super().destroy_node()

    def destroy_node(self) -> None:
        """Close it, then leave the middleware."""
        self.close()
        self.leave()
