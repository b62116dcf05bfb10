"""Recordings of robots, read without ROS."""
