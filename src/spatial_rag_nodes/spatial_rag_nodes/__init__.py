"""The ROS 2 nodes of Spatial-RAG."""
