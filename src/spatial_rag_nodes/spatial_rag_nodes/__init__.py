"""The ROS 2 nodes of Spatial-RAG."""

from spatial_rag_core.data import MAX_PIXELS  # before cv2: it limits what OpenCV decodes

__all__ = ['MAX_PIXELS']
