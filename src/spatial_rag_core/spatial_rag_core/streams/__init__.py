"""Streams of stamped data: pacing, pose interpolation, motion, rates and latencies."""
