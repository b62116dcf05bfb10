"""Spatial-RAG: a place memory for robots, and a world model that looks things up in it."""

__version__ = '0.1.0'
