"""
Says what the simulated robot says as other robots say it, to nodes that listen to that.

Compressed pictures and depth maps, odometry, twist and transforms, of a robot in the namespace
that is named: python other_sources.py /robot
"""

from __future__ import annotations

import contextlib
import sys
from typing import Any

import cv2
from geometry_msgs.msg import PoseStamped, TransformStamped, Twist
from nav_msgs.msg import Odometry
import numpy as np
import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Float32MultiArray

NAME = 'other_sources'
DEPTH_HEADER = bytes(12)
"""Before a PNG of millimetres; only depth in metres needs what stands in it."""


class OtherSources(Node):
    """Listens in the robot's namespace, and publishes at the root."""

    def __init__(self, robot: str) -> None:
        from tf2_msgs.msg import TFMessage
        super().__init__(NAME, start_parameter_services=False)
        self._tf_kind = TFMessage
        self._out = {topic: self.create_publisher(kind, topic, 10) for topic, kind in {
            'camera/image_raw/compressed': CompressedImage,
            'camera/depth/image_raw/compressed': CompressedImage,
            'camera/depth/image_raw/compressedDepth': CompressedImage,
            'odom': Odometry, 'cmd_vel': Twist, 'proprio': Float32MultiArray, 'tf': TFMessage,
        }.items()}
        self._static = self.create_publisher(TFMessage, 'tf_static', QoSProfile(
            depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL))
        self._static.publish(self._transform(PoseStamped(), 'base_link', 'camera'))
        for kind, topic, callback in (
                (Image, 'camera/image_raw', self._on_picture),
                (Image, 'camera/depth/image_raw', self._on_depth),
                (PoseStamped, 'pose', self._on_pose),
                (Float32MultiArray, 'actions', self._on_action),
                (Float32MultiArray, 'proprio', self._out['proprio'].publish)):
            self.create_subscription(kind, f'{robot}/{topic}', callback, 10)

    def _on_picture(self, msg: Image) -> None:
        rgb = np.frombuffer(msg.data, np.uint8).reshape(msg.height, msg.width, 3)
        self._send('camera/image_raw/compressed', msg, 'rgb8; jpeg compressed bgr8',
                   cv2.imencode('.jpg', rgb[..., ::-1])[1].tobytes())

    def _on_depth(self, msg: Image) -> None:
        depth_m = np.frombuffer(msg.data, np.float32).reshape(msg.height, msg.width)
        depth_mm = np.clip(depth_m * 1000.0, 0, 65535).astype(np.uint16)
        png = cv2.imencode('.png', depth_mm)[1].tobytes()
        topic = 'camera/depth/image_raw'
        self._send(f'{topic}/compressed', msg, '16UC1; png compressed ', png)
        self._send(f'{topic}/compressedDepth', msg, '16UC1; compressedDepth png',
                   DEPTH_HEADER + png)

    def _send(self, topic: str, msg: Image, name: str, data: bytes) -> None:
        self._out[topic].publish(CompressedImage(header=msg.header, format=name, data=data))

    def _on_pose(self, msg: PoseStamped) -> None:
        odometry = Odometry(header=msg.header, child_frame_id='base_link')
        odometry.pose.pose = msg.pose
        self._out['odom'].publish(odometry)
        self._out['tf'].publish(self._transform(msg, msg.header.frame_id, 'base_link'))

    def _on_action(self, msg: Float32MultiArray) -> None:
        twist = Twist()
        twist.linear.x, twist.angular.z = map(float, msg.data[:2])
        self._out['cmd_vel'].publish(twist)

    def _transform(self, msg: PoseStamped, parent: str, child: str) -> Any:
        transform = TransformStamped(header=msg.header, child_frame_id=child)
        transform.header.frame_id = parent
        for axis in 'xyz':
            setattr(transform.transform.translation, axis, getattr(msg.pose.position, axis))
        transform.transform.rotation = msg.pose.orientation
        is_stand_in = self._tf_kind is TransformStamped  # a message of one
        return transform if is_stand_in else self._tf_kind(transforms=[transform])


def main() -> None:
    rclpy.init()
    with contextlib.suppress(KeyboardInterrupt, ExternalShutdownException):
        rclpy.spin(OtherSources(sys.argv[1]))


if __name__ == '__main__':
    main()
