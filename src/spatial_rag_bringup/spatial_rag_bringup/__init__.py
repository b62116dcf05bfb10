"""Starts Spatial-RAG, with ROS launch or without it."""
