"""Where experience comes from: a simulated world and recordings."""

import os

MAX_PIXELS = 64_000_000
"""A larger picture is refused: decoding it would take hundreds of megabytes."""

# OpenCV reads this once, when cv2 is first imported; who reads pictures imports it after this.
os.environ.setdefault('OPENCV_IO_MAX_IMAGE_PIXELS', str(MAX_PIXELS))
