"""A robot that drives through a small world of rooms and publishes what it sees and does."""

from __future__ import annotations

import time

from spatial_rag_core.data.exploring.policies import make_policy, POLICIES
from spatial_rag_core.data.rooms.rooms2d import Observation, Rooms2D, Rooms2DConfig
from spatial_rag_core.streams.metrics import RateWindow
from spatial_rag_nodes import qos, subscriber_wait
from spatial_rag_nodes.closing_node import ClosingNode
from spatial_rag_nodes.conversions import array_from_vector, msg_from_pose
from spatial_rag_nodes.health import Health
from spatial_rag_nodes.images import image_from_depth, image_from_rgb
from spatial_rag_nodes.parameters import NodeParameters, Parameter

from geometry_msgs.msg import PoseStamped
from rclpy.clock import Clock, ClockType
from sensor_msgs.msg import Image
from std_msgs.msg import Float32MultiArray, Header

PARAMETERS = (
    Parameter('rate_hz', 20.0, 'Pictures, poses and actions a second', 'Hz', 1.0, 200.0),
    Parameter('seed', 0, 'Which world', '', 0, 2**31 - 1),
    Parameter('change_seed', -1, 'Which change of it since it was drawn: half of the rooms look '
              'otherwise, pillars and zones have moved; -1: none', '', -1, 2**31 - 1),
    Parameter('slippery_zones', 3, 'Parts of rooms where the drive has little grip', '', 0, 1000),
    Parameter('windy_zones', 3, 'Parts of rooms where a wind of up to 0.4 m/s moves the robot',
              '', 0, 1000),
    Parameter('one_way_doors', 2, 'Doors that open one way only, at most as many as leave a way '
              'from each room to each', '', 0, 1000),
    Parameter('policy', 'loops', 'How it explores', choices=POLICIES),
    Parameter('policy_seed', 0, 'Which way through it', '', 0, 2**31 - 1),
    Parameter('image_size_px', 64, 'Side of the square picture', 'px', 8, 1024),
    Parameter('field_of_view_deg', 90.0, 'Horizontal view of the camera', 'deg', 10.0, 150.0),
    *subscriber_wait.PARAMETERS,
    Parameter('map_frame', 'map', 'Frame of the pose'),
    Parameter('camera_frame', 'camera_optical', 'Frame of the pictures'),
)


class SimulatedRobotNode(ClosingNode):
    """Publishes camera/image_raw, camera/depth/image_raw, pose, actions and proprio."""

    def __init__(self) -> None:
        super().__init__('simulated_robot')
        parameters = self._config = NodeParameters(self, PARAMETERS)
        self._world = Rooms2D(_world_config(parameters))
        self._policy = make_policy(
            parameters['policy'], self._world.room_map, parameters['policy_seed'],
            step_sec=1.0 / parameters['rate_hz'])
        self._observation = self._world.reset()
        self._rate = RateWindow()
        self._health = Health(self, self._figures)
        self._picture = self.create_publisher(Image, 'camera/image_raw', qos.stream())
        self._depth = self.create_publisher(Image, 'camera/depth/image_raw', qos.stream())
        self._pose = self.create_publisher(PoseStamped, 'pose', qos.stream())
        self._action = self.create_publisher(Float32MultiArray, 'actions', qos.stream())
        self._proprio = self.create_publisher(Float32MultiArray, 'proprio', qos.stream())
        self._wait: subscriber_wait.SubscriberWait | None = subscriber_wait.SubscriberWait(
            [self._picture, self._depth, self._pose, self._action, self._proprio], parameters)
        self.create_timer(1.0 / parameters['rate_hz'], self._health.guarded(self._tick),
                          clock=Clock(clock_type=ClockType.STEADY_TIME))

    def _tick(self) -> None:
        """Show this moment, choose an action, and let the world go on with it."""
        if self._wait is not None:
            if not self._wait.is_over():
                return
            self._wait = None
        observation = self._observation
        self._publish(observation)
        action = self._policy.act(observation.pose)
        self._action.publish(array_from_vector(action, 'action'))
        self._rate.tick(time.monotonic_ns())
        self._observation = self._world.step(action)

    def _publish(self, observation: Observation) -> None:
        stamp = self.get_clock().now().to_msg()
        in_map = Header(stamp=stamp, frame_id=self._config['map_frame'])
        in_camera = Header(stamp=stamp, frame_id=self._config['camera_frame'])
        self._pose.publish(PoseStamped(header=in_map, pose=msg_from_pose(observation.pose)))
        self._picture.publish(image_from_rgb(observation.rgb, in_camera))
        self._depth.publish(image_from_depth(observation.depth_m, in_camera))
        self._proprio.publish(array_from_vector(observation.proprio, 'proprio'))

    def _figures(self) -> dict[str, object]:
        x, y, _ = self._observation.pose.position
        return {'camera_hz': self._rate.rate_hz(time.monotonic_ns()), 'frames': self._rate.count,
                'x_m': x, 'y_m': y}


def _world_config(parameters: NodeParameters) -> Rooms2DConfig:
    names = ('seed', 'rate_hz', 'image_size_px', 'field_of_view_deg', 'slippery_zones',
             'windy_zones', 'one_way_doors')
    change_seed = parameters['change_seed']
    return Rooms2DConfig(**{name: parameters[name] for name in names},
                         change_seed=None if change_seed < 0 else change_seed)
