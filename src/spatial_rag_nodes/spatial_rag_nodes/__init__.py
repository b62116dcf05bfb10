"""The ROS 2 nodes of Spatial-RAG."""

import os

MAX_PIXELS = 64_000_000
"""A larger picture is refused: decoding it would take hundreds of megabytes."""

# OpenCV reads this once, when cv2 is first imported; the nodes import it after this package.
os.environ.setdefault('OPENCV_IO_MAX_IMAGE_PIXELS', str(MAX_PIXELS))
