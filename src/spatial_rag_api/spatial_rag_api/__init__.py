"""The memory and the world model over HTTP."""

from spatial_rag_core.data import MAX_PIXELS  # before cv2: it limits what OpenCV decodes

__all__ = ['MAX_PIXELS']
__version__ = '0.1.0'
