"""Topics that bring pictures, by the name of their transport."""

from __future__ import annotations

from sensor_msgs.msg import CompressedImage, Image

PICTURE_TYPES = {'raw': (Image, ''), 'compressed': (CompressedImage, '/compressed'),
                 'compressedDepth': (CompressedImage, '/compressedDepth')}
