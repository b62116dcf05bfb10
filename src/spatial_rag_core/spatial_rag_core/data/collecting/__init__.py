"""Streams of a robot, live or recorded, put together into episodes."""
