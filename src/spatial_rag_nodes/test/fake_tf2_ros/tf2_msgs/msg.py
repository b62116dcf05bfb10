"""A message of one transform: without ROS there is nothing to make a real TFMessage with."""

from geometry_msgs.msg import TransformStamped

TFMessage = TransformStamped
TFMessage.transforms = property(lambda transform: [transform])
