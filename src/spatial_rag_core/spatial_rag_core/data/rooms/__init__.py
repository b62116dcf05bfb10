"""Rooms2D: a simulated world, and what a robot sees of it."""
